package import NIOCore

/// One chat of one tenant, with the permissions of the request's principal.
package struct ChatScope: Sendable {
    package let id: Chat.ID
    package let number: Chat.Number
    package let tenant: TenantScope
    /// What the user is in the chat; nil if the principal is no user.
    package var standing: Standing?

    private var messageStore: any MessageStore { tenant.service.backend.messages }

    /// Reads by the chat's id, like `TenantScope.read`.
    func read<Result>(_ body: (ChatScope) async throws -> Result) async throws -> Result {
        try await tenant.read { try await body($0.epoch == tenant.epoch ? self : $0.chat(number)) }
    }

    /// - Throws: `ChatError.notFound` if it is gone.
    package func details() async throws -> Chat {
        try await read { scope in
            guard let chat = try await scope.storedDetails() else { throw ChatError.notFound }
            return chat
        }
    }

    /// The chat as it is for the principal.
    func storedDetails() async throws -> Chat? {
        var chat = try await tenant.service.backend.chats.chat(number, in: tenant.id)
        if let numbers = limits {
            chat?.messagesCount = try await tenant.service.backend.members.messageCount(of: id, in: numbers)
        }
        return chat
    }

    /// Exact as soon as a create is answered.
    package func messageCount() async throws -> Int64 {
        try await read { scope in
            if let numbers = scope.limits {
                return try await tenant.service.backend.members.messageCount(of: scope.id, in: numbers)
            }
            guard let count = try await messageStore.count(in: scope.id) else { throw ChatError.notFound }
            return count
        }
    }

    /// The messages that are there for the principal; nil if all are.
    private var limits: NumberSpan? { standing.flatMap { $0.numbers == .all ? nil : $0.numbers } }

    /// - Throws: `ChatError.notFound` if the message is not there for the principal.
    private func check(_ number: Message.Number) throws(ChatError) {
        if let limits, !limits.contains(number.rawValue) { throw .notFound }
    }

    /// A page of what is there for the principal.
    private func limited(_ page: Page) -> Page {
        var page = page
        page.numbers = limits ?? .all
        return page
    }

    /// A message's content, with its sender.
    ///
    /// - Parameters:
    ///   - sender: the id of a user.
    ///   - metadata: one JSON value.
    ///   - thread: a number; so is `replyTo`. Whether there are such messages says `checkReferences`.
    ///   - isInMain: whether a reply stands in the main line too.
    ///   - mentions: ids of users.
    /// - Throws: `ChatError.notAllowed`; `.invalid` for a sender that is no user's id, and for bad metadata, mentions and
    ///   numbers.
    package func content(
        _ body: String, sender: String? = nil, metadata: [UInt8]? = nil, thread: String? = nil, replyTo: String? = nil,
        isInMain: Bool = false, mentions: [String] = []
    ) throws(ChatError) -> MessageContent {
        var content = try content(body, by: sender)
        if !mentions.isEmpty { content.mentions = try Mentions(naming: mentions) }
        guard thread != nil || !isInMain else { throw .invalid(["In_main is for messages in a thread"]) }
        guard metadata != nil || thread != nil || replyTo != nil else { return content }
        if let metadata { content.metadata = try Metadata.merge(metadata, into: nil) }
        func number(_ text: String?, _ name: String) throws(ChatError) -> Message.Number? {
            guard let text else { return nil }
            guard let number = Message.Number(digits: text[...]) else {
                throw .invalid(["\(name) must be the number of a message"])
            }
            return number
        }
        return MessageContent(
            body: body, sender: content.sender, metadata: content.metadata, thread: try number(thread, "Thread"),
            replyTo: try number(replyTo, "Reply_to"), isInMain: isInMain, mentions: content.mentions)
    }

    private func content(_ body: String, by sender: String?) throws(ChatError) -> MessageContent {
        try tenant.access.require(.write)
        let named = try sender.map { text throws(ChatError) in try User.ID(text, named: "Sender") }
        switch tenant.access.principal {
        // The application's own servers: they may say who speaks.
        case .admin, .applicationKey, .pathToken: return MessageContent(body: body, sender: named)
        // Nobody speaks for somebody else.
        case .user(_, let user):
            guard named == nil || named == user else { throw .insufficientRole }
            return MessageContent(body: body, sender: user)
        }
    }

    /// Appends a message; durable when this returns.
    ///
    /// - Throws: `ChatError.notAllowed`; `.invalid` for a bad content; what `GroupCommit.submit` throws.
    package func send(_ content: MessageContent, key: IdempotencyKey? = nil) async throws -> AppendedMessage {
        switch try await tenant.service.chatWriter.submit(change(content, key)) {
        case .message(let appended): return appended
        }
    }

    /// Appends a message without waiting for the outcome.
    ///
    /// - Parameter done: called once, on the event loop (see `GroupCommit.submit`).
    package func send(
        _ content: MessageContent, key: IdempotencyKey?, on eventLoop: any EventLoop,
        _ done: @escaping @Sendable (Result<AppendedMessage, ChatError>) -> Void
    ) {
        do throws(ChatError) {
            let change = try change(content, key)
            tenant.service.chatWriter.submit(change, on: eventLoop) { result in
                done(
                    result.map { outcome in
                        switch outcome {
                        case .message(let appended): appended
                        }
                    })
            }
        } catch {
            done(.failure(error))
        }
    }

    private func change(_ content: MessageContent, _ key: IdempotencyKey?) throws(ChatError) -> ChatChange {
        try tenant.access.require(.write)
        try standing?.checkMayWrite()
        try content.check()
        return .message(
            NewMessage(
                tenant: tenant.id, chat: id, content: content, key: key,
                origin: Origin(token: tenant.token, chat: number, epoch: tenant.epoch), client: tenant.access.client,
                author: tenant.access.author))
    }

    /// Reads a message without waiting.
    ///
    /// - Returns: nil if only `message(_:)` can read it.
    /// - Throws: the errors of `message(_:)`.
    package func messageNow(_ number: Substring) throws -> Message? {
        guard let number = Message.Number(digits: number) else { throw ChatError.notFound }
        // One that is not there for the principal is looked up too, as one that does not exist is.
        let message = try tenant.readNow { try $0.messageNow(number, in: id) }
        if message != nil { try check(number) }
        return message
    }

    /// Reads a page without waiting, if its bodies are at most `page.bytes`.
    ///
    /// - Returns: nil if only `messages(_:around:)` can read it.
    package func messagesNow(_ page: Page, around number: Message.Number? = nil) throws -> PageOf<Message>? {
        let page = limited(page)
        return try tenant.readNow { local in
            guard let number else { return try local.messagesNow(in: id, page: page) }
            let (below, above) = page.halves(around: number)
            guard let below = try local.messagesNow(in: id, page: below),
                let above = try local.messagesNow(in: id, page: above)
            else { return nil }
            return PageOf(below, above, order: page.order)
        }
    }

    /// - Throws: `ChatError.notFound` when this chat has no such message, or `number` is not a number.
    package func message(_ number: Substring) async throws -> Message {
        guard let number = Message.Number(digits: number) else { throw ChatError.notFound }
        return try await read { scope in
            // One that is not there for the principal is looked up too, as one that does not exist is.
            guard let message = try await messageStore.message(number, in: scope.id) else { throw ChatError.notFound }
            try scope.check(number)
            return message
        }
    }

    /// - Parameter number: the page has this message, if there is one, in its middle; `after` and `before` do not count.
    package func messages(_ page: Page, around number: Message.Number? = nil) async throws -> PageOf<Message> {
        try await read { scope in
            let page = scope.limited(page)
            guard let number else { return try await messageStore.messages(in: scope.id, page: page) }
            let (below, above) = page.halves(around: number)
            return PageOf(
                try await messageStore.messages(in: scope.id, page: below),
                try await messageStore.messages(in: scope.id, page: above), order: page.order)
        }
    }

    /// Starts a live subscription.
    ///
    /// - Parameters:
    ///   - cursor: where to start; nil: at the next message.
    ///   - hasChanges: whether it also gets what changes of the messages that it has; it does with a cursor that has a
    ///     revision. With a plain one it gets all changes.
    ///   - hasReads: whether it is told how far others have read, now and from now on.
    ///   - presence: users of whom it is told whether they are online.
    ///   - slot: kept as long as the subscription.
    /// - Throws: the errors of `Hub.subscribe`; `ChatError.notFound` for a user who was removed; `.cursorEpoch` for a
    ///   cursor of another epoch, or with a revision, that is beyond the head.
    package func subscribe(
        after cursor: Cursor? = nil, hasChanges: Bool = false, hasReads: Bool = false, presence: [User.ID] = [],
        holding slot: StreamSlots.Slot? = nil
    ) async throws(ChatError) -> ChatSubscription {
        do {
            let opening = try await tenant.access.open(holding: slot)
            return try await read { found in
                var scope = found
                while true {
                    // A plain number is of the first epoch.
                    if let cursor, cursor.revision != nil || cursor.epoch != tenant.service.backend.cursorEpoch {
                        try await scope.check(cursor)
                    }
                    let subscription = try await scope.subscribe(
                        after: cursor, hasChanges: hasChanges || cursor?.revision != nil, hasReads: hasReads, opening)
                    // After it has joined: what is stored from now on comes by itself.
                    if hasReads { subscription.greet(with: try await scope.greetingReads()) }
                    if !presence.isEmpty { subscription.watch(try await scope.tenant.watch(presence)) }
                    guard let numbers = scope.standing?.numbers else { return subscription }
                    // Look again: a change since then has not met the subscription.
                    scope = try await scope.tenant.chat(number)
                    guard let now = scope.standing, now.role != nil else { throw ChatError.notFound }
                    if now.numbers.first <= numbers.first { return subscription }
                }
            }
        } catch {
            throw ChatError(store: error)
        }
    }

    private func subscribe(
        after cursor: Cursor?, hasChanges: Bool, hasReads: Bool, _ opening: Opening
    ) async throws -> ChatSubscription {
        if let standing, standing.role == nil { throw ChatError.notFound }
        let viewer = standing.flatMap { standing in
            tenant.access.user.map {
                Viewer(user: Memberships.Key(tenant: tenant.id, chat: number, user: $0), numbers: standing.numbers)
            }
        }
        let start = limits.map { limits in
            cursor.map { $0.at(max($0.number, limits.first - 1)) }
        }
        return try await tenant.service.hub.subscribe(
            to: id, of: tenant.id, from: tenant.access.client, after: start ?? cursor, hasChanges: hasChanges,
            hasReads: hasReads, opening, by: viewer)
    }

    /// Waits for the tenant's turn. Ends soon after the task is cancelled.
    ///
    /// - Returns: the page, and the highlights of each of its messages.
    /// - Throws: what `ScanGate.pass` throws; `ChatError.searchTimedOut`.
    package func search(
        _ query: SearchQuery, _ page: Page, from client: IPAddress
    ) async throws -> (page: PageOf<Message>, highlights: [[Range<Int>]]) {
        try await read { scope in
            let page = scope.limited(page)
            return try await tenant.service.scans.pass(scope.tenant.id, from: client) {
                let found = try await messageStore.search(query, in: scope.id, page: page)
                return (found, try SearchHighlights(query.text).ranges(ofHits: found.items))
            }
        }
    }
}
