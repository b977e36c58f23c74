import ChatCore
import HTTPTypes

/// Searches, in a chat and in all chats of an application.
struct SearchController {
    let scopes: Scopes
    let budget: ByteBudget

    func add(to routes: Routes) {
        routes.onJSON(.get, "/applications/{token}/messages/search", scopes.tenant(.read, searchAll))
        routes.onJSON(.get, "/applications/{token}/chats/{chat_number}/messages/search", scopes.chat(.read, search))
    }

    @Sendable private func search(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let items = QueryItems(call.request.query)
        let page = try Page(items)
        let search = try SearchParameters(items)
        let (bounded, memory) = try budget.bounded(page, for: call.client)
        return .task {
            defer { memory.release() }
            let path = "\(chat.path)/messages/search"
            let found: PageOf<Message>
            let highlights: [[Range<Int>]]
            do {
                (found, highlights) = try await call.whileClientStays {
                    try await chat.search(search.query, bounded, from: call.client)
                }
            } catch let error as ChatError {
                guard case .searchTimedOut(let passed?) = error else { throw error }
                var problem = Problem(error)
                problem.link = page.link(path: path, after: passed, extra: search.inLinks)
                throw problem
            }
            var response = Response(
                json: zip(found.items, highlights).map { SearchHitAnswer(message: $0, highlights: $1) })
            response.add(
                "Link", found.links(path: path, page: page, extra: search.inLinks, number: \.number.rawValue))
            return response
        }
    }

    @Sendable private func searchAll(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let items = QueryItems(call.request.query)
        let (limit, cursor) = try Page.hits(items)
        let search = try SearchParameters(items)
        let (bounded, memory) = try budget.bounded(Page(limit: limit), for: call.client)
        return .task {
            defer { memory.release() }
            let page = TenantSearchPage(limit: limit, bytes: bounded.bytes)
            let (found, highlights) = try await call.whileClientStays {
                try await tenant.search(search.query, page, after: cursor, from: call.client)
            }
            let link = found.next(after: cursor).map { next in
                "<\(tenant.path)/messages/search?after=\(next)&limit=\(limit)\(search.inLinks)>; "
                    + "rel=\"next\""
            }
            if found.hits.isEmpty, let link {
                var problem = Problem(ChatError.searchTimedOut(passed: nil))
                problem.link = link
                throw problem
            }
            var response = Response(
                json: zip(found.hits, highlights).map { hit, highlights in
                    SearchHitAnswer(chatNumber: hit.chatNumber, message: hit.message, highlights: highlights)
                })
            if found.fellBack { response.add("Luciq-Search", "sql") }
            response.add("Link", link)
            return response
        }
    }
}

/// What a search looks for, as a query string says it.
private struct SearchParameters {
    let query: SearchQuery
    /// The same for the links to other pages, encoded and with a leading `&`.
    let inLinks: String

    /// - Throws: `ChatError.invalid`.
    init(_ items: QueryItems) throws(ChatError) {
        guard let q = items["q"] ?? "" else { throw .invalid(["Q must be percent-encoded UTF-8"]) }
        let text = try SearchText(q)
        var errors: [String] = []
        var links = "&q=\(q.percentEncoded)"
        func time(_ name: StaticString, _ label: String) -> Timestamp? {
            guard let value = items[name] else { return nil }
            guard let value, let time = Timestamp(rfc3339: value) else {
                errors.append("\(label) must be a time as in RFC 3339, such as 2026-11-22T16:57:44Z (+ is %2B)")
                return nil
            }
            links += "&\(name)=\(value.percentEncoded)"
            return time
        }
        let (after, before) = (time("after_time", "After_time"), time("before_time", "Before_time"))
        var sender: User.ID?
        if let value = items["from"] {
            sender = value.flatMap { User.ID($0) }
            if let sender {
                links += "&from=\(sender.text.percentEncoded)"
            } else {
                errors.append("From must be the id of a user")
            }
        }
        query = SearchQuery(text, after: after, before: before, sender: sender)
        inLinks = links
        guard errors.isEmpty else { throw .invalid(errors) }
    }
}
