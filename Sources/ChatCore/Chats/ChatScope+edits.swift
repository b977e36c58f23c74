extension ChatScope {
    private var changes: any MessageChanges { tenant.service.backend.changes }

    /// Edits a message; durable when this returns.
    ///
    /// - Parameter expected: only if the message's revision is one of these.
    /// - Throws: `ChatError.notFound`, `.notAllowed`, `.insufficientRole`, `.editWindowClosed`, `.messageDeleted`,
    ///   `.changedMeanwhile`; `.invalid` for bad content; what `GroupCommit.submit` throws.
    package func edit(
        _ number: Substring, _ patch: MessagePatch, expecting expected: Set<Int64>? = nil, key: String? = nil
    ) async throws -> ChangedMessage {
        try patch.check()
        return try await change(number, .edit(patch), expected, key)
    }

    /// Deletes a message for ever: its number stays, its content does not (`MessageRemains`).
    ///
    /// - Throws: likewise.
    package func delete(
        _ number: Substring, expecting expected: Set<Int64>? = nil, key: String? = nil
    ) async throws -> ChangedMessage {
        try await change(number, .delete, expected, key)
    }

    private func change(
        _ number: Substring, _ action: MessageChange.Action, _ expected: Set<Int64>?, _ key: String?
    ) async throws -> ChangedMessage {
        try tenant.access.require(.write)
        guard let number = Message.Number(digits: number) else { throw ChatError.notFound }
        let key = try key.map {
            try IdempotencyKey($0, content: MessageChange.fingerprinted(action, of: number, by: tenant.access.user))
        }
        return try await tenant.service.changeWriter.submit(
            MessageChange(
                chat: place, number: number, action: action, expected: expected, key: key,
                author: tenant.access.author, client: tenant.access.client, rules: tenant.service.edits))
    }

    /// The replaced contents of a message, by their revisions.
    ///
    /// - Throws: `ChatError.notFound`; `.insufficientRole` for a user who does not administer the chat; `.notAllowed`.
    package func versions(of number: Substring, _ page: Page) async throws -> PageOf<MessageVersion> {
        if let standing { try standing.checkAdministers() } else { try tenant.access.require(.read) }
        let message = try await message(number)
        let rules = tenant.service.edits
        return try await changes.versions(
            of: message.number, in: id, page: page, since: rules.oldest(at: tenant.service.clock.now()))
    }

    /// How many of the messages that are there for the principal were deleted.
    package func deletedCount() async throws -> Int64 {
        try await read { scope in
            try await changes.deletedCount(in: scope.id, of: scope.standing?.numbers ?? .all)
        }
    }

    /// Looks up the messages that a content names. They stay, and so does their place in a thread; so this need not be in the
    /// transaction of the create.
    ///
    /// - Throws: `ChatError.invalid` if one is not there for the principal, or the thread's first message is in a thread.
    package func checkReferences(of content: MessageContent) async throws {
        func find(_ number: Message.Number) async throws -> Message? {
            do { return try await message("\(number.rawValue)") } catch ChatError.notFound { return nil }
        }
        if let thread = content.thread {
            guard let root = try await find(thread), root.content.thread == nil else {
                throw ChatError.invalid(["Thread must be the number of a message that is in no thread"])
            }
        }
        if let replyTo = content.replyTo {
            guard try await find(replyTo) != nil else {
                throw ChatError.invalid(["Reply_to must be the number of a message"])
            }
        }
    }
}
