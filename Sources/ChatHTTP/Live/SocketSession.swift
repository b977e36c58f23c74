import ChatCore
import NIOCore

/// What one client wants over its connection, without a socket and without a store: requests and outcomes in, answers
/// and errands out.
///
/// Messages of one chat are stored one after the other, so that their numbers rise in the order in which they came; those
/// of different chats at the same time. What has come is stored whatever becomes of the connection. When it is to end in
/// good order the answers to what was sent are waited for.
struct SocketSession {
    /// One subscription of the connection; one that was cancelled and its successor are not the same.
    struct SubscriptionID: Hashable, Sendable {
        fileprivate let value: UInt64
    }

    struct Sending: Equatable, Sendable {
        let chat: Chat.Number
        let content: MessageContent
        let ref: String?
        /// The idempotency key.
        var key: String?
    }

    enum Action {
        case answer(any JSONWritable & Sendable)
        /// `opened` may follow, `ended` must.
        case subscribe(SubscriptionID, Chat.Number, after: Cursor?)
        case cancel(SubscriptionID)
        /// `finished` must follow.
        case send(Sending)
        /// End the connection; the client may still be told.
        case close(WebSocketClosure)
        /// All is said and done that the client, who wants to close, has asked for.
        case closeBack(UInt16?)
    }

    enum Ending: Equatable {
        case goingAway
        case clientsWish(UInt16?)
    }

    private struct Subscription {
        let chat: Chat.Number
        /// Of the request, until that is answered.
        var ref: String?
        var isOpen = false
    }

    private let limits: LiveLimits
    /// All that have not ended yet, also those that nobody wants any more.
    private var subscriptions: [SubscriptionID: Subscription] = [:]
    private var wanted: [Chat.Number: SubscriptionID] = [:]
    private var lastID: UInt64 = 0
    /// What is being stored is the first of its chat.
    private var sendings: [Chat.Number: CircularBuffer<Sending>] = [:]
    private var sendingCount = 0
    /// Of the bodies that are not stored yet.
    private(set) var sendingBytes = 0
    private var ending: Ending?

    init(limits: LiveLimits) { self.limits = limits }

    var isEnding: Bool { ending != nil }

    /// Whether another request may be read.
    var mayReceive: Bool { sendingCount < limits.sends && sendingBytes < Self.mostSendingBytes }

    /// The largest messages are stored one after the other where they are of one chat.
    private static let mostSendingBytes = 128 << 10

    /// Whether the messages of that subscription are still wanted.
    func isWanted(_ id: SubscriptionID) -> Bool {
        subscriptions[id].map { wanted[$0.chat] == id } ?? false
    }

    /// - Parameter text: valid UTF-8.
    mutating func receive(_ text: ByteBuffer) -> [Action] {
        ending == nil ? receive(Result { () throws(SocketRefusal) in try SocketRequest(text) }) : []
    }

    /// - Parameter request: what came of a message's text.
    mutating func receive(_ request: Result<SocketRequest, SocketRefusal>) -> [Action] {
        guard ending == nil else { return [] }
        do throws(SocketRefusal) {
            let request = try request.get()
            switch request.command {
            case .subscribe(let chat, let after): return subscribe(to: chat, after: after, request.ref)
            case .unsubscribe(let chat): return unsubscribe(from: chat, request.ref)
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
        case StreamEnd.goingAway: return end(.goingAway)
        case StreamEnd.cancelled: return []
        default:
            let error = reason as? StreamEnd == .notFound ? ChatError.notFound : reason
            let refusal = SocketRefusal(Problem(live: error), ref: subscription.ref, chat: subscription.chat)
            let end = UnsubscribedAnswer(chat: subscription.chat, ref: nil)
            return subscription.isOpen ? [.answer(refusal), .answer(end)] : [.answer(refusal)]
        }
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

    /// Takes no more requests, ends the subscriptions, and the connection when all that was sent is answered.
    mutating func end(_ ending: Ending) -> [Action] {
        guard self.ending == nil else { return [] }
        self.ending = ending
        return cancelAll() + endIfDone()
    }

    /// Nobody is there any more.
    mutating func cancelAll() -> [Action] {
        defer { wanted = [:] }
        return wanted.values.map { .cancel($0) }
    }

    private mutating func subscribe(to chat: Chat.Number, after: Cursor?, _ ref: String?) -> [Action] {
        guard wanted[chat] == nil else { return [.answer(SocketRefusal(.alreadySubscribed, ref: ref, chat: chat))] }
        guard subscriptions.count < limits.subscriptions else {
            let problem = Problem.tooManySubscriptions(limits.subscriptions)
            return [.answer(SocketRefusal(problem, ref: ref, chat: chat))]
        }
        lastID += 1
        let id = SubscriptionID(value: lastID)
        subscriptions[id] = Subscription(chat: chat, ref: ref)
        wanted[chat] = id
        return [.subscribe(id, chat, after: after)]
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
    /// Of an error that no middleware sees.
    fileprivate init(live error: any Error) {
        switch error {
        case let error as ChatError: self = Problem(error)
        default: self = Problem(.unavailable(reason: "The store failed"))
        }
    }
}
