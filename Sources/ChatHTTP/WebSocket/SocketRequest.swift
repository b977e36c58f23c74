import ChatCore
import HTTPTypes
import NIOCore

/// What a client asks for in one message.
struct SocketRequest: Equatable {
    enum Command: Equatable {
        /// Nil: from the next message on.
        case subscribe(Chat.Number, after: Int64?)
        case unsubscribe(Chat.Number)
        case send(Chat.Number, body: String)
    }

    let command: Command
    /// The client's own name for it, which the answer repeats.
    let ref: String?

    /// - Parameter text: valid UTF-8.
    /// - Throws: what is wrong with it.
    init(_ text: ByteBuffer) throws(SocketRefusal) {
        let members = try Members(text)
        let chat = members.chat.flatMap { Chat.Number(digits: $0[...]) }
        func refusal(_ problem: Problem) -> SocketRefusal { SocketRefusal(problem, ref: members.ref, chat: chat) }
        if members.isRefBad {
            throw refusal(Problem(.invalid(["Ref must be 1 to 255 printable ASCII characters"])))
        }
        guard let type = members.type else { throw refusal(.missingMember("type")) }
        guard ["subscribe", "unsubscribe", "send"].contains(type) else { throw refusal(.unknownType) }
        guard members.chat != nil else { throw refusal(.missingMember("chat")) }
        guard let chat else { throw refusal(.notFound) }
        switch type {
        case "subscribe":
            let after = members.after.flatMap { Int64(digits: $0[...]) }
            guard members.after == nil || after != nil else {
                throw refusal(Problem(.invalid(["After must be a number from 0 to 9223372036854775807"])))
            }
            command = .subscribe(chat, after: after)
        case "send":
            guard let body = members.body else { throw refusal(.missingMember("body")) }
            command = .send(chat, body: body)
        default:
            command = .unsubscribe(chat)
        }
        ref = members.ref
    }

    /// The members as they stand there, the last of a repeated name. A number may be written as a string, and is in a
    /// cursor. What is not known is ignored.
    private struct Members {
        var type: String?
        var chat: String?
        var after: String?
        var body: String?
        var ref: String?
        var isRefBad = false

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
            case "type": type = try reader.scalar()
            case "chat": chat = try reader.scalar()
            case "after": after = reader.current == UInt8(ascii: "n") ? try reader.null() : try reader.scalar()
            case "body": body = try reader.scalar()
            case "ref": try readRef(&reader)
            default: try reader.value()
            }
        }

        private mutating func readRef(_ reader: inout JSONReader) throws {
            ref = nil
            switch reader.current {
            case UInt8(ascii: "n"): ref = try reader.null()
            case UInt8(ascii: "\""):
                let text = try reader.string()
                isRefBad = !((1...255).contains(text.utf8.count) && text.utf8.allSatisfy { (0x20...0x7E).contains($0) })
                if !isRefBad { ref = text }
            default:
                try reader.value()
                isRefBad = true
            }
        }
    }
}

extension JSONReader {
    fileprivate mutating func null() throws -> String? {
        try literal("null")
        return nil
    }
}

/// Why a request was not carried out. The connection stays.
struct SocketRefusal: Error {
    let problem: Problem
    var ref: String?
    /// The chat it is about, where that is known.
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
        detail: "A message's type is \"subscribe\", \"unsubscribe\" or \"send\".")
    static let alreadySubscribed = Problem(
        status: .conflict, code: "already_subscribed", detail: "This connection is subscribed to that chat.")
    static let notSubscribed = Problem(
        status: .conflict, code: "not_subscribed", detail: "This connection is not subscribed to that chat.")

    static func tooManySubscriptions(_ most: Int) -> Problem {
        Problem(
            status: .conflict, code: "too_many_subscriptions",
            detail: "A connection may subscribe to \(most) chats; unsubscribe from one, or open another connection.")
    }
}
