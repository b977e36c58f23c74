import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// A client that listens over one connection after another, to any server, and resumes where the last one ended.
final class StreamClient: Sendable {
    private struct State {
        var channel: (any Channel)?
        var connections = 0
        var beats = 0
        var refusals = 0
        var problems: [String] = []
        var ends: [String] = []
    }

    /// The answers of a server that cannot serve at the moment.
    private static let passing = [
        "going_away", "slow_consumer", "overloaded", "shutting_down", "unavailable", "end of stream", "frame 8",
    ]

    let transport: StreamDecoder.Transport
    /// One for server-sent events; of different chats.
    let subscribers: [StreamSubscriber]
    /// `/applications/<token>`.
    private let application: String
    private let ports: [Int]
    private let state = Mutex(State())

    /// - Parameter ports: of servers and proxies, any of which will do.
    init(
        _ transport: StreamDecoder.Transport, _ subscribers: [StreamSubscriber], of application: String, at ports: [Int]
    ) {
        self.transport = transport
        self.subscribers = subscribers
        self.application = application
        self.ports = ports
    }

    /// How often it was connected.
    var connections: Int { state.withLock(\.connections) }
    /// Comments, and pings.
    var beats: Int { state.withLock(\.beats) }
    /// How often a server told it to reconnect.
    var refusals: Int { state.withLock(\.refusals) }
    /// Answers that were wrong.
    var problems: [String] { state.withLock(\.problems) + subscribers.flatMap(\.problems) }
    /// What servers have said at the end.
    var ends: [String] { state.withLock(\.ends) }
    /// Where it is connected, for debugging.
    var place: String {
        let (channel, connections) = state.withLock { ($0.channel, $0.connections) }
        guard let channel, channel.isActive else { return "not connected, after \(connections) connections" }
        let ports = [channel.localAddress?.port, channel.remoteAddress?.port].map { $0.map(String.init) ?? "?" }
        return "connection \(connections), from port \(ports[0]) to \(ports[1])"
    }
    var hasBegun: Bool { subscribers.allSatisfy { $0.start != nil } }

    /// Listens until it is cancelled.
    func run(on group: any EventLoopGroup) async {
        while !Task.isCancelled {
            if let channel = try? await connect(group) {  // Otherwise nobody is there now.
                state.withLock { state in
                    state.channel = channel
                    state.connections += 1
                }
                await withTaskCancellationHandler {
                    try? await channel.closeFuture.get()  // It never fails.
                } onCancel: {
                    channel.close(promise: nil)
                }
            }
            try? await Task.sleep(for: .milliseconds(.random(in: 20...200)))
        }
    }

    /// Closes the connection it has.
    ///
    /// - Parameter isReset: as a client that crashed.
    func cut(isReset: Bool) {
        guard let channel = state.withLock(\.channel) else { return }
        guard isReset, let socket = channel as? any SocketOptionProvider else { return channel.close(promise: nil) }
        socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in channel.close(promise: nil) }
    }

    private func connect(_ group: any EventLoopGroup) async throws -> any Channel {
        try await ClientBootstrap(group: group).connectTimeout(.seconds(5)).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(StreamReading(for: self))
            }
        }.connect(host: "127.0.0.1", port: ports.randomElement() ?? 0).get()
    }

    /// Its request; what follows it is `subscriptions`.
    fileprivate var request: String {
        let host = "Host: 127.0.0.1\r\n"
        guard transport == .events else {
            return "GET \(application)/socket HTTP/1.1\r\n\(host)Connection: Upgrade\r\nUpgrade: websocket\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        }
        // As a browser does, which repeats the query it began with.
        let subscriber = subscribers[0]
        let query = subscriber.after.map { "?after=\($0)" } ?? ""
        let header = subscriber.start == nil ? "" : "Last-Event-ID: \(subscriber.cursor ?? 0)\r\n"
        return "GET \(application)/chats/\(subscriber.chat)/stream\(query) HTTP/1.1\r\n\(host)"
            + "Accept-Encoding: gzip\r\n\(header)\r\n"
    }

    fileprivate var subscriptions: [String] {
        subscribers.map { subscriber in
            let after = subscriber.cursor.map { ",\"after\":\"\($0)\"" } ?? ""
            return "{\"type\":\"subscribe\",\"chat\":\(subscriber.chat)\(after)}"
        }
    }

    /// - Returns: whether to go on with it.
    fileprivate func take(_ event: StreamEvent) -> Bool {
        switch event {
        case .began(let chat, let cursor):
            guard let subscriber = subscriber(chat) else { return fail("began a chat that nobody asked for") }
            subscriber.begin(at: cursor, asked: subscriber.cursor)
        case .message(let chat, let row):
            guard let subscriber = subscriber(chat) else { return fail("a message of a chat that nobody asked for") }
            subscriber.receive(row)
        case .beat: state.withLock { $0.beats += 1 }
        case .switched: break
        case .refused(let status):
            // By a proxy too.
            guard [502, 503, 504].contains(status) else { return fail("status \(status)") }
            state.withLock { $0.refusals += 1 }
            return false
        case .ended(let code):
            guard Self.passing.contains(code) else { return fail(code) }
            state.withLock { $0.ends.append(code) }
            return false
        }
        return true
    }

    private func subscriber(_ chat: Int?) -> StreamSubscriber? {
        chat == nil ? subscribers[0] : subscribers.first { $0.chat == chat }
    }

    private func fail(_ problem: String) -> Bool {
        state.withLock { $0.problems.append(problem) }
        return false
    }
}

/// One connection of a client.
private final class StreamReading: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let client: StreamClient
    private var decoder: StreamDecoder
    private var isOver = false

    init(for client: StreamClient) {
        self.client = client
        self.decoder = StreamDecoder(client.transport)
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: client.request)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard !isOver else { return }
        for event in decoder.read(&bytes) {
            guard client.take(event) else {
                isOver = true
                return context.close(promise: nil)
            }
            switch event {
            case .switched: for text in client.subscriptions { write(1, ByteBuffer(string: text), context) }
            case .beat(let ping): if let ping { write(10, ping, context) }
            default: break
            }
        }
        context.flush()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func write(_ opcode: UInt8, _ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        context.write(wrapOutboundOut(StreamDecoder.frame(opcode, payload)), promise: nil)
    }
}
