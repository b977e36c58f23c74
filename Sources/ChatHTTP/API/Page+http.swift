import ChatCore

extension Page {
    /// Reads `limit`, `after`, `before` and `order`.
    ///
    /// - Throws: `ChatError.invalid` with a sentence for each bad value.
    init(_ query: QueryItems) throws(ChatError) {
        var errors: [String] = []
        self.init(query, &errors)
        guard errors.isEmpty else { throw .invalid(errors) }
    }

    /// Reads the same for a list of messages, or `around`.
    ///
    /// - Returns: the page; around a message the one that the links continue.
    /// - Throws: likewise.
    static func list(_ query: QueryItems) throws(ChatError) -> (page: Page, around: Message.Number?) {
        var errors: [String] = []
        var page = Page(query, &errors)
        var around: Message.Number?
        if let value = query["around"] {
            around = value.flatMap { Message.Number(digits: $0[...]) }
            if around == nil { errors.append("Around must be a number from 1 to 9223372036854775807") }
            if query["after"] != nil || query["before"] != nil {
                errors.append("Around cannot be combined with after or before")
            }
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        if let around { page.after = around.rawValue - 1 }
        return (page, around)
    }

    /// Reads `thread` for a list of messages.
    ///
    /// - Returns: nil for all messages.
    /// - Throws: likewise.
    static func thread(_ query: QueryItems) throws(ChatError) -> Message.Number? {
        guard let value = query["thread"] else { return nil }
        guard let thread = value.flatMap({ Message.Number(digits: $0[...]) }) else {
            throw .invalid(["Thread must be a number from 1 to 9223372036854775807"])
        }
        if query["around"] != nil { throw .invalid(["Around cannot be combined with thread"]) }
        return thread
    }

    /// Reads `limit` and `after` for a user's inbox, which has `order=activity`.
    ///
    /// - Returns: nil for a list by number.
    /// - Throws: likewise.
    static func inbox(_ query: QueryItems) throws(ChatError) -> (limit: Int, after: Inbox.Place?)? {
        guard query["order"].flatMap({ $0?.utf8.elementsEqual("activity".utf8) }) == true else { return nil }
        var errors: [String] = []
        var limit = Inbox.defaultLimit
        if let value = query["limit"] {
            let number = value.flatMap { Int64(digits: $0[...]) }.flatMap { Int(exactly: $0) }
            if let number, Inbox.limits.contains(number) {
                limit = number
            } else {
                errors.append("Limit must be a number from 1 to \(Inbox.limits.upperBound)")
            }
        }
        var place: Inbox.Place?
        if let value = query["after"] {
            place = value.flatMap { Inbox.Place($0) }
            if place == nil { errors.append("After must be a cursor from the Link header of this list") }
        }
        if query["before"] != nil { errors.append("Before is for lists by number: follow the Link header") }
        guard errors.isEmpty else { throw .invalid(errors) }
        return (limit, place)
    }

    /// Reads `limit` and `after` for hits in all chats.
    ///
    /// - Throws: likewise.
    static func hits(_ query: QueryItems) throws(ChatError) -> (limit: Int, after: SearchCursor?) {
        var errors: [String] = []
        let limit = limit(query, &errors)
        var cursor: SearchCursor?
        if let value = query["after"] {
            cursor = value.flatMap { SearchCursor($0) }
            if cursor == nil { errors.append("After must be a cursor from the Link header of this search") }
        }
        if let order = query["order"], order?.utf8.elementsEqual(Order.desc.rawValue.utf8) != true {
            errors.append("Order must be desc: hits in all chats come newest first")
        }
        if query["before"] != nil {
            errors.append("Before is for lists: follow the Link header of this search, or use before_time")
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        return (limit, cursor)
    }

    /// Reads `limit` and `after` for what has changed in a chat.
    ///
    /// - Throws: likewise.
    static func changes(_ query: QueryItems) throws(ChatError) -> (limit: Int, after: Cursor) {
        var errors: [String] = []
        let limit = limit(query, &errors)
        let cursor = query["after"].flatMap { $0.flatMap { Cursor($0[...]) } }
        if cursor == nil { errors.append("After must be a cursor, as Luciq-Cursor has it") }
        guard errors.isEmpty, let cursor else { throw .invalid(errors) }
        return (limit, cursor)
    }

    /// Reads `limit` and `after` for all applications.
    ///
    /// - Throws: likewise.
    static func applications(_ query: QueryItems) throws(ChatError) -> (limit: Int, after: Tenant.PublicID?) {
        var errors: [String] = []
        let limit = limit(query, &errors)
        var after: Tenant.PublicID?
        if let value = query["after"] {
            after = value.flatMap { Tenant.PublicID($0) }
            if after == nil { errors.append("After must be the id of an application") }
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        return (limit, after)
    }

    /// Reads `limit` and `after` for a list in the order of users' ids.
    ///
    /// - Throws: likewise.
    static func users(_ query: QueryItems) throws(ChatError) -> (limit: Int, after: User.ID?) {
        var errors: [String] = []
        let limit = limit(query, &errors)
        var after: User.ID?
        if let value = query["after"] {
            after = value.flatMap { User.ID($0) }
            if after == nil { errors.append("After must be the id of a user") }
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        return (limit, after)
    }

    /// Reads the same as a list by number that begins with the newest.
    ///
    /// - Throws: likewise.
    static func newestFirst(_ query: QueryItems) throws(ChatError) -> Page {
        var errors: [String] = []
        let page = Page(query, order: .desc, &errors)
        guard errors.isEmpty else { throw .invalid(errors) }
        return page
    }

    private init(_ query: QueryItems, order: Order = .asc, _ errors: inout [String]) {
        self.init(limit: Self.limit(query, &errors), order: order)
        if let value = query["after"] {
            self.after = value.flatMap { Int64(digits: $0[...]) }
            if after == nil { errors.append("After must be a number from 0 to 9223372036854775807") }
        }
        if let value = query["before"] {
            self.before = value.flatMap { Int64(digits: $0[...]) }
            if before == nil { errors.append("Before must be a number from 0 to 9223372036854775807") }
        }
        if let value = query["order"] {
            if let order = [Order.asc, .desc].first(where: { value?.utf8.elementsEqual($0.rawValue.utf8) == true }) {
                self.order = order
            } else {
                errors.append("Order must be asc or desc")
            }
        }
    }

    private static func limit(_ query: QueryItems, _ errors: inout [String]) -> Int {
        guard let value = query["limit"] else { return defaultLimit }
        if let limit = value.flatMap({ Int64(digits: $0[...]) }).flatMap({ Int(exactly: $0) }), limits.contains(limit) {
            return limit
        }
        errors.append("Limit must be a number from 1 to 1000")
        return defaultLimit
    }
}

extension Page {
    /// The `Link` header to the next page of a list in the order of users' ids; nil without a last one.
    static func link(path: String, after user: User.ID?, limit: Int) -> String? {
        user.map { "<\(path)?after=\($0.text.percentEncoded)&limit=\(limit)>; rel=\"next\"" }
    }

    /// The `Link` header to the rest of a walk through a list that was not finished.
    ///
    /// - Parameters:
    ///   - number: the last one that the walk has passed.
    ///   - extra: see `PageOf.links`.
    func link(path: String, after number: Int64, extra: String) -> String {
        let far = walksUp ? before.map { "&before=\($0)" } : after.map { "&after=\($0)" }
        let cursor = (walksUp ? "after=" : "before=") + "\(number)" + (far ?? "")
        let rel = walksUp == (order == .asc) ? "next" : "prev"
        return "<\(path)?\(cursor)&limit=\(limit)\(order == .asc ? "" : "&order=desc")\(extra)>; rel=\"\(rel)\""
    }
}

extension PageOf {
    /// The `Link` header (RFC 8288) to the next and the previous page; nil if there are none.
    ///
    /// - Parameters:
    ///   - path: the list's own path.
    ///   - extra: further parameters of the query, encoded and with a leading `&`: `&q=a%20b`.
    func links(path: String, page: Page, extra: String = "", number: (Item) -> Int64) -> String? {
        let ascends = page.order == .asc
        let common = "&limit=\(page.limit)" + (ascends ? "" : "&order=desc") + extra
        func link(_ rel: String, _ cursor: String) -> String { "<\(path)?\(cursor)\(common)>; rel=\"\(rel)\"" }
        // An empty page has no first or last item: its cursor takes their place.
        func after(_ item: Item?, or edge: Int64?) -> String { "after=\(item.map(number) ?? max(edge ?? 0, 1) - 1)" }
        func before(_ item: Item?, or edge: Int64?) -> String {
            "before=\(item.map(number) ?? min(edge ?? 0, .max - 1) + 1)"
        }
        var links: [String] = []
        if hasNext {
            // Pages of a window between two cursors keep its far bound.
            let isWindow = page.after != nil && page.before != nil
            let bound = !isWindow ? "" : ascends ? "&before=\(page.before!)" : "&after=\(page.after!)"
            let cursor = ascends ? after(items.last, or: page.before) : before(items.last, or: page.after)
            links.append(link("next", cursor + bound))
        }
        if hasPrevious {
            let cursor = ascends ? before(items.first, or: page.after) : after(items.first, or: page.before)
            links.append(link("prev", cursor))
        }
        return links.isEmpty ? nil : links.joined(separator: ", ")
    }
}
