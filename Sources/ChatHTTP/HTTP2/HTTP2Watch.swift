import NIOCore

/// Bounds what a client of HTTP/2 causes beside its requests, and tells what of an incomplete head is held.
///
/// `NIOHTTP2Handler` bounds the rates of resets, of errors on streams, and of PING, SETTINGS and PRIORITY frames, and the
/// number of empty DATA and of CONTINUATION frames. It lets pass any number of WINDOW_UPDATE and unknown frames, and of
/// settings in a frame. Each of these takes from an allowance here. Time fills it, and what is sent: a client answers a
/// frame of data with two WINDOW_UPDATE frames at most, one for the stream and one for the connection. Data in crumbs
/// does not fill it, because a client causes crumbs by opening its window by a few bytes.
struct HTTP2Watch {
    /// In frames.
    static let most = 1000.0
    private static let perSecond = 10.0
    /// Sent data that fills the allowance, in bytes.
    private static let crumb = 64
    /// The client's part of the connection preface (RFC 9113, 3.4), in bytes.
    private static let preface = 24
    private static let endHeaders: UInt8 = 0x4
    private static let endStream: UInt8 = 0x1

    private var walker = FrameWalker(preface: preface)
    private var allowance = most
    private var filledAt: Duration
    /// Bytes of the complete frames of an incomplete head.
    private var headBytes = 0
    /// When the incomplete head began.
    private(set) var headSince: Duration?

    init(now: Duration) { filledAt = now }

    /// Bytes of an incomplete head, or of another incomplete frame. Data is passed on as it comes.
    var heldBytes: Int {
        headBytes + (walker.current?.kind == FrameWalker.Kind.data ? 0 : walker.incompleteBytes)
    }

    /// - Parameter bytes: follow those of the last call.
    /// - Returns: false if the client has used up its allowance.
    mutating func receive(_ bytes: ByteBuffer, now: Duration) -> Bool {
        var walker = walker
        walker.walk(bytes) { frame in received(frame, now: now) }
        self.walker = walker
        if headBytes == 0 {
            headSince = walker.current?.kind == FrameWalker.Kind.headers ? headSince ?? now : nil
        }
        guard allowance < 0 else { return true }
        let seconds = Double((now - filledAt).components.seconds)
        allowance = min(Self.most, allowance + seconds * Self.perSecond)
        filledAt = now
        return allowance >= 0
    }

    private mutating func received(_ frame: FrameWalker.Frame, now: Duration) {
        switch frame.kind {
        case FrameWalker.Kind.data: break
        case FrameWalker.Kind.headers, FrameWalker.Kind.continuation:
            if frame.flags & Self.endHeaders == 0 {
                if headSince == nil { headSince = now }
                headBytes += FrameWalker.headerLength + frame.length
            } else {
                (headBytes, headSince) = (0, nil)
            }
        // Each setting has six bytes.
        case FrameWalker.Kind.settings: allowance -= 1 + Double(frame.length / 6)
        default: allowance -= 1
        }
    }

    /// A frame was sent.
    mutating func sent(_ frame: FrameWalker.Frame) {
        guard frame.kind == FrameWalker.Kind.headers || frame.kind == FrameWalker.Kind.data,
            frame.length >= Self.crumb || frame.flags & Self.endStream != 0
        else { return }
        allowance = min(Self.most, allowance + 2)
    }
}
