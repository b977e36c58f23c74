import Foundation
import HTTPClient
import NIOCore
import NIOHTTP1
import TLS

/// The API calls of the terminal's commands, over one connection, kept open if the server keeps it.
final class ChatClient {
    private let address: ChatAddress
    private let tls: TLSContext?
    private let silence: Duration
    private var connection: HTTPConnection?
    /// Whether the server has ever answered: then its name is correct.
    private var wasThere = false

    /// - Parameter silence: how long a server may say nothing before its connection counts as dead.
    private init(_ address: ChatAddress, silence: Duration) throws(CallFailure) {
        self.address = address
        self.silence = silence
        tls = try Self.tls(for: address)
    }

    deinit { connection?.close() }

    /// - Parameter silence: how long a server may say nothing before its connection counts as dead.
    static func with(_ address: ChatAddress, silence: Duration, _ body: (ChatClient) async throws -> Void) async throws
    {
        try await body(ChatClient(address, silence: silence))
    }

    /// TLS with the CA certificates in `SSL_CERT_FILE`, as usual with OpenSSL, else with the system's.
    private static func tls(for address: ChatAddress) throws(CallFailure) -> TLSContext? {
        let file = ProcessInfo.processInfo.environment["SSL_CERT_FILE"] ?? ""
        guard address.isSecure || !file.isEmpty else { return nil }
        do {
            let context = try TLSContext.ofEnvironment()
            return address.isSecure ? context : nil
        } catch {
            throw CallFailure(sentence: "SSL_CERT_FILE must name a file of certificates.", outlook: .final)
        }
    }

    /// Stores a message, once for all calls with the same key.
    ///
    /// - Returns: its number.
    func send(_ body: String, key: String) async throws(CallFailure) -> Int64 {
        guard let json = try? JSONEncoder().encode(["body": body]) else {
            throw CallFailure(sentence: "The text cannot be written as JSON.", outlook: .refused)
        }
        let headers: HTTPHeaders = [
            "Content-Type": "application/json", "Content-Length": String(json.count), "Idempotency-Key": key,
        ]
        let answer = try await whole(execute(.POST, address.messages, headers, ByteBuffer(bytes: json)))
        guard answer.status == 201, let created = try? JSONDecoder().decode(Created.self, from: Data(answer.body))
        else { throw answer.failure(of: address) }
        return created.message_number
    }

    /// The stream of the chat's messages after the cursor; nil: of new messages only.
    func stream(after cursor: String?) async throws(CallFailure) -> Stream {
        let response = try await execute(
            .GET, address.stream(after: cursor), ["Accept": "text/event-stream", "Cache-Control": "no-store"])
        guard response.head.status == .ok, response.contentType.hasPrefix("text/event-stream") else {
            throw try await whole(response).failure(of: address)
        }
        return Stream(address: address, response: response, silence: silence)
    }

    /// The bytes of a stream as they arrive.
    struct Stream {
        fileprivate let address: ChatAddress
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

    private struct Created: Decodable { let message_number: Int64 }

    private func execute(
        _ method: HTTPMethod, _ target: String, _ headers: HTTPHeaders, _ body: ByteBuffer? = nil
    ) async throws(CallFailure) -> HTTPConnection.Response {
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: target, headers: headers)
        head.headers.add(name: "Host", value: address.authority)
        head.headers.add(name: "User-Agent", value: "luciq")
        do {
            let kept = connection?.isFree == true ? connection : nil
            if kept == nil { connection?.close() }
            connection = nil
            if let kept {
                do {
                    return try await send(head, body, over: kept)
                } catch is HTTPConnection.Silence {
                    throw HTTPConnection.Silence()
                } catch {
                    // The server has closed it meanwhile: use a new one. Both calls are safe to repeat.
                }
            }
            return try await send(
                head, body,
                over: .connect(to: address.host, port: address.port, tls: tls, patience: .seconds(10)))
        } catch {
            throw CallFailure(losing: error, to: address, wasThere: wasThere)
        }
    }

    private func send(
        _ head: HTTPRequestHead, _ body: ByteBuffer?, over connection: HTTPConnection
    ) async throws -> HTTPConnection.Response {
        self.connection = connection
        let response = try await connection.send(head, body: body, within: silence)
        wasThere = true
        return response
    }

    /// A whole answer, soon.
    private func whole(_ response: HTTPConnection.Response) async throws(CallFailure) -> HTTPAnswer {
        let deadline = ContinuousClock.now + .seconds(15)
        do {
            var body: [UInt8] = []
            while let bytes = try await response.next(within: deadline - .now) {
                body += bytes.readableBytesView
                guard body.count <= 1 << 20 else { throw HTTPConnection.Silence() }
            }
            return HTTPAnswer(
                status: Int(response.head.status.code),
                contentType: response.contentType,
                retryAfter: response.head.headers.first(name: "Retry-After"),
                location: response.head.headers.first(name: "Location"),
                body: body
            )
        } catch {
            connection?.close()
            throw CallFailure(losing: error, to: address, wasThere: true)
        }
    }
}

extension HTTPConnection.Response {
    fileprivate var contentType: String { head.headers.first(name: "Content-Type") ?? "" }
}
