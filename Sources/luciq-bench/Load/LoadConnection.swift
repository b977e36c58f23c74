import NIOCore

/// One connection with at most one request in flight.
final class LoadConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private unowned let generator: LoadGenerator
    private let dialect: Dialect
    private let requests: [ByteBuffer]
    private let index: Int
    private var next: Int
    private var context: ChannelHandlerContext?
    /// The received part of an incomplete answer.
    private var rest = ByteBuffer()
    /// The due time of the request in flight.
    private(set) var waitingSince: NIODeadline?
    var isBusy: Bool { waitingSince != nil }

    init(_ generator: LoadGenerator, _ dialect: Dialect, _ requests: [ByteBuffer], index: Int) {
        self.generator = generator
        self.dialect = dialect
        self.requests = requests
        self.index = index
        next = index % requests.count  // Connections start at different targets.
    }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        if let greeting = dialect.greeting(connection: index) {
            context.writeAndFlush(NIOAny(greeting), promise: nil)
        } else {
            generator.isReady(self)
        }
    }

    func send(dueAt: NIODeadline) {
        waitingSince = dueAt
        context?.writeAndFlush(NIOAny(requests[next]), promise: nil)
        next = next + 1 == requests.count ? 0 : next + 1
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if rest.readableBytes > 0 {
            rest.writeBuffer(&bytes)
            bytes = rest
        }
        // Releases the buffer, so that the channel can read into the same memory again.
        rest = ByteBuffer()
        while let event = dialect.event(in: &bytes) {
            switch event {
            case .ready: generator.isReady(self)
            case .ping: context.writeAndFlush(NIOAny(ByteBuffer(string: "PONG\r\n")), promise: nil)
            case .note: break
            case .answer(let isGood):
                guard let dueAt = waitingSince else { return context.close(promise: nil) }
                waitingSince = nil
                generator.answered(self, dueAt: dueAt, isGood: isGood)
            case .nonsense: return context.close(promise: nil)
            }
        }
        if bytes.readableBytes > 0 { rest = bytes }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        waitingSince = nil
        generator.broke(self)
    }

    /// Closing tells the generator, in channelInactive.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

@available(*, unavailable)
extension LoadConnection: Sendable {}
