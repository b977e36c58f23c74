import ChatCore
import NIOCore

/// The state machine of one client's requests, without a socket or a store: requests and outcomes go in, actions come
/// out.
///
/// Messages of one chat are stored one after the other, so that their numbers rise in the order of arrival; those of
/// different chats are stored at the same time. A received message is stored even if the connection closes. An orderly
/// end waits for the answers to all sent messages.
struct SocketSession {
    /// One subscription of the connection. A second subscription to the same chat has another id.
    struct SubscriptionID: Hashable, Sendable {
        fileprivate let value: UInt64
    }

    /// What a request says in a message, before anything is checked.
    struct Content: Equatable, Sendable {
        let body: String
        var sender: String?
        /// Not checked.
        var mentions: [String] = []

        /// In bytes.
        var size: Int { mentions.reduce(body.utf8.count + (sender?.utf8.count ?? 0)) { $0 + 16 + $1.utf8.count } }
    }

    struct Sending: Equatable, Sendable {
        let chat: Chat.Number
        let content: Content
        let ref: String?
        /// The idempotency key.
        var key: String?
    }

    /// That a user writes.
    struct Typing: Equatable, Sendable {
        let chat: Chat.Number
        let user: String?
        let ref: String?
    }

    /// Whom a connection wants to know of, instead of those before.
    struct Watching: Equatable, Sendable {
        let users: [String]
        let ref: String?
        /// The last one counts.
        let number: UInt64
    }

    enum Action {
        case answer(any JSONWritable & Sendable)
        /// The caller must call `ended` for it, and may call `opened` before.
        case subscribe(SubscriptionID, Chat.Number, StreamStart)
        case cancel(SubscriptionID)
        /// The caller must call `finished` for it.
        case send(Sending)
        /// The caller must call `finished` for it.
        case type(Typing)
        /// The caller must call `finished` for it.
        case watch(Watching)
        /// The client shows a newer token.
        case authenticate(String, ref: String?)
        /// Close the connection with this close frame.
        case close(WebSocketClosure)
        /// Answer the client's close frame: all its requests are answered.
        case closeBack(UInt16?)
    }

    enum Ending: Equatable {
        case goingAway
        case clientsWish(UInt16?)
    }

    private struct Subscription {
        let chat: Chat.Number
        /// The request's `ref`, until the request is answered.
        var ref: String?
        var isOpen = false
    }

    private let limits: LiveLimits
    /// All subscriptions that have not ended yet, cancelled ones included.
    private var subscriptions: [SubscriptionID: Subscription] = [:]
    private var wanted: [Chat.Number: SubscriptionID] = [:]
    private var lastID: UInt64 = 0
    /// By chat; the first message of each is being stored.
    private var sendings: [Chat.Number: CircularBuffer<Sending>] = [:]
    private var sendingCount = 0
    /// Bytes of the messages that are not stored yet.
    private(set) var sendingBytes = 0
    private var ending: Ending?

    init(limits: LiveLimits) { self.limits = limits }

    var isEnding: Bool { ending != nil }

    /// Whether another request may be read.
    var mayReceive: Bool { sendingCount < limits.sends && sendingBytes < Self.mostSendingBytes }

    /// In bytes: enough for a few of the largest messages.
    private static let mostSendingBytes = 128 << 10

    /// Whether the subscription is not cancelled.
    func isWanted(_ id: SubscriptionID) -> Bool {
        subscriptions[id].map { wanted[$0.chat] == id } ?? false
    }

    /// - Parameter text: valid UTF-8.
    mutating func receive(_ text: ByteBuffer) -> [Action] {
        ending == nil ? receive(Result { () throws(SocketRefusal) in try SocketRequest(text) }) : []
    }

    /// - Parameter request: the parsed message.
    mutating func receive(_ request: Result<SocketRequest, SocketRefusal>) -> [Action] {
        guard ending == nil else { return [] }
        do throws(SocketRefusal) {
            let request = try request.get()
            switch request.command {
            case .subscribe(let chat, let start): return subscribe(to: chat, start, request.ref)
            case .unsubscribe(let chat): return unsubscribe(from: chat, request.ref)
            case .authenticate(let token): return [.authenticate(token, ref: request.ref)]
            case .type(let chat, let user):
                // It counts as a send, of which only so many are in hand.
                sendingCount += 1
                return [.type(Typing(chat: chat, user: user, ref: request.ref))]
            case .watch(let users):
                sendingCount += 1
                lastID += 1
                return [.watch(Watching(users: users, ref: request.ref, number: lastID))]
            case .send(let chat, let content, let key):
                return send(Sending(chat: chat, content: content, ref: request.ref, key: key))
            }
        } catch {
            return [.answer(error)]
        }
    }

    mutating func opened(_ id: SubscriptionID, cursor: Cursor) -> [Action] {
        guard isWanted(id), let subscription = subscriptions[id] else { return [] }
        subscriptions[id] = Subscription(chat: subscription.chat, ref: nil, isOpen: true)
        return [.answer(SubscribedAnswer(chat: subscription.chat, cursor: cursor, ref: subscription.ref))]
    }

