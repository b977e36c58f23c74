import NIOCore

/// One reader: requests a chat's stream, then counts its messages.
final class StreamReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    struct Failure: Error, CustomStringConvertible { let description: String }

    private let request: ByteBuffer
    private let subscription: ByteBuffer?
    private let tally: StreamTally
    private let opened: EventLoopPromise<Void>
    /// Called with each message's number while one is awaited.
    private let onMessage: ((Int64) -> Void)?
    private var scanner: StreamScanner
    /// The bytes of an incomplete line or frame.
    private var rest: ByteBuffer?
    private var last: Int64 = 0
    private var isOpen = false
    private var isStalling = false
    private var reason: String?
    private var isWriting: Bool { !tally.dueAt.isEmpty }

    init(
        _ plan: Streams, chat: Int, tally: StreamTally, opened: EventLoopPromise<Void>, stalls: Bool,
        onMessage: ((Int64) -> Void)?
    ) {
        scanner = StreamScanner(plan.stream)
        self.tally = tally
        self.opened = opened
        self.onMessage = onMessage
        self.isStalling = stalls
        let path = "/applications/\(plan.application)"
        switch plan.stream {
        case .sse:
            let items = [plan.after.map { "after=\($0)" }, plan.edits > 0 ? "changes=1" : nil].compactMap(\.self)
            let query = items.isEmpty ? "" : "?" + items.joined(separator: "&")
            request = ByteBuffer(string: "GET \(path)/chats/\(chat)/stream\(query) HTTP/1.1\r\nHost: localhost\r\n\r\n")
            subscription = nil
        case .websocket:
            let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
            request = ByteBuffer(
                string:
                    "GET \(path)/socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    + "\(key)\r\n\r\n")
            let after = plan.after.map { ",\"after\":\"\($0)\"" } ?? ""
            let changes = plan.edits > 0 ? ",\"changes\":true" : ""
            subscription = .frame(0x81, "{\"type\":\"subscribe\",\"chat\":\(chat)\(after)\(changes)}")
        }
    }

    func channelActive(context: ChannelHandlerContext) {
        context.write(NIOAny(request), promise: nil)
        // The server reads it after leaving HTTP; nothing is lost, and the answer tells whether it has left.
        if let subscription { context.write(NIOAny(subscription), promise: nil) }
        context.flush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let now = Int64.monotonic
        var bytes = unwrapInboundIn(data)
        if var rest {
            self.rest = nil
            rest.writeBuffer(&bytes)
            bytes = rest
        }
        let used = bytes.withUnsafeReadableBytes { bytes in scanner.scan(bytes) { receive($0, now, context) } }
        bytes.moveReaderIndex(forwardBy: used)
        if bytes.readableBytes > 0 { rest = bytes }
    }

    private func receive(_ event: StreamScanner.Event, _ now: Int64, _ context: ChannelHandlerContext) {
        switch event {
        case .opened(let cursor):
            last = cursor
            isOpen = true
            if isStalling { context.channel.setOption(.autoRead, value: false).whenComplete { _ in } }
            opened.succeed()
        case .message(let number, let body):
            // Stalled readers do not count.
            if !isStalling {
                tally.received(isWriting ? Int(body.digits(10)) : nil, isInOrder: number == last + 1, at: now)
            }
            last = number
            onMessage?(number)
        case .changed(let body): if !isStalling { tally.received(Int(body.digits(10)), isInOrder: true, at: now) }
        case .ping: context.writeAndFlush(NIOAny(ByteBuffer.frame(0x8A, "")), promise: nil)
        case .closed(let reason): self.reason = reason
        case .failed: fail(context, "The server did not answer with a stream.")
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(context, "The server closed the connection.")
        if isOpen { tally.ended((isStalling ? "stalled, " : "") + (reason ?? "without a reason")) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { fail(context, "\(error)") }

    /// Does nothing once the stream is open.
    private func fail(_ context: ChannelHandlerContext, _ description: String) {
        opened.fail(Failure(description: description))
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension StreamReader: Sendable {}

extension ByteBuffer {
    /// A frame of up to 125 bytes, masked with a key of zeros, which leaves it as it is.
    fileprivate static func frame(_ head: UInt8, _ text: String) -> ByteBuffer {
        var frame = ByteBuffer(bytes: [head, 0x80 | UInt8(text.utf8.count), 0, 0, 0, 0])
        frame.writeString(text)
        return frame
    }
}
