import Foundation
import HTTPClient
package import NIOCore
package import NIOHTTP1
import Synchronization
import TLS

/// Calls of a server's API, over a few connections that are kept open if the server keeps them.
package final class ServerClient: Sendable {
    /// For a whole call, its connection included.
    private static let patience = Duration.seconds(15)
    /// Of an answer: larger than the largest message.
    package static let mostBytes = 1 << 20
    /// Calls at the same time.
    private static let mostCalls = 8

    package let address: ServerAddress
    private let credentials: ChatCredentials
    private let tokens: TokenKeeper?
    private let tls: TLSContext?
    private let pool: HTTPPool
    /// Whether the server has ever answered: then its name is correct.
    private let wasThere = Atomic(false)

    package init(_ address: ServerAddress, credentials: ChatCredentials) throws(CallFailure) {
        self.address = address
        self.credentials = credentials
        if case .token(let ask) = credentials { tokens = TokenKeeper(ask) } else { tokens = nil }
        tls = try Self.tls(for: address)
        pool = HTTPPool(host: address.host, port: address.port, tls: tls, most: Self.mostCalls)
    }

    deinit { pool.close() }

    /// TLS with the CA certificates in `SSL_CERT_FILE`, as usual with OpenSSL, else with the system's.
    private static func tls(for address: ServerAddress) throws(CallFailure) -> TLSContext? {
        let file = ProcessInfo.processInfo.environment["SSL_CERT_FILE"] ?? ""
        guard address.isSecure || !file.isEmpty else { return nil }
        do {
            let context = try TLSContext.ofEnvironment()
            return address.isSecure ? context : nil
        } catch {
            throw CallFailure(sentence: "SSL_CERT_FILE must name a file of certificates.", outlook: .final)
        }
    }

    /// Whether there is another token once one has expired.
    var renewsTokens: Bool { tokens != nil }

    /// The token that is held will not do any more.
    func renewToken() async { await tokens?.refuse(nil) }

    /// Sends a request that is safe to repeat, and reads the whole answer.
    ///
    /// - Parameter mostBytes: of the answer.
    package func call(
        _ method: HTTPMethod, _ target: String, _ headers: HTTPHeaders = [:], _ body: ByteBuffer? = nil,
        mostBytes: Int = ServerClient.mostBytes
    ) async throws(CallFailure) -> HTTPAnswer {
        try await authorized(\.status) { token throws(CallFailure) in
            let head = self.head(method, target, headers, token)
            do {
                let answer = try await self.pool.call(
                    head, body: body, until: .now + Self.patience, mostBytes: mostBytes)
                self.wasThere.store(true, ordering: .relaxed)
                return HTTPAnswer(
                    status: answer.status, headers: answer.headers, body: Array(answer.body.readableBytesView))
            } catch {
                throw self.failure(error)
            }
        }
    }

    /// Opens a stream of events.
    ///
    /// - Parameter silence: how long the server may say nothing before the connection counts as dead.
    func stream(_ target: String, silence: Duration) async throws(CallFailure) -> Opened {
        try await authorized(\.status) { token throws(CallFailure) in
            let head = self.head(.GET, target, ["Accept": "text/event-stream", "Cache-Control": "no-store"], token)
            do {
                let connection = try await HTTPConnection.connect(
                    to: self.address.host, port: self.address.port, tls: self.tls, patience: .seconds(10))
                return try await self.opened(connection, head, silence)
            } catch {
                throw self.failure(error)
            }
        }
    }

    private func opened(
        _ connection: HTTPConnection, _ head: HTTPRequestHead, _ silence: Duration
    ) async throws -> Opened {
        do {
            return try await withTaskCancellationHandler {
                let response = try await connection.send(head, body: nil, within: silence)
                wasThere.store(true, ordering: .relaxed)
                let answer = HTTPAnswer(
                    status: Int(response.head.status.code), headers: response.head.headers, body: [])
                if answer.status == 200, answer.contentType.hasPrefix("text/event-stream") {
                    return .stream(EventBytes(address, connection, response, silence))
                }
                defer { connection.close() }
                return .answer(try await whole(answer, response))
            } onCancel: {
                connection.close()
            }
        } catch {
            connection.close()
            throw error
        }
    }

    private func whole(_ answer: HTTPAnswer, _ response: HTTPConnection.Response) async throws -> HTTPAnswer {
        var answer = answer
        let deadline = ContinuousClock.now + Self.patience
        while let bytes = try await response.next(within: max(.zero, deadline - .now)) {
            answer.body += bytes.readableBytesView
            guard answer.body.count <= Self.mostBytes else { throw CallFailure.tooLong }
        }
        return answer
    }

    /// A user token that is refused is replaced once.
    private func authorized<Reply: Sendable>(
        _ status: (Reply) -> Int, _ body: (_ token: String?) async throws(CallFailure) -> Reply
    ) async throws(CallFailure) -> Reply {
        guard let tokens else {
            if case .key(let key) = credentials { return try await body(key) }
            return try await body(nil)
        }
        let token = try await tokens.token()
        let reply = try await body(token)
        guard status(reply) == 401 else { return reply }
        await tokens.refuse(token)
        return try await body(tokens.token())
    }

    private func head(
        _ method: HTTPMethod, _ target: String, _ headers: HTTPHeaders, _ token: String?
    ) -> HTTPRequestHead {
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: target, headers: headers)
        head.headers.add(name: "Host", value: address.authority)
        head.headers.add(name: "User-Agent", value: "luciq")
        if let token { head.headers.add(name: "Authorization", value: "Bearer \(token)") }
        return head
    }

    private func failure(_ error: any Error) -> CallFailure {
        CallFailure(losing: error, to: address, wasThere: wasThere.load(ordering: .relaxed))
    }

    /// What a request for a stream gets.
    enum Opened: Sendable {
        case stream(EventBytes)
        case answer(HTTPAnswer)

        var status: Int {
            switch self {
            case .stream: 200
            case .answer(let answer): answer.status
            }
        }
    }
}

/// The bytes of a stream as they arrive, read on demand: a slow reader fills no buffer of ours.
struct EventBytes: Sendable {
    private let address: ServerAddress
    private let connection: HTTPConnection
    private let response: HTTPConnection.Response
    private let silence: Duration

    fileprivate init(
        _ address: ServerAddress, _ connection: HTTPConnection, _ response: HTTPConnection.Response,
        _ silence: Duration
    ) {
        (self.address, self.connection, self.response, self.silence) = (address, connection, response, silence)
    }

    /// - Returns: at least one byte; nil when the server has closed it.
    func next() async throws(CallFailure) -> ByteBufferView? {
        do {
            return try await withTaskCancellationHandler {
                try await response.next(within: silence)?.readableBytesView
            } onCancel: {
                connection.close()
            }
        } catch {
            throw CallFailure(losing: error, to: address, wasThere: true)
        }
    }

    func close() { connection.close() }
}

extension HTTPAnswer {
    fileprivate init(status: Int, headers: HTTPHeaders, body: [UInt8]) {
        self.init(
            status: status,
            contentType: headers.first(name: "Content-Type") ?? "",
            retryAfter: headers.first(name: "Retry-After"),
            location: headers.first(name: "Location"),
            next: headers.first(name: "Link")?.nextLink,
            cursor: headers.first(name: "Luciq-Cursor"),
            body: body)
    }
}
