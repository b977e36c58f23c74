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

    /// The messages, each reply with its root: the one that it has, or as of now. Costs a query if one is missing.
    ///
    /// A principal to whom not all messages are there is told none: they count what it does not see.
    package func tellingThreads(_ messages: [Message]) async throws -> [Message] {
        guard standing?.numbers ?? .all == .all else { return messages.map(\.withoutRoot) }
        guard messages.contains(where: \.lacksRoot) else { return messages }
        return try await read { scope in
            let found = try await threads.threads(of: messages, in: scope.id)
            return messages.map { $0.telling(found) }
        }
    }

    package func tellingThreads(_ page: PageOf<Message>) async throws -> PageOf<Message> {
        PageOf(try await tellingThreads(page.items), as: page)
    }

    package func tellingThread(_ message: Message) async throws -> Message { try await tellingThreads([message])[0] }
}
