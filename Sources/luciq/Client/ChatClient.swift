import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL

/// The calls that the terminal's commands make. Here, and only here, is which HTTP client makes them.
final class ChatClient {
    private let address: ChatAddress
    private let http: HTTPClient
    /// Whether the server has ever answered: then its name is no mistake.
    private var wasThere = false

    private init(_ address: ChatAddress, http: HTTPClient) {
        self.address = address
        self.http = http
    }

    /// - Parameter silence: how long a server may say nothing before its connection counts as dead.
    static func with(_ address: ChatAddress, silence: Duration, _ body: (ChatClient) async throws -> Void) async throws
    {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: .seconds(10), read: TimeAmount(silence))
        // The commands try again themselves, and say so.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        configuration.tlsConfiguration = try ownAuthorities()
        let http = HTTPClient(configuration: configuration)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(ChatClient(address, http: http)))
        } catch {
            result = .failure(error)
        }
        // A client must be shut down before it goes; what becomes of that changes nothing for the command.
        try? await http.shutdown()
        try result.get()
    }

    /// What `SSL_CERT_FILE` says, where OpenSSL's users name their own authorities; nil to trust the system's.
    private static func ownAuthorities() throws(CallFailure) -> TLSConfiguration? {
        guard let file = ProcessInfo.processInfo.environment["SSL_CERT_FILE"], !file.isEmpty else { return nil }
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .file(file)
        do {
            _ = try NIOSSLContext(configuration: configuration)
        } catch {
            throw CallFailure(sentence: "SSL_CERT_FILE must name a file of certificates.", outlook: .final)
        }
        return configuration
    }

    /// Stores a message, once for all calls with the same key.
    ///
    /// - Returns: its number.
    func send(_ body: String, key: String) async throws(CallFailure) -> Int64 {
        var request = HTTPClientRequest(url: address.messages)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "Idempotency-Key", value: key)
        do {
            request.body = .bytes(ByteBuffer(bytes: try JSONEncoder().encode(["body": body])))
        } catch {
            throw CallFailure(sentence: "The text cannot be written as JSON.", outlook: .refused)
        }
        let answer = try await answer(to: request)
        guard answer.status == 201, let created = try? JSONDecoder().decode(Created.self, from: Data(answer.body))
        else { throw answer.failure(of: address) }
        return created.message_number
    }

    /// The chat's messages after the one that the cursor names, and those that are still to come; nil for those alone.
    func stream(after cursor: String?) async throws(CallFailure) -> Stream {
        var request = HTTPClientRequest(url: address.stream(after: cursor))
        request.headers.add(name: "Accept", value: "text/event-stream")
        request.headers.add(name: "Cache-Control", value: "no-store")
        let response = try await execute(request, until: .distantFuture)
        guard response.status == .ok, response.contentType.hasPrefix("text/event-stream") else {
            throw try await whole(response).failure(of: address)
        }
        return Stream(address: address, body: response.body.makeAsyncIterator())
    }

    /// The bytes of a stream as they come.
    struct Stream {
        fileprivate let address: ChatAddress
        fileprivate var body: HTTPClientResponse.Body.AsyncIterator

        /// - Returns: at least one byte; nil when the server has closed it.
        mutating func next() async throws(CallFailure) -> ByteBufferView? {
            do {
                return try await body.next()?.readableBytesView
            } catch {
                throw CallFailure(losing: error, to: address, wasThere: true)
            }
        }
    }

    private struct Created: Decodable { let message_number: Int64 }

    /// A whole answer, soon.
    private func answer(to request: HTTPClientRequest) async throws(CallFailure) -> HTTPAnswer {
        try await whole(execute(request, until: .now() + .seconds(15)))
    }

    private func execute(
        _ request: HTTPClientRequest, until deadline: NIODeadline
    ) async throws(CallFailure) -> HTTPClientResponse {
        var request = request
        request.headers.add(name: "User-Agent", value: "luciq")
        do {
            let response = try await http.execute(request, deadline: deadline)
            wasThere = true
            return response
        } catch {
            throw CallFailure(losing: error, to: address, wasThere: wasThere)
        }
    }

    private func whole(_ response: HTTPClientResponse) async throws(CallFailure) -> HTTPAnswer {
        do {
            return HTTPAnswer(
                status: Int(response.status.code),
                contentType: response.contentType,
                retryAfter: response.headers.first(name: "Retry-After"),
                location: response.headers.first(name: "Location"),
                body: Array(buffer: try await response.body.collect(upTo: 1 << 20))
            )
        } catch {
            throw CallFailure(losing: error, to: address, wasThere: true)
        }
    }
}

extension HTTPClientResponse {
    fileprivate var contentType: String { headers.first(name: "Content-Type") ?? "" }
}
