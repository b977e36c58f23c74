import Foundation
import HTTPClient
import NIOCore
import NIOHTTP1

/// The API calls of `luciq tail` and `luciq send`.
final class ChatClient {
    private let address: ChatAddress
    private let server: ServerClient

    /// - Parameter silence: how long a server may say nothing before its connection counts as dead.
    private init(_ target: ClientTarget, silence: Duration) throws(CallFailure) {
        self.address = target.address
        self.server = try ServerClient(target.address.server, key: target.key, silence: silence)
    }

    /// - Parameter silence: how long a server may say nothing before its connection counts as dead.
    static func with(_ target: ClientTarget, silence: Duration, _ body: (ChatClient) async throws -> Void) async throws
    {
        try await body(ChatClient(target, silence: silence))
    }

    /// Stores a message, once for all calls with the same key.
    ///
    /// - Returns: its number.
    func send(_ body: String, from sender: String?, key: String) async throws(CallFailure) -> Int64 {
        guard let json = try? JSONEncoder().encode(NewMessage(body: body, sender: sender)) else {
            throw CallFailure(sentence: "The text cannot be written as JSON.", outlook: .refused)
        }
        let headers: HTTPHeaders = [
            "Content-Type": "application/json", "Content-Length": String(json.count), "Idempotency-Key": key,
        ]
        let answer = try await server.whole(server.execute(.POST, address.messages, headers, ByteBuffer(bytes: json)))
        guard answer.status == 201, let created = try? JSONDecoder().decode(Created.self, from: Data(answer.body))
        else { throw answer.failure(of: address) }
        return created.message_number
    }

    /// The stream of the chat's messages after the cursor; nil: of new messages only.
    func stream(after cursor: String?, hasChanges: Bool = false) async throws(CallFailure) -> Stream {
        let response = try await server.execute(
            .GET, address.stream(after: cursor, hasChanges: hasChanges),
            ["Accept": "text/event-stream", "Cache-Control": "no-store"])
        guard response.head.status == .ok, response.contentType.hasPrefix("text/event-stream") else {
            throw try await server.whole(response).failure(of: address)
        }
        return Stream(address: address.server, response: response, silence: server.silence)
    }

    /// The bytes of a stream as they arrive.
    struct Stream {
        fileprivate let address: ServerAddress
        fileprivate let response: HTTPConnection.Response
        fileprivate let silence: Duration

        /// - Returns: at least one byte; nil when the server has closed it.
        func next() async throws(CallFailure) -> ByteBufferView? {
            do {
                return try await response.next(within: silence)?.readableBytesView
            } catch {
                throw CallFailure(losing: error, to: address, wasThere: true)
            }
        }
    }

    private struct NewMessage: Encodable {
        let body: String
        /// Left out if nil.
        let sender: String?
    }

    private struct Created: Decodable { let message_number: Int64 }
}
