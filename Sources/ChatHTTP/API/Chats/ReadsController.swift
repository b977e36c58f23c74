import ChatCore
import HTTPTypes

/// How far users have read a chat. A user says it for itself; a key and the path's token name the user, `?user=u1`.
struct ReadsController {
    let scopes: Scopes

    private static let number = TextParameter(wrapper: "read", name: "number")
    private static let lower = TextParameter(wrapper: "read", name: "lower")
    private static let expected = TextParameter(wrapper: "read", name: "if")

    /// A mark counts for the limit of reads: clients send one with much of what they read.
    func add(to routes: Routes) {
        let path = "/applications/{token}/chats/{chat_number}"
        routes.onJSON(.get, path + "/read", scopes.chat(.read, show))
        routes.onJSON(.put, path + "/read", takesBody: true, scopes.chat(.write, as: .read, mark))
        routes.onJSON(.get, path + "/reads", scopes.chat(.read, list))
    }

    @Sendable private func show(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let user = try call.named()
        return .task {
            let reader = try await chat.reader(named: user)
            return Response(json: ReadAnswer(state: try await chat.readState(of: reader)))
        }
    }

    @Sendable private func mark(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let user = try call.named()
        let body = try call.request.typedBody()
        let number = try Self.number(try Self.number.read(body), "Number")
        let lowers = try Self.flag(try Self.lower.find(body))
        let expected = try Self.expected.find(body).map { try Self.number($0, "If") }
        guard lowers == (expected != nil) else {
            throw ChatError.invalid(["Lower and if go together: if is the number that is stored now"])
        }
        return .task {
            let reader = try await chat.reader(named: user)
            return Response(
                json: ReadAnswer(state: try await chat.mark(reader, upTo: number, loweringFrom: expected)))
        }
    }

    @Sendable private func list(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        .task { Response(json: try await chat.memberReads()) }
    }

    private static func number(_ text: String, _ name: String) throws(ChatError) -> Int64 {
        guard let number = Int64(digits: text[...]) else {
            throw .invalid(["\(name) must be a number from 0 to \(Int64.max)"])
        }
        return number
    }

    private static func flag(_ text: String?) throws(ChatError) -> Bool {
        switch text.map({ Array($0.utf8) }) {
        case nil, Array("0".utf8), Array("false".utf8): return false
        case Array("1".utf8), Array("true".utf8): return true
        default: throw .invalid(["Lower must be true or false"])
        }
    }
}

extension Call {
    /// The user whom the query names; nil if it names none.
    ///
    /// - Throws: `ChatError.invalid` for what is no user's id.
    func named() throws(ChatError) -> User.ID? {
        guard let value = QueryItems(request.query)["user"] else { return nil }
        // What is not UTF-8 is nobody's id.
        return try User.ID(value ?? "", named: "User")
    }
}
