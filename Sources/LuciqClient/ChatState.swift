/// What is known of one chat: a value without network and clock.
///
/// Whatever is lost, repeated or late, it ends in the state that a reload would show:
///
/// - Messages are kept by number. A part of one (its content, its reactions) is taken only if its revision is not lower
///   than the one that is held. What an event leaves out stays as it is.
/// - The cursor is taken over after the event was applied, and neither part of it ever falls.
/// - Changes of messages that are not held are put aside: a page that was read before them may still be under way.
public struct ChatState: Sendable, Equatable {
    /// Whether what is new comes at once.
    public enum Connection: Sendable, Equatable {
        case waiting
        case live
        /// It comes back by itself.
        case lost(CallFailure)
    }

    /// What an event was to a state.
    public enum Outcome: Sendable, Equatable {
        /// A message that was not held.
        case added
        /// A change that is not older than what is held.
        case changed
        /// Nothing new.
        case nothing
    }

    /// As `ChatUpdates` has told.
    public private(set) var connection = Connection.waiting
    /// From `first` to `head`, by number, without a gap.
    public private(set) var messages: [ChatMessage] = []
    /// The number up to which everything was delivered; 0 before the first message.
    public private(set) var head: Int64 = 0
    /// The number from which on everything is held.
    public private(set) var first: Int64 = 1

    private var position: ChatCursor?
    private var aside = Aside()
    /// By the message that begins the thread; as long as a reply is held.
    private var threads: [Int64: ChatMessage.Root] = [:]

    /// A state that knows nothing.
    public init() {}

    /// - Parameter most: changes of messages that are not held.
    init(asideAtMost most: Int) { aside = Aside(most: most) }

    /// A state that begins after a cursor, without what was before.
    ///
    /// - Returns: nil if the text is not a cursor.
    public init?(after cursor: String) {
        guard let position = ChatCursor(cursor) else { return nil }
        self.position = position
        (head, first) = (position.number, position.number + 1)
        aside.since = position.revision ?? 0
    }

    /// Where to resume from; nil before anything was told.
    public var cursor: String? { position?.text }

    /// Whether a page before `first` would have more.
    public var hasOlder: Bool { first > 1 }

    /// The message with this number, if it is held.
    public subscript(_ number: Int64) -> ChatMessage? {
        let place = place(of: number)
        return place < messages.count && messages[place].number == number ? messages[place] : nil
    }

    /// Takes what `ChatUpdates` brings.
    @discardableResult
    public mutating func apply(_ update: ChatUpdate) -> Outcome {
        switch update {
        case .loaded(let page): load(page)
        case .connected: connection = .live
        case .lost(let failure, _): connection = .lost(failure)
        case .event(let event): return apply(event)
        }
        return .nothing
    }

    /// Applies an event, and then takes its cursor over.
    @discardableResult
    public mutating func apply(_ event: ChatEvent) -> Outcome {
        let outcome: Outcome
        switch event.content {
        case .message(let message): outcome = receive(message)
        case .change(let change): outcome = revise(change)
        case .other: outcome = .nothing
        }
        if let cursor = event.cursor { advance(to: cursor) }
        return outcome
    }

    /// Begins anew, with the newest messages.
    public mutating func load(_ page: ChatPage) {
        self = ChatState(asideAtMost: aside.most)
        guard let position = ChatCursor(page.cursor) else { return }
        self.position = position
        head = position.number
        aside.since = position.revision ?? 0
        first = page.hasOlder ? page.messages.first?.number ?? head + 1 : 1
        // Above the cursor a list may have 43 and not yet 42. They come by themselves.
        for message in page.messages where message.number <= head { put(message) }
        first = min(first, head + 1)
    }

