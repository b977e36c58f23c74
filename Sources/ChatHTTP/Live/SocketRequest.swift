import ChatCore
import HTTPTypes
import NIOCore

/// A request that a client sends as one message.
struct SocketRequest: Equatable {
    enum Command: Equatable {
        case subscribe(Chat.Number, StreamStart)
        case unsubscribe(Chat.Number)
        case send(Chat.Number, SocketSession.Content, key: String?)
        /// A user writes: the connection's own, or the one that an application names.
        case type(Chat.Number, user: String?)
        /// Asks which users are online, and to be told of them from now on.
        case watch([String])
        /// Shows a user token.
        case authenticate(String)
    }

    let command: Command
    /// The client's name for the request. The answer repeats it; it has no other meaning.
    let ref: String?

    /// - Parameter text: valid UTF-8.
    /// - Throws: the refusal to answer.
    init(_ text: ByteBuffer) throws(SocketRefusal) {
        let members = try Members(text)
        let chat = members.chat.flatMap { Chat.Number(digits: $0[...]) }
        func refusal(_ problem: Problem) -> SocketRefusal { SocketRefusal(problem, ref: members.ref, chat: chat) }
        guard members.wrong.isEmpty else { throw refusal(Problem(.invalid(members.wrong))) }
        guard let type = members.type else { throw refusal(.missingMember("type")) }
        // By bytes: `==` would normalise first, which is slow for a long text.
        let types = ["subscribe", "unsubscribe", "send", "typing", "presence", "auth"]
        guard let type = types.first(where: { $0.utf8.elementsEqual(type.utf8) }) else { throw refusal(.unknownType) }
        ref = members.ref
        if type == "auth" {
            guard let token = members.token else { throw refusal(.missingMember("token")) }
            command = .authenticate(token)
            return
        }
        if type == "presence" {
            guard let users = members.users else { throw refusal(.missingMember("users")) }
            command = .watch(users)
            return
        }
        guard members.chat != nil else { throw refusal(.missingMember("chat")) }
        guard let chat else { throw refusal(.notFound) }
        switch type {
        case "subscribe":
            var errors: [String] = []
            let after = members.after.flatMap { Cursor.read($0, "After", &errors) }
            guard errors.isEmpty else { throw refusal(Problem(.invalid(errors))) }
            command = .subscribe(
                chat, StreamStart(cursor: after, hasChanges: members.changes, hasReads: members.reads))
        case "send":
            guard let body = members.body else { throw refusal(.missingMember("body")) }
            let content = SocketSession.Content(body: body, sender: members.sender, mentions: members.mentions)
            command = .send(chat, content, key: members.key)
        case "typing": command = .type(chat, user: members.user)
        default:
            command = .unsubscribe(chat)
        }
    }

    /// The members as written; of a repeated name the last one counts. Each has one type; an optional one may be null.
    /// Unknown members are ignored.
    private struct Members {
        var type: String?
        /// The digits as written.
        var chat: String?
        var after: String?
        var changes = false
        var reads = false
        var body: String?
        var sender: String?
        var mentions: [String] = []
        var user: String?
        var users: [String]?
        var ref: String?
        var key: String?
        var token: String?
        /// A sentence for each member with a wrong type or length.
        var wrong: [String] = []

        init(_ text: ByteBuffer) throws(SocketRefusal) {
            do {
                try text.withUnsafeReadableBytes { raw in
                    var reader = JSONReader(utf8: raw.assumingMemoryBound(to: UInt8.self))
                    try reader.document { try read($0, &$1) }
                }
            } catch let failure as JSONReader.Failure {
                throw SocketRefusal(.malformedJSON("\(failure.reason), at byte \(failure.offset)."))
            } catch {
                throw SocketRefusal(.internalError)  // The reader throws nothing else.
            }
        }

