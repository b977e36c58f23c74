import NIOCore
import NIOPosix
import TLS

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Parses the server's bytes, and passes replies (in order) and published messages to the connection.
final class RedisHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    /// Takes a message of a subscribed channel, on the event loop.
    typealias OnMessage = @Sendable (_ channel: String, _ payload: [UInt8]) -> Void

    private let connection: RedisConnection
    private let onMessage: OnMessage?
    private var reader: RedisReader
    private var replies: [RedisReply] = []

    init(connection: RedisConnection, maxReplyBytes: Int, onMessage: OnMessage?) {
        self.connection = connection
        self.onMessage = onMessage
        self.reader = RedisReader(maxReplyBytes: maxReplyBytes)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        do throws(RedisReader.Failure) {
            let bytes = unwrapInboundIn(data)
            try bytes.withUnsafeReadableBytes { bytes throws(RedisReader.Failure) in
                try reader.read(bytes) { reply in if !isMessage(reply) { replies.append(reply) } }
            }
        } catch {
            handOver()
            switch error {
            case .tooLarge: connection.close(reason: "a reply was too large", next: .tooLarge)
            case .nonsense(let text):
                let reason = "it is not a Redis: \(text)"
                connection.close(reason: reason, next: .unusable(reason: reason))
            }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { handOver() }

    func channelInactive(context: ChannelHandlerContext) {
        handOver()
        connection.close(reason: "the server closed the connection")
    }

    // Also for a channel that never became active.
    func handlerRemoved(context: ChannelHandlerContext) { connection.close(reason: "closed") }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let failure = RedisError(connecting: error)
        var unusable: RedisError?
        if case .unusable = failure { unusable = failure }
        connection.close(reason: failure.text, next: unusable)
    }

    private func handOver() {
        if replies.isEmpty { return }
        connection.receive(replies)
        replies.removeAll(keepingCapacity: true)
    }

    private func isMessage(_ reply: RedisReply) -> Bool {
        guard let onMessage, case .success(.array(let parts)) = reply, parts.count == 3,
            case .text(let kind) = parts[0], kind.elementsEqual("message".utf8),
            let channel = parts[1].string, case .text(let payload) = parts[2]
        else { return false }
        onMessage(channel, payload)
        return true
    }
}

extension RedisError {
    /// Why a connection could not be made or was lost, in a few words.
    init(connecting error: any Error) {
        switch error {
        case let error as NIOConnectionError:
            if let last = error.connectionErrors.last {
                self.init(connecting: last.error)
            } else {
                self = .unusable(reason: "the host name cannot be resolved")
            }
        case ChannelError.connectTimeout: self = .unavailable(reason: "no connection in time")
        case let error as IOError: self = .unavailable(reason: String(cString: strerror(error.errnoCode)).lowercased())
        case let error as TLSError: self = .unusable(reason: "TLS failed: \(error)")
        default: self = .unavailable(reason: "\(error)")
        }
    }

    /// The same with the server's name before it.
    func of(_ endpoint: RedisConfiguration.Endpoint) -> RedisError {
        if case .unusable(let reason) = self { return .unusable(reason: "\(endpoint): \(reason)") }
        return .unavailable(reason: "\(endpoint): \(text)")
    }
}