    /// Takes a page of older messages.
    ///
    /// - Returns: whether it was taken. If not, it does not border on what is held any more, or is older than a change
    ///   that may be missing in it, or of before a restore: ask for another one, before `first`.
    @discardableResult
    public mutating func merge(_ page: ChatPage) -> Bool {
        guard let at = ChatCursor(page.cursor), let position, at.epoch == position.epoch,
            at.revision ?? 0 >= aside.since, page.before ?? Int64.max >= first
        else { return false }
        for message in page.messages where message.number <= head { put(message) }
        if page.hasOlder {
            first = min(first, page.messages.first?.number ?? first)
        } else {
            first = 1
        }
        return true
    }

    /// Drops the oldest messages beyond a number of them. They can be loaded again.
    public mutating func trim(to most: Int) {
        guard messages.count > max(0, most) else { return }
        let dropped = messages.prefix(messages.count - max(0, most))
        messages.removeFirst(dropped.count)
        for message in dropped {
            if let root = message.thread { threads[root] = nil }
            // A page that was read before its last change may still be under way.
            if max(message.revision, message.reactionsRevision) > aside.since { aside.put(MessageChange(message)) }
            first = message.number + 1
        }
    }

    // MARK: The rule

    /// One that came by itself.
    private mutating func receive(_ message: ChatMessage) -> Outcome {
        if message.number > head {
            head = message.number
        } else if message.number < first {
            aside.put(MessageChange(message))
            return .nothing
        }
        return put(message)
    }

    @discardableResult
    private mutating func put(_ message: ChatMessage) -> Outcome {
        let place = place(of: message.number)
        guard place == messages.count || messages[place].number != message.number else {
            return revise(MessageChange(message))
        }
        var new = message
        new.root = nil
        new.replies = threads[message.number].map { .init(count: $0.reply_count, last: $0.last_reply) }
        new.settle()
        messages.insert(new, at: place)
        reply(message.root)
        if let change = aside.take(message.number) { _ = revise(change) }
        return .added
    }

    /// A part is taken only if its revision is not lower than the one held.
    private mutating func revise(_ change: MessageChange) -> Outcome {
        let place = place(of: change.number)
        guard place < messages.count, messages[place].number == change.number else {
            // Changes of what is still to come are in what comes.
            return change.number <= head && aside.put(change) ? .changed : .nothing
        }
        var message = messages[place]
        var outcome = Outcome.nothing
        if let content = change.content, content.revision >= message.revision {
            content.apply(to: &message)
            outcome = .changed
        }
        if let reactions = change.reactions, reactions.rev >= message.reactionsRevision {
            (message.reactions, message.reactionsRevision) = (reactions.summary, reactions.rev)
            outcome = .changed
        }
        message.settle()
        messages[place] = message
        reply(change.root)
        return outcome
    }

    /// What a reply says about the message that began its thread, which takes no revision for it.
    private mutating func reply(_ root: ChatMessage.Root?) {
        guard let root else { return }
        // Both numbers only rise.
        let known = threads[root.number] ?? root
        let newest = ChatMessage.Root(
            number: root.number, reply_count: max(known.reply_count, root.reply_count),
            last_reply: max(known.last_reply, root.last_reply))
        threads[root.number] = newest
        let place = place(of: root.number)
        guard place < messages.count, messages[place].number == root.number else { return }
        messages[place].replies = .init(count: newest.reply_count, last: newest.last_reply)
    }

    /// Neither part of the cursor falls.
    private mutating func advance(to text: String) {
        guard let next = ChatCursor(text) else { return }
        if let position {
            guard next.epoch == position.epoch else { return }
        } else if head == 0 {
            // Where the stream begins: what was before is not here.
            first = next.number + 1
            aside.since = next.revision ?? 0
        }
        head = max(head, next.number)
        if position.map(next.isAtLeast) ?? true { position = next }
    }

    /// Where a number is among the messages, or would be.
    private func place(of number: Int64) -> Int {
        guard let last = messages.last, last.number >= number else { return messages.count }
        var (low, high) = (0, messages.count)
        while low < high {
            let middle = (low + high) / 2
            if messages[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension ChatMessage {
    /// A deletion takes the reactions along.
    fileprivate mutating func settle() { if isDeleted { (reactions, reactionsRevision) = ([], 0) } }
}