    mutating func ended(_ id: SubscriptionID, _ reason: any Error) -> [Action] {
        let wasWanted = isWanted(id)
        guard let subscription = subscriptions.removeValue(forKey: id), wasWanted else { return [] }
        wanted[subscription.chat] = nil
        switch reason {
        case StreamEnd.slowConsumer: return [.close(.slowConsumer)]
        case StreamEnd.revoked: return [.close(.revoked)]
        case StreamEnd.expired: return [.close(.expired)]
        case StreamEnd.blocked: return [.close(.blocked)]
        case StreamEnd.goingAway: return end(.goingAway)
        case StreamEnd.cancelled: return []
        // The other chats of a store that was restored are as new as this one.
        case ChatError.cursorEpoch: return Self.farewell(subscription, reason) + [.close(.cursorEpoch)]
        default: return Self.farewell(subscription, reason as? StreamEnd == .notFound ? ChatError.notFound : reason)
        }
    }

    /// Ends the subscriptions to chats that the connection may not read any more, as if the chats were gone.
    mutating func keep(_ mayRead: (Chat.Number) -> Bool) -> [Action] {
        let lost = wanted.filter { !mayRead($0.key) }.sorted { $0.key < $1.key }
        return lost.flatMap { chat, id -> [Action] in
            wanted[chat] = nil
            // It counts until it has ended.
            return [.cancel(id)] + (subscriptions[id].map { Self.farewell($0, ChatError.notFound) } ?? [])
        }
    }

    private static func farewell(_ subscription: Subscription, _ error: any Error) -> [Action] {
        let refusal = SocketRefusal(Problem(live: error), ref: subscription.ref, chat: subscription.chat)
        let end = UnsubscribedAnswer(chat: subscription.chat, ref: nil)
        return subscription.isOpen ? [.answer(refusal), .answer(end)] : [.answer(refusal)]
    }

    mutating func finished(_ sending: Sending, _ outcome: Result<AppendedMessage, any Error>) -> [Action] {
        sendingCount -= 1
        sendingBytes -= sending.content.size
        _ = sendings[sending.chat]?.popFirst()
        var actions: [Action] = []
        switch outcome {
        case .success(let message):
            actions.append(.answer(SentAnswer(ref: sending.ref, chat: sending.chat, message: message)))
        case .failure(let error):
            actions.append(.answer(SocketRefusal(Problem(live: error), ref: sending.ref, chat: sending.chat)))
        }
        if let next = sendings[sending.chat]?.first {
            actions.append(.send(next))
        } else {
            sendings[sending.chat] = nil
        }
        return actions + endIfDone()
    }

    /// - Parameter failure: nil if it was told, which is not answered.
    mutating func finished(_ typing: Typing, _ failure: (any Error)?) -> [Action] {
        sendingCount -= 1
        let refusal = failure.map { SocketRefusal(Problem(live: $0), ref: typing.ref, chat: typing.chat) }
        return (refusal.map { [.answer($0)] } ?? []) + endIfDone()
    }

    /// - Parameter failure: nil if the users are watched, which is not answered: they are told of.
    mutating func finished(_ watching: Watching, _ failure: (any Error)?) -> [Action] {
        sendingCount -= 1
        let refusal = failure.map { SocketRefusal(Problem(live: $0), ref: watching.ref) }
        return (refusal.map { [.answer($0)] } ?? []) + endIfDone()
    }

    /// Accepts no more requests, cancels the subscriptions, and ends the connection after answering all sent messages.
    mutating func end(_ ending: Ending) -> [Action] {
        guard self.ending == nil else { return [] }
        self.ending = ending
        return cancelAll() + endIfDone()
    }

    /// Cancels all subscriptions.
    mutating func cancelAll() -> [Action] {
        defer { wanted = [:] }
        return wanted.values.map { .cancel($0) }
    }

    private mutating func subscribe(to chat: Chat.Number, _ start: StreamStart, _ ref: String?) -> [Action] {
        guard wanted[chat] == nil else { return [.answer(SocketRefusal(.alreadySubscribed, ref: ref, chat: chat))] }
        guard subscriptions.count < limits.subscriptions else {
            let problem = Problem.tooManySubscriptions(limits.subscriptions)
            return [.answer(SocketRefusal(problem, ref: ref, chat: chat))]
        }
        lastID += 1
        let id = SubscriptionID(value: lastID)
        subscriptions[id] = Subscription(chat: chat, ref: ref)
        wanted[chat] = id
        return [.subscribe(id, chat, start)]
    }

    private mutating func unsubscribe(from chat: Chat.Number, _ ref: String?) -> [Action] {
        guard let id = wanted.removeValue(forKey: chat) else {
            return [.answer(SocketRefusal(.notSubscribed, ref: ref, chat: chat))]
        }
        return [.cancel(id), .answer(UnsubscribedAnswer(chat: chat, ref: ref))]
    }

    private mutating func send(_ sending: Sending) -> [Action] {
        sendingCount += 1
        sendingBytes += sending.content.size
        sendings[sending.chat, default: CircularBuffer()].append(sending)
        return sendings[sending.chat]?.count == 1 ? [.send(sending)] : []
    }

    private mutating func endIfDone() -> [Action] {
        guard sendingCount == 0, let ending else { return [] }
        switch ending {
        case .goingAway: return [.close(.goingAway)]
        case .clientsWish(let code): return [.closeBack(code)]
        }
    }
}

extension Problem {
    /// The problem for an error that does not pass through `API`.
    init(live error: any Error) {
        switch error {
        case let error as ChatError: self = Problem(error)
        default: self = Problem(.unavailable(reason: "The store failed"))
        }
    }
}