        private mutating func read(_ name: JSONName, _ reader: inout JSONReader) throws {
            switch name {
            case "type": type = try string("Type", &reader)
            case "chat": chat = try integer("Chat", &reader)
            case "after": after = try optionalString("After", &reader)
            case "changes": changes = try boolean("Changes", &reader)
            case "reads": reads = try boolean("Reads", &reader)
            case "body": body = try string("Body", &reader)
            case "sender": sender = try optionalString("Sender", &reader)
            case "mentions": mentions = try strings("Mentions", &reader)
            case "user": user = try optionalString("User", &reader)
            case "users": users = try strings("Users", &reader)
            case "ref":
                ref = try optionalString("Ref", &reader)
                if (ref?.utf8.count ?? 0) > SocketRequest.longestRef {
                    ref = nil
                    wrong.append("Ref is too long (maximum is \(SocketRequest.longestRef) bytes)")
                }
            case "key": key = try optionalString("Key", &reader)
            case "token": token = try optionalString("Token", &reader)
            default: try reader.value()
            }
        }

        private mutating func string(_ name: String, _ reader: inout JSONReader) throws -> String? {
            if reader.current == UInt8(ascii: "\"") { return try reader.string() }
            try reader.value()
            wrong.append("\(name) must be a string")
            return nil
        }

        private mutating func optionalString(_ name: String, _ reader: inout JSONReader) throws -> String? {
            guard reader.current == UInt8(ascii: "n") else { return try string(name, &reader) }
            try reader.literal("null")
            return nil
        }

        private mutating func strings(_ name: String, _ reader: inout JSONReader) throws -> [String] {
            var (texts, isRight): ([String], Bool) = ([], true)
            switch reader.current {
            case UInt8(ascii: "n"): try reader.literal("null")
            case UInt8(ascii: "["):
                try reader.array { reader in
                    if reader.current == UInt8(ascii: "\"") {
                        texts.append(try reader.string())
                    } else {
                        isRight = false
                        try reader.value()
                    }
                }
            default:
                isRight = false
                try reader.value()
            }
            if !isRight { wrong.append("\(name) must be an array of strings") }
            return texts
        }

        private mutating func boolean(_ name: String, _ reader: inout JSONReader) throws -> Bool {
            switch reader.current {
            case UInt8(ascii: "t"):
                try reader.literal("true")
                return true
            case UInt8(ascii: "f"), UInt8(ascii: "n"): try reader.value()
            default:
                try reader.value()
                wrong.append("\(name) must be true or false")
            }
            return false
        }

        /// An integer as its digits. Refuses `1.0` and `1e0`, which JSON treats as the same number.
        private mutating func integer(_ name: String, _ reader: inout JSONReader) throws -> String? {
            let start = reader.current ?? 0
            if start == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(start) {
                let number = try reader.number()
                if number.utf8.dropFirst().allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
                    return String(number)
                }
            } else {
                try reader.value()
            }
            wrong.append("\(name) must be an integer")
            return nil
        }
    }

    /// In bytes. A `ref` is kept until the request is answered.
    private static let longestRef = 255
}

/// Why a request was refused. The connection stays open.
struct SocketRefusal: Error {
    let problem: Problem
    var ref: String?
    /// The chat of the request, if it has a valid one.
    var chat: Chat.Number?

    init(_ problem: Problem, ref: String? = nil, chat: Chat.Number? = nil) {
        self.problem = problem
        self.ref = ref
        self.chat = chat
    }
}

extension Problem {
    static func missingMember(_ name: String) -> Problem {
        Problem(
            status: .badRequest, code: "missing_parameter",
            detail: "The parameter \"\(name)\" is missing from the message.")
    }

    static let unknownType = Problem(
        status: .badRequest, code: "unknown_type",
        detail: "A message's type is \"subscribe\", \"unsubscribe\", \"send\", \"typing\", \"presence\" or \"auth\".")
    static let alreadySubscribed = Problem(
        status: .conflict, code: "already_subscribed", detail: "This connection is already subscribed to that chat.")
    static let notSubscribed = Problem(
        status: .conflict, code: "not_subscribed", detail: "This connection is not subscribed to that chat.")

    static func tooManySubscriptions(_ most: Int) -> Problem {
        Problem(
            status: .conflict, code: "too_many_subscriptions",
            detail: "A connection may subscribe to \(most) chats; unsubscribe from one, or open another connection.")
    }
}
