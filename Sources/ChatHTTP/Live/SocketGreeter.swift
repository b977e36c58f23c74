import ChatCore
import NIOCore
import NIOWebSocket

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
    /// - Returns: nil if the application has too many connections.
    typealias MakeHandler = (TenantScope, Opening, AuthenticatedAnswer?) -> WebSocketHandler?

    private let client: IPAddress
    private let lobby: SocketLobby
    private let admit: Admit
    private let makeHandler: MakeHandler
    private var messages = WebSocketMessages()
    private var frames: [WebSocketFrame] = []
    private var context: ChannelHandlerContext?
    private var guest: SocketLobby.GuestID?
    private var isAsking = false
    private var isClosing = false

    init(
        client: IPAddress, lobby: SocketLobby, admit: @escaping Admit,
        makeHandler: @escaping MakeHandler
    ) {
        self.client = client
        self.lobby = lobby
        self.admit = admit
        self.makeHandler = makeHandler
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        guest = lobby.enter(client) { [eventLoop = context.eventLoop] in
            eventLoop.execute { bound.value.close(.crowded) }
        }
        guard guest != nil else { return close(.crowded) }
        context.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: TimeAmount(Self.patience)) { [weak self] in
            if let self, self.context != nil, !self.isAsking { self.close(.noToken) }
        }
        context.read()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        if let guest { lobby.leave(guest) }
        guest = nil
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
        if let guest { lobby.isAsking(guest) }
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
            guard let handler = makeHandler(tenant, opening, AuthenticatedAnswer(tenant.access, ref: ref)) else {
                return close(.crowded)
            }
            let frames = frames
            do {
                try context.pipeline.syncOperations.addHandler(handler, position: .after(self))
                for frame in frames { context.fireChannelRead(wrapInboundOut(frame)) }
                if !frames.isEmpty { context.fireChannelReadComplete() }
                context.pipeline.syncOperations.removeHandler(self, promise: nil)
            } catch {
                context.close(promise: nil)
            }
        case .failure(let error): close(WebSocketClosure(refusing: error) ?? .crowded)
        }
    }

    typealias InboundOut = WebSocketFrame

    private func close(_ closure: WebSocketClosure) {
        guard let context, !isClosing else { return }
        isClosing = true
        if let guest { lobby.leave(guest) }
        guest = nil
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
