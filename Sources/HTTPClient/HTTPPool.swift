package import NIOCore
package import NIOHTTP1
import Synchronization
package import TLS

/// A few connections to one server, kept open between calls. Each call has a deadline, and reads its answer whole.
package final class HTTPPool: Sendable {
    /// As many calls as the pool allows are under way.
    package struct Busy: Error {}
    /// The answer is longer than the caller allows.
    package struct TooLong: Error {}

    package struct Answer: Sendable {
        package let status: Int
        package let headers: HTTPHeaders
        package let body: ByteBuffer
    }

    private struct State {
        var idle: [HTTPConnection] = []
        var used = 0
        var isClosed = false
    }

    private let state = Mutex(State())
    private let host: String
    private let port: Int
    private let tls: TLSContext?
    private let most: Int

    /// - Parameters:
    ///   - tls: nil for plain TCP.
    ///   - most: calls at the same time.
    package init(host: String, port: Int, tls: TLSContext?, most: Int) {
        self.host = host
        self.port = port
        self.tls = tls
        self.most = most
    }

    /// Closes idle connections; those in use close after their call.
    package func close() {
        let idle = state.withLock { state in
            state.isClosed = true
            defer { state.idle = [] }
            return state.idle
        }
        for connection in idle { connection.close() }
    }

    /// Sends a request, and reads the whole answer. If the server has closed a kept connection, the request is sent again
    /// over a new one: it must be safe to repeat.
    ///
    /// - Parameters:
    ///   - head: with all headers but Content-Length.
    ///   - mostBytes: of the answer's body.
    /// - Throws: `Busy`, `TooLong`, `CancellationError`, and what `HTTPConnection` throws.
    package func call(
        _ head: HTTPRequestHead, body: ByteBuffer?, until deadline: ContinuousClock.Instant, mostBytes: Int
    ) async throws -> Answer {
        var head = head
        head.headers.replaceOrAdd(name: "Content-Length", value: String(body?.readableBytes ?? 0))
        let kept = try state.withLock { state in
            guard state.used < most else { throw Busy() }
            state.used += 1
            return state.idle.popLast()
        }
        defer { state.withLock { $0.used -= 1 } }
        if let kept {
            do {
                return try await exchange(head, body, over: kept, until: deadline, mostBytes)
            } catch let error as HTTPConnection.Silence {
                throw error
            } catch  where error is TooLong || Task.isCancelled {
                throw error
            } catch {}  // The server has closed it meanwhile.
        }
        let patience = max(.zero, deadline - .now)
        let connection = try await HTTPConnection.connect(to: host, port: port, tls: tls, patience: patience)
        return try await exchange(head, body, over: connection, until: deadline, mostBytes)
    }

    private func exchange(
        _ head: HTTPRequestHead, _ body: ByteBuffer?, over connection: HTTPConnection,
        until deadline: ContinuousClock.Instant, _ mostBytes: Int
    ) async throws -> Answer {
        do {
            let answer = try await withTaskCancellationHandler {
                let response = try await connection.send(head, body: body, within: max(.zero, deadline - .now))
                var whole = ByteBuffer()
                while var bytes = try await response.next(within: max(.zero, deadline - .now)) {
                    guard whole.readableBytes + bytes.readableBytes <= mostBytes else { throw TooLong() }
                    whole.writeBuffer(&bytes)
                }
                return Answer(status: Int(response.head.status.code), headers: response.head.headers, body: whole)
            } onCancel: {
                connection.close()
            }
            keep(connection)
            return answer
        } catch {
            connection.close()
            try Task.checkCancellation()
            throw error
        }
    }

    private func keep(_ connection: HTTPConnection) {
        let isKept = state.withLock { state in
            guard connection.isFree, !state.isClosed, state.idle.count < most else { return false }
            state.idle.append(connection)
            return true
        }
        if !isKept { connection.close() }
    }
}
