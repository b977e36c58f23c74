package import NIOCore

extension ChatScope {
    private var changes: any MessageChanges { tenant.service.backend.changes }

    /// An edit of a message, for `submit`.
    ///
    /// - Parameter expected: only if the message's revision is one of these.
    /// - Throws: `ChatError.notFound`, `.notAllowed`; `.invalid` for bad content.
    package func editing(
        _ number: Substring, _ patch: MessagePatch, expecting expected: Set<Int64>? = nil, key: String? = nil
    ) throws(ChatError) -> MessageChange {
        try patch.check()
        return try change(number, .edit(patch), expected, key)
    }

    /// A deletion for ever: the number stays, the content does not (`MessageRemains`).
    ///
    /// - Throws: likewise.
    package func deleting(
        _ number: Substring, expecting expected: Set<Int64>? = nil, key: String? = nil
    ) throws(ChatError) -> MessageChange {
        try change(number, .delete, expected, key)
    }

    /// - Throws: likewise.
    func change(
        _ number: Substring, _ action: MessageChange.Action, _ expected: Set<Int64>? = nil, _ key: String? = nil
    ) throws(ChatError) -> MessageChange {
        try tenant.access.require(.write)
        guard let number = Message.Number(digits: number) else { throw ChatError.notFound }
        var known: IdempotencyKey?
        if let key {
            known = try IdempotencyKey(
                key, content: MessageChange.fingerprinted(action, of: number, by: tenant.access.user))
        }
        return MessageChange(
            chat: place, number: number, action: action, expected: expected, key: known,
            author: tenant.access.author, client: tenant.access.client, rules: tenant.service.edits)
    }

    /// Changes a message; durable when this returns.
    ///
    /// - Throws: `ChatError.notFound`, `.insufficientRole`, `.editWindowClosed`, `.messageDeleted`, `.changedMeanwhile`,
    ///   `.tooManyReactions`, `.tooManyPins`; what `GroupCommit.submit` throws.
    package func submit(_ change: MessageChange) async throws(ChatError) -> ChangedMessage {
        try await tenant.service.changeWriter.submit(change)
    }

    /// The same without waiting for the outcome.
    ///
    /// - Parameter done: called once, on the event loop (see `GroupCommit.submit`).
    package func submit(
        _ change: MessageChange, on eventLoop: any EventLoop,
        _ done: @escaping @Sendable (Result<ChangedMessage, ChatError>) -> Void
    ) {
        tenant.service.changeWriter.submit(change, on: eventLoop, done)
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
