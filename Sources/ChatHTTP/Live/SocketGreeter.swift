import ChatCore
import NIOCore
import NIOWebSocket
import Synchronization

/// The connections whose clients have not shown a token yet: a share of few for each address.
final class SocketLobby: Sendable {
    private let waiting = Mutex(FairShare<IPAddress>(bound: 1024))

    /// - Returns: false if there is no room.
    func enter(_ client: IPAddress) -> Bool { waiting.withLock { $0.take(client) } }

    func leave(_ client: IPAddress) { waiting.withLock { $0.give(client) } }
}

/// Waits for the first message of a client that has shown nothing: `{"type":"auth","token":…}`. Then `WebSocketHandler`
/// takes its place. Before, the connection holds nothing but this, and has subscribed to nothing.
final class SocketGreeter: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = ByteBuffer

    static let patience = Duration.seconds(5)
    /// Of the first message, in bytes; a token has at most 4 KiB.
    private static let longest = 8 << 10
    /// Frames that may follow the first message before it is answered.
    private static let mostFrames = 16

    /// Looks up the access behind a token.
    typealias Admit = @Sendable (_ token: String) async throws -> (TenantScope, Opening)

    private let client: IPAddress
    private let lobby: SocketLobby
    private let admit: Admit
    private let makeHandler: (TenantScope, Opening, AuthenticatedAnswer?) -> WebSocketHandler
    private var messages = WebSocketMessages()
    private var frames: [WebSocketFrame] = []
    private var context: ChannelHandlerContext?
    private var isInside = false
    private var isAsking = false
    private var isClosing = false

    init(
        client: IPAddress, lobby: SocketLobby, admit: @escaping Admit,
        makeHandler: @escaping (TenantScope, Opening, AuthenticatedAnswer?) -> WebSocketHandler
    ) {
        self.client = client
        self.lobby = lobby
        self.admit = admit
        self.makeHandler = makeHandler
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        isInside = lobby.enter(client)
        guard isInside else { return close(.overloaded) }
        context.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: TimeAmount(Self.patience)) { [weak self] in
            if let self, self.context != nil, !self.isAsking { self.close(.noToken) }
        }
        context.read()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        if isInside { lobby.leave(client) }
        isInside = false
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        let frame = unwrapInboundIn(data)
        guard !isAsking else {
            frames.append(frame)
            if frames.count > Self.mostFrames { close(.protocolError("The token is not checked yet")) }
            return
        }
        do throws(WebSocketClosure) {
            guard frame.data.readableBytes + messages.unfinishedBytes <= Self.longest else { throw .tooBig }
            switch try messages.receive(frame) {
            case .text(let text): ask(text)
            case .ping(let payload): send(.pong, payload)
            case .close(let code):
                isClosing = true
                send(.connectionClose, code.map { ByteBuffer(integer: $0) } ?? ByteBuffer())
                context.close(promise: nil)
            case .pong, nil: break
            }
        } catch {
            close(error)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { if !isAsking { context.read() } }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed: context.close(promise: nil)
        case is ChannelShouldQuiesceEvent: close(.goingAway)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let closure = error as? WebSocketClosure { close(closure) } else { context.close(promise: nil) }
    }

    private func ask(_ text: ByteBuffer) {
        guard let context, let request = try? SocketRequest(text), case .authenticate(let token) = request.command
        else {
            return close(.noToken)
        }
        isAsking = true
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        Task { [admit, eventLoop = context.eventLoop] in
            let outcome: Result<(TenantScope, Opening), any Error>
            do { outcome = .success(try await admit(token)) } catch { outcome = .failure(error) }
            eventLoop.execute { bound.value.admitted(outcome, ref: request.ref) }
        }
    }

    private func admitted(_ outcome: Result<(TenantScope, Opening), any Error>, ref: String?) {
        guard let context, !isClosing else { return }
        switch outcome {
        case .success(let (tenant, opening)):
            let handler = makeHandler(tenant, opening, AuthenticatedAnswer(tenant.access, ref: ref))
            let frames = frames
            do {
                try context.pipeline.syncOperations.addHandler(handler, position: .after(self))
                for frame in frames { context.fireChannelRead(wrapInboundOut(frame)) }
                if !frames.isEmpty { context.fireChannelReadComplete() }
                context.pipeline.syncOperations.removeHandler(self, promise: nil)
            } catch {
                context.close(promise: nil)
            }
        case .failure(let error): close(WebSocketClosure(refusing: error) ?? .overloaded)
        }
    }

    typealias InboundOut = WebSocketFrame

    private func close(_ closure: WebSocketClosure) {
        guard let context, !isClosing else { return }
        isClosing = true
        var payload = ByteBuffer(integer: closure.code.rawValue)
        payload.writeString(closure.reason)
        send(.connectionClose, payload)
        context.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: TimeAmount(ConnectionState.linger)) {
            [weak self] in
            self?.context?.close(promise: nil)
        }
        context.read()
    }

    private func send(_ opcode: WebSocketOpcode, _ data: ByteBuffer) {
        var frame = ByteBuffer()
        frame.writeFrame(opcode, data)
        context?.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    }
}

@available(*, unavailable)
extension SocketGreeter: Sendable {}
