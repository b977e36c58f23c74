import NIOCore
import NIOHTTP1

/// Reads the parts of a head that the codec behind it drops.
///
/// It tells the guard about HTTP/1.0, about `Connection: close` in any spelling, and about the requests after which
/// NIO's parser stops: an offer to upgrade, and CONNECT. It refuses ambiguous heads (`HeadFault`). And it corrects the
/// encoder on answers without `Content-Length`: the encoder does not know the request, and would send a chunked body to
/// HTTP/1.0, and the end of a chunked body to HEAD.
final class HeadWatch: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let connection: ConnectionGuard
    /// The unanswered requests.
    private var requests = CircularBuffer<(isHead: Bool, version: HTTPVersion)>()
    private var endsWithHead = false
    /// The last well-formed `Host`. A connection usually repeats it in each request.
    private var goodHost: String?

    init(guard connection: ConnectionGuard) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if connection.isDone { return }
        if case .head(let head) = unwrapInboundIn(data) {
            if let problem = head.fault(&goodHost) {
                return connection.breakOffEarly(context, problem, HTTPParserError.unknown)
            }
            let offersUpgrade = head.headers.contains(name: "Upgrade")
            connection.isLastRequest = !head.isKeepAlive || offersUpgrade || head.method == .CONNECT
            // RFC 9110, 7.8: ignore an offer in HTTP/1.0.
            connection.version = head.version
            connection.offersUpgrade = offersUpgrade && head.version == .http1_1
            requests.append((head.method == .HEAD, head.version))
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head) where !head.headers.contains(name: "Content-Length"):
            endsWithHead = requests.first?.isHead == true
            if requests.first?.version == .http1_0 { head.version = .http1_0 }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .head:
            endsWithHead = false
            context.write(data, promise: promise)
        case .end where requests.popFirst()?.isHead == true && endsWithHead:
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer()))), promise: promise)
        default:
            context.write(data, promise: promise)
        }
    }
}
