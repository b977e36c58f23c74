import ChatCore

extension Page {
    /// Reads `limit`, `after`, `before` and `order`.
    ///
    /// - Throws: `ChatError.invalid` with a sentence for each bad value.
    init(_ query: QueryItems) throws(ChatError) {
        self.init()
        var errors: [String] = []
        if let value = query["limit"] {
            if let limit = value.flatMap({ Int64(digits: $0[...]) }).flatMap({ Int(exactly: $0) }),
                Self.limits.contains(limit)
            {
                self.limit = limit
            } else {
                errors.append("Limit must be a number from 1 to 1000")
            }
        }
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
        guard errors.isEmpty else { throw .invalid(errors) }
    }
}

extension PageOf {
    /// The RFC 8288 `Link` value for the pages beside this one; nil when there are none.
    ///
    /// - Parameters:
    ///   - path: the list's own path.
    ///   - extra: what else the query must carry, encoded, with its `&`: `&q=a%20b`.
    func links(path: String, page: Page, extra: String = "", number: (Item) -> Int64) -> String? {
        let ascends = page.order == .asc
        let common = "&limit=\(page.limit)" + (ascends ? "" : "&order=desc") + extra
        func link(_ rel: String, _ cursor: String) -> String { "<\(path)?\(cursor)\(common)>; rel=\"\(rel)\"" }
        // Where a page is empty, its cursor stands in for the item it lacks.
        func after(_ item: Item?, or edge: Int64?) -> String { "after=\(item.map(number) ?? max(edge ?? 0, 1) - 1)" }
        func before(_ item: Item?, or edge: Int64?) -> String {
            "before=\(item.map(number) ?? min(edge ?? 0, .max - 1) + 1)"
        }
        var links: [String] = []
        if hasNext {
            // A window between two cursors keeps its far side while it is walked.
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
