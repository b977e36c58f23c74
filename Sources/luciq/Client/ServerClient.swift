import ChatCore
import Foundation
import HTTPClient
import NIOCore
import NIOHTTP1
import TLS

/// Calls of a server's API, over one connection, kept open if the server keeps it.
final class ServerClient {
    let address: ServerAddress
    let silence: Duration
    private let key: AccessKey?
    private let tls: TLSContext?
    private var connection: HTTPConnection?
    /// Whether the server has ever answered: then its name is correct.
    private var wasThere = false

    /// - Parameters:
    ///   - key: sent with each request; nil for none.
    ///   - silence: how long a server may say nothing before its connection counts as dead.
    init(_ address: ServerAddress, key: AccessKey?, silence: Duration) throws(CallFailure) {
        self.address = address
        self.key = key
        self.silence = silence
        tls = try Self.tls(for: address)
    }

    deinit { connection?.close() }

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

    /// Sends a request that is safe to repeat.
    func execute(
        _ method: HTTPMethod, _ target: String, _ headers: HTTPHeaders = [:], _ body: ByteBuffer? = nil
    ) async throws(CallFailure) -> HTTPConnection.Response {
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: target, headers: headers)
        head.headers.add(name: "Host", value: address.authority)
        head.headers.add(name: "User-Agent", value: "luciq")
        if let key { head.headers.add(name: "Authorization", value: "Bearer \(key.text)") }
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
                    // The server has closed it meanwhile: use a new one.
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
    func whole(_ response: HTTPConnection.Response) async throws(CallFailure) -> HTTPAnswer {
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
                next: response.head.headers.first(name: "Link")?.nextLink,
                body: body
            )
        } catch {
            connection?.close()
            throw CallFailure(losing: error, to: address, wasThere: true)
        }
    }
}

extension HTTPConnection.Response {
    var contentType: String { head.headers.first(name: "Content-Type") ?? "" }
}
