import ChatCore
import Foundation
import LuciqClient
import NIOCore
import NIOHTTP1

/// Calls of the API for applications and what is in them.
struct AccessClient {
    let server: ServerClient

    /// - Parameters:
    ///   - body: sent as it is.
    ///   - missing: what there is not after a 404.
    /// - Returns: the parsed answer.
    func call<Answer: Decodable>(
        _ method: HTTPMethod, _ path: String, _ body: JSONText? = nil, missing: String, as type: Answer.Type
    ) async throws -> Answer {
        try await call(method, path, body, missing: missing) { try? JSONDecoder().decode(Answer.self, from: Data($0)) }
            .value
    }

    /// - Returns: the answer as it came.
    func call(_ method: HTTPMethod, _ path: String, _ body: JSONText? = nil, missing: String) async throws -> JSONText {
        try await call(method, path, body, missing: missing) { JSONText($0) }.value
    }

    /// The items of a list, or those of its first page.
    func list<Item: Decodable>(
        _ path: String, isWhole: Bool, missing: String, of type: Item.Type
    ) async throws -> [Item] {
        // An answer that is no such list is told like one from elsewhere.
        try await list(path, isWhole: isWhole, missing: missing) {
            try? JSONDecoder().decode([Item].self, from: Data($0))
        }
    }

    /// As they came.
    func list(_ path: String, isWhole: Bool, missing: String) async throws -> [JSONText] {
        try await list(path, isWhole: isWhole, missing: missing) { JSONText($0)?.items }
    }

    private func list<Item>(
        _ path: String, isWhole: Bool, missing: String, _ read: ([UInt8]) -> [Item]?
    ) async throws -> [Item] {
        var items: [Item] = []
        var next: String? = path
        while let path = next {
            let page = try await call(.GET, path, nil, missing: missing, read)
            items += page.value
            next = isWhole ? page.next : nil
        }
        return items
    }

    /// - Returns: what `read` makes of the answer, and the path of the next page.
    private func call<Value>(
        _ method: HTTPMethod, _ path: String, _ body: JSONText?, missing: String, _ read: ([UInt8]) -> Value?
    ) async throws -> (value: Value, next: String?) {
        let answer = try await server.call(
            method, server.address.path + path, body == nil ? [:] : ["Content-Type": "application/json"],
            body.map { ByteBuffer(string: $0.text) })
        guard (200...299).contains(answer.status), let value = read(answer.body) else {
            throw answer.failure(at: server.address, missing: missing)
        }
        return (value, answer.next)
    }
}
