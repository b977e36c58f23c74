extension ChatScope {
    private var threads: any ThreadStore { tenant.service.backend.threads }

    /// A page of the replies that are there for the principal.
    package func replies(to root: Message.Number, _ page: Page) async throws -> PageOf<Message> {
        try await read { scope in
            var page = page
            page.numbers = scope.standing?.numbers ?? .all
            return try await threads.replies(to: root, in: scope.id, page: page)
        }
    }

    /// The summaries of the threads that some messages are in; read after them. Costs a query if there are any.
    ///
    /// A principal to whom not all messages are there is told none: they count what it does not see.
    package func threads(of messages: [Message]) async throws -> [Message.Number: ThreadSummary] {
        let roots = Set(messages.compactMap(\.content.thread))
        guard !roots.isEmpty, standing?.numbers ?? .all == .all else { return [:] }
        return try await read { scope in try await threads.threads(roots.sorted(), in: scope.id) }
    }
}
