import NIOCore
import NIOHTTP1

/// Sees what the codec behind it leaves out.
///
/// It tells the guard of HTTP/1.0, of `Connection: close` however it is written, and of the requests after which NIO's
/// parser stops: an offer to upgrade, and CONNECT. It refuses heads whose meaning two readers could see differently
/// (`HeadFault`). And it tells the encoder what to do with an answer that has no `Content-Length`: the encoder does not
/// know the request, and would write a chunked body for HTTP/1.0, and the end of one for HEAD.
final class HeadWatch: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let connection: ConnectionGuard
    /// The requests that are still to be answered.
    private var requests = CircularBuffer<(isHead: Bool, version: HTTPVersion)>()
    private var endsWithHead = false
    /// The last `Host` that was well-formed: a connection has the same in all its requests.
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
            // RFC 9110, 7.8: an offer in HTTP/1.0 is to be ignored.
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
