import NIOCore

/// Posts messages when they are due, each on a free connection. A message without one waits, and the wait counts.
final class StreamWriter {
    private let plan: Streams
    private let tally: StreamTally
    private var free: [StreamWriterConnection] = []
    /// The indexes of the message that is due next, and of the one that is sent next.
    private var due = 0
    private var next = 0

    init(_ plan: Streams, tally: StreamTally) {
        self.plan = plan
        self.tally = tally
    }

    func makeConnection() -> StreamWriterConnection { StreamWriterConnection(self) }

    func isFree(_ connection: StreamWriterConnection) {
        free.append(connection)
        send()
    }

    func answered(_ index: Int, isDone: Bool) { tally.answered(index, isDone: isDone) }

    /// - Returns: whether more messages follow.
    func tick() -> Bool {
        let now = Int64.monotonic
        while due < tally.dueAt.count, tally.dueAt[due] <= now { due += 1 }
        send()
        return next < tally.dueAt.count
    }

    private func send() {
        while next < due, let connection = free.popLast() {
            connection.send(request(next), next)
            next += 1
        }
    }

    private func request(_ index: Int) -> ByteBuffer {
        let text = String(index)
        let body =
            String(repeating: "0", count: 10 - text.count) + text
            + String(repeating: "x", count: max(0, plan.size - 10))
        let messages = "/applications/\(plan.application)/chats/\(index % plan.chats + 1)/messages"
        let target = tally.isEdit(index) ? "PATCH \(messages)/\(index / plan.edits % 100 + 1)" : "POST \(messages)"
        return ByteBuffer(
            string: """
                \(target) HTTP/1.1\r
                Host: localhost\r
                Content-Type: application/json\r
                Content-Length: \(body.utf8.count + 11)\r
                \r
                {"body":"\(body)"}
                """)
    }
}

/// One connection, with one request at a time.
final class StreamWriterConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let writer: StreamWriter
    private var context: ChannelHandlerContext?
    private var index = 0
    private var answer = ByteBuffer()

    init(_ writer: StreamWriter) { self.writer = writer }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        writer.isFree(self)
    }

    func send(_ request: ByteBuffer, _ index: Int) {
        self.index = index
        context?.writeAndFlush(NIOAny(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        answer.writeBuffer(&bytes)
        // The answer is an object without nested objects.
        let isWhole = answer.readableBytesView.last == UInt8(ascii: "}")
        guard isWhole else { return }
        let isDone = answer.getString(at: answer.readerIndex, length: 10) == "HTTP/1.1 2"
        answer.clear()
        writer.answered(index, isDone: isDone)
        writer.isFree(self)
    }

    func channelInactive(context: ChannelHandlerContext) { self.context = nil }
}

@available(*, unavailable)
extension StreamWriterConnection: Sendable {}
