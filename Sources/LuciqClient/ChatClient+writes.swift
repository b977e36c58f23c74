import Foundation
import NIOCore
import NIOHTTP1

extension ChatClient {
    /// Told of each kind of trouble once, while a request is tried again.
    public typealias OnTrouble = @Sendable (CallFailure) -> Void

    /// A key for `send`, different from all others.
    public static func newKey() -> String { UUID().uuidString.lowercased() }

    /// Stores a message, once for all calls with the same key. Tries again for as long as `patience` says.
    ///
    /// - Parameters:
    ///   - sender: the user who says it, where the credentials are the application's.
    ///   - metadata: an object.
    ///   - mentions: ids of the users whom it names.
    ///   - thread: the message that begins the thread that this one is a reply in.
    ///   - isInMain: of a reply in a thread: whether it stands in the main line, too.
    ///   - replyTo: the message that this one answers.
    ///   - key: its `Idempotency-Key`, to try again later what was not answered, within 7 days.
    /// - Returns: the message as it is stored.
    /// - Throws: the last failure. If it `mayHaveHappened`, call again with the same key to find out.
    @discardableResult
    public func send(
        _ body: String, sender: String? = nil, metadata: JSONValue? = nil, mentions: [String]? = nil,
        thread: Int64? = nil,
        isInMain: Bool = false, replyTo: Int64? = nil, key: String = newKey(), patience: Duration = .seconds(60),
        onTrouble: OnTrouble? = nil
    ) async throws(CallFailure) -> ChatMessage {
        var members: [String: JSONValue] = ["body": .string(body)]
        members["sender"] = sender.map { .string($0) }
        members["metadata"] = metadata
        members["mentions"] = mentions.map { .array($0.map { .string($0) }) }
        members["thread"] = thread.map { .integer($0) }
        if isInMain { members["in_main"] = true }
        members["reply_to"] = replyTo.map { .integer($0) }
        let answer = try await deliver(
            .message, .POST, address.messages, members, key: key, patience: patience, onTrouble: onTrouble)
        return try message(in: answer, status: 201)
    }

    /// Changes a message's text, its metadata (RFC 7396: a member that is null is taken out), or whom it names.
    ///
    /// - Parameter held: refuses with status 412 unless the message is still as it is held here.
    /// - Returns: the message as it is then.
    @discardableResult
    public func edit(
        _ number: Int64, body: String? = nil, metadata: JSONValue? = nil, mentions: [String]? = nil,
        ifStill held: ChatMessage? = nil,
        patience: Duration = .seconds(60), onTrouble: OnTrouble? = nil
    ) async throws(CallFailure) -> ChatMessage {
        var members: [String: JSONValue] = [:]
        members["body"] = body.map { .string($0) }
        members["metadata"] = metadata
        members["mentions"] = mentions.map { .array($0.map { .string($0) }) }
        var headers: HTTPHeaders = [:]
        if let held { headers.add(name: "If-Match", value: "\"\(held.number).\(held.revision)\"") }
        let answer = try await deliver(
            .change, .PATCH, address.message(number), members, headers, key: Self.newKey(), patience: patience,
            onTrouble: onTrouble)
        return try message(in: answer)
    }

    /// Deletes a message for good. A repeat changes nothing.
    ///
    /// - Returns: what is left of it.
    @discardableResult
    public func delete(
        _ number: Int64, patience: Duration = .seconds(60), onTrouble: OnTrouble? = nil
    ) async throws(CallFailure) -> ChatMessage {
        try message(
            in: await deliver(.change, .DELETE, address.message(number), patience: patience, onTrouble: onTrouble))
    }

    /// Reacts to a message. A repeat changes nothing.
    ///
    /// - Parameter user: who reacts, where the credentials are the application's.
    public func react(
        _ name: String, to number: Int64, as user: String? = nil, patience: Duration = .seconds(60),
        onTrouble: OnTrouble? = nil
    ) async throws(CallFailure) {
        _ = try await deliver(
            .change, .PUT, address.reaction(name, to: number, of: user), patience: patience, onTrouble: onTrouble)
    }

    /// Takes a reaction back.
    ///
    /// - Parameter user: who reacted, where the credentials are the application's.
    public func unreact(
        _ name: String, to number: Int64, as user: String? = nil, patience: Duration = .seconds(60),
        onTrouble: OnTrouble? = nil
    ) async throws(CallFailure) {
        _ = try await deliver(
            .change, .DELETE, address.reaction(name, to: number, of: user), patience: patience,
            onTrouble: onTrouble)
    }

    /// Sends a request until it is answered.
    private func deliver(
        _ thing: Delivery.Thing, _ method: HTTPMethod, _ target: String, _ members: [String: JSONValue]? = nil,
        _ headers: HTTPHeaders = [:], key: String? = nil, patience: Duration, onTrouble: OnTrouble?
    ) async throws(CallFailure) -> HTTPAnswer {
        var (headers, body) = (headers, ByteBuffer?.none)
        if let members {
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            guard let json = try? encoder.encode(members) else {
                throw CallFailure(sentence: "The metadata cannot be written as JSON.", outlook: .refused)
            }
            body = ByteBuffer(bytes: json)
            headers.add(name: "Content-Type", value: "application/json")
        }
        if let key { headers.add(name: "Idempotency-Key", value: key) }
        var delivery = Delivery(of: thing, until: .now + patience)
        while true {
            let trouble: CallFailure
            do throws(CallFailure) {
                let answer = try await server.call(method, target, headers, body)
                if (200...299).contains(answer.status) { return answer }
                trouble = answer.failure(of: address)
            } catch {
                trouble = error
            }
            let (pause, isNews) = try delivery.failed(trouble, at: .now, chance: .random(in: 0...1))
            if isNews { onTrouble?(trouble) }
            do { try await Task.sleep(for: pause) } catch { throw .cancelled }
        }
    }

    /// - Parameter status: the only one that means success; nil for any.
    private func message(in answer: HTTPAnswer, status: Int? = nil) throws(CallFailure) -> ChatMessage {
        guard status ?? answer.status == answer.status,
            let message = try? JSONDecoder().decode(ChatMessage.self, from: Data(answer.body))
        else { throw answer.failure(of: address) }
        return message
    }
}
