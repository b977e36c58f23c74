import ChatCore
import HTTPTypes
import NIOCore

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Parses requests from a connection's bytes (RFC 9112). It refuses everything that a proxy and this server could read
/// differently: a line that ends with a bare line feed, a folded header, white space before a colon, two lengths, or a
/// length with a transfer coding.
///
/// It parses a head line by line as it arrives. So it refuses malformed input at its first line, and scans no byte
/// twice, however slowly the client sends.
struct RequestParser {
    /// The limit of header fields in a head: each takes memory in addition to its bytes.
    static let mostFields = 1000
    /// In bytes. Input without a blank by then is not a request.
    private static let longestMethod = 32

    private struct RequestLine {
        let method: HTTPRequest.Method
        let target: Range<Int>
        let isHTTP10: Bool
    }

    /// Scanned bytes of the incomplete head, and where its last line begins.
    private var scanned = 0
    private var lineStart = 0
    private var line: RequestLine?
    private var fields: [RequestHeaders.Field] = []
    /// Names and values together, in bytes.
    private var size = 0
    /// The last well-formed `Host`. A connection usually repeats it in each request.
    private var goodHost = ""

    /// Removes a head from the front of the received bytes.
    ///
    /// - Parameter bytes: received and not parsed yet. While the head is incomplete, the next call must pass the same
    ///   bytes again, with more after them.
    /// - Returns: nil if the head is incomplete.
    /// - Throws: a `Problem`; later bytes cannot be parsed as a request.
    mutating func readHead(_ bytes: inout ByteBuffer) throws(Problem) -> Request? {
        let end: Int?
        do {
            end = try bytes.withUnsafeReadableBytes { try scan($0) }
        } catch let problem as Problem {
            throw problem
        } catch {
            throw .notHTTP
        }
        // Copy a head out of a large buffer, so that it does not keep the buffer alive.
        let isShared = bytes.storageCapacity <= ByteBuffer.shareable
        guard let end, let line, let slice = bytes.readSlice(length: end) else { return nil }
        defer { restart() }
        let head = isShared ? slice : ByteBuffer(bytes: slice.readableBytesView)
        let headers = RequestHeaders(head: head, fields: fields, size: size)
        let target = head.withUnsafeReadableBytes {
            String(decoding: UnsafeRawBufferPointer(rebasing: $0[line.target]), as: UTF8.self)
        }
        try checkHost(headers, target: target, line)
        let framing = try Self.framing(headers, line)
        return Request(
            method: line.method, target: target, headers: headers, isHTTP10: line.isHTTP10,
            // CONNECT has no body, whatever its head says (RFC 9110, 9.3.6).
            framing: line.method == .connect ? .none : framing)
    }

    /// How many bytes of an incomplete head were scanned. They are not scanned again.
    var scannedBytes: Int { scanned }

    private mutating func restart() {
        (scanned, lineStart, line, size) = (0, 0, nil, 0)
        fields = []
    }

    /// - Returns: where the head ends; nil if it is incomplete.
    private mutating func scan(_ bytes: UnsafeRawBufferPointer) throws(Problem) -> Int? {
        while true {
            guard scanned < bytes.count, let start = bytes.baseAddress,
                let found = memchr(start + scanned, 0x0A, bytes.count - scanned)
            else { break }
            let end = UnsafeRawPointer(found) - start
            guard end < RequestLimits.unparsed else { throw .headersTooLarge }
            guard end > lineStart, bytes[end - 1] == 0x0D else { throw .notHTTP }
            let text = lineStart..<end - 1
            scanned = end + 1
            lineStart = end + 1
            if text.isEmpty {
                if line != nil { return scanned }
                // Some clients send an empty line after a body (RFC 9112, 2.2).
                continue
            }
            if line == nil {
                line = try Self.requestLine(bytes, text)
                fields.reserveCapacity(12)
            } else {
                try addField(bytes, text)
            }
        }
        scanned = bytes.count
        guard scanned <= RequestLimits.unparsed else { throw .headersTooLarge }
        if line == nil { try Self.checkBeginning(UnsafeRawBufferPointer(rebasing: bytes[lineStart...])) }
        return nil
    }

    /// Refuses an incomplete first line that cannot become a request, such as the beginning of TLS.
    private static func checkBeginning(_ bytes: UnsafeRawBufferPointer) throws(Problem) {
        for (index, byte) in bytes.prefix(longestMethod + 1).enumerated() {
            if byte == UInt8(ascii: " "), index > 0 { return }
            guard byte.isInToken || byte == 0x0D, index < longestMethod else { throw .notHTTP }
        }
    }

    private static func requestLine(
        _ bytes: UnsafeRawBufferPointer, _ text: Range<Int>
    ) throws(Problem) -> RequestLine {
        let blank = UInt8(ascii: " ")
        var methodEnd = text.lowerBound
        while methodEnd < text.upperBound, bytes[methodEnd] != blank { methodEnd += 1 }
        guard let method = KnownMethods.method(UnsafeRawBufferPointer(rebasing: bytes[text.lowerBound..<methodEnd]))
        else { throw .notHTTP }
        // `HTTP/1.1` and the blank before it.
        let targetEnd = text.upperBound - 9
        guard targetEnd > methodEnd + 1, bytes[targetEnd] == blank else { throw .notHTTP }
        let version = UnsafeRawBufferPointer(rebasing: bytes[targetEnd + 1..<text.upperBound])
        guard version.dropLast().elementsEqual("HTTP/1.".utf8),
            let digit = version.last, digit == UInt8(ascii: "1") || digit == UInt8(ascii: "0")
        else { throw .notHTTP }
        for index in methodEnd + 1..<targetEnd
        where !(0x21...0x7E).contains(bytes[index]) || bytes[index] == UInt8(ascii: "#") {
            throw .notHTTP
        }
        return RequestLine(
            method: method, target: methodEnd + 1..<targetEnd, isHTTP10: digit == UInt8(ascii: "0"))
    }

    private mutating func addField(_ bytes: UnsafeRawBufferPointer, _ text: Range<Int>) throws(Problem) {
        guard fields.count < Self.mostFields else { throw .headersTooLarge }
        var colon = text.lowerBound
        while colon < text.upperBound, bytes[colon].isInToken { colon += 1 }
        guard colon > text.lowerBound, colon < text.upperBound, bytes[colon] == UInt8(ascii: ":") else {
            throw .notHTTP
        }
        var (start, end) = (colon + 1, text.upperBound)
        while start < end, bytes[start].isBlank { start += 1 }
        while end > start, bytes[end - 1].isBlank { end -= 1 }
        for index in start..<end where !bytes[index].isInValue { throw .notHTTP }
        let name = UnsafeRawBufferPointer(rebasing: bytes[text.lowerBound..<colon])
        fields.append(RequestHeaders.Field(name: HeaderName(name), start: Int32(start), end: Int32(end)))
        size += name.count + end - start
    }

    /// Checks the request's host (RFC 9112, 3.2). Where it has two, a proxy may have used the other one.
    private mutating func checkHost(
        _ headers: RequestHeaders, target: String, _ line: RequestLine
    ) throws(Problem) {
        if !headers.isOnly(.host, goodHost) || goodHost.isEmpty {
            switch headers.count(of: .host) {
            case 0 where line.isHTTP10: break
            case 1:
                guard let host = headers[.host], Authority(host) != nil else { throw .malformedHost }
                goodHost = host
            default: throw .oneHost
            }
        }
        if target.utf8.first != UInt8(ascii: "/") { try Self.checkTarget(target, line.method, host: headers[.host]) }
    }

    /// Checks a target that is not a path: a URI, an authority or `*` (RFC 9112, 3.2).
    private static func checkTarget(
        _ target: String, _ method: HTTPRequest.Method, host: String?
    ) throws(Problem) {
        // An absolute target repeats the host, and wins over `Host`.
        if let rest = Request.afterScheme(of: target) {
            guard let named = Authority(rest.prefix { $0 != "/" && $0 != "?" }),
                host == nil || host.flatMap({ Authority($0) }) == named
            else { throw .malformedHost }
        } else {
            guard target == "*" || method == .connect && Authority(target)?.port != nil else { throw .notHTTP }
        }
    }

    /// Where the body ends (RFC 9112, 6.1 and 6.3).
    private static func framing(_ headers: RequestHeaders, _ line: RequestLine) throws(Problem) -> BodyFraming {
        let lengths = headers.count(of: .contentLength)
        guard headers.has(.transferEncoding) else {
            guard lengths > 0 else { return .none }
            guard lengths == 1, let text = headers[.contentLength], text.utf8.count < 19,
                let length = Int64(digits: text[...])
            else { throw .notHTTP }
            return length == 0 ? .none : .length(Int(length))
        }
        if line.isHTTP10 { throw .codedHTTP10 }
        guard headers.count(of: .transferEncoding) == 1, lengths == 0, let text = headers[.transferEncoding] else {
            throw .notHTTP
        }
        if text.isName("chunked") { return .chunked }
        // If chunked is not the last coding, the body's end is unknown.
        let codings = text.split(separator: ",").dropLast()
        throw codings.contains { $0.prefix { $0 != " " }.isName("chunked") } ? .notHTTP : .unknownCoding
    }
}

/// The registered methods, and others in common use. A line with any other word is not a request.
enum KnownMethods {
    static func method(_ name: String) -> HTTPRequest.Method? {
        var name = name
        return name.withUTF8 { method(UnsafeRawBufferPointer($0)) }
    }

    static func method(_ bytes: UnsafeRawBufferPointer) -> HTTPRequest.Method? {
        // Compare bytes: as a string, U+212A (the Kelvin sign) equals K.
        for method in all where bytes.elementsEqual(method.rawValue.utf8) { return method }
        return nil
    }

    private static let all: [HTTPRequest.Method] = {
        let others = [
            "ACL", "BIND", "CHECKOUT", "CONNECT", "COPY", "LINK", "LOCK", "M-SEARCH", "MERGE", "MKACTIVITY",
            "MKCALENDAR",
            "MKCOL", "MOVE", "NOTIFY", "PROPFIND", "PROPPATCH", "PURGE", "QUERY", "REBIND", "REPORT", "SEARCH",
            "SOURCE",
            "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE",
        ]
        return [.get, .post, .head, .put, .patch, .delete, .options] + others.map { HTTPRequest.Method($0)! }
    }()
}

extension ByteBuffer {
    /// A slice may keep alive a buffer of at most this many bytes.
    static let shareable = 32 << 10

    /// Appends received bytes to those not parsed yet, and reuses the room of parsed ones. `writeBuffer` alone would
    /// keep room for all bytes that the connection ever sent.
    mutating func receive(_ more: ByteBuffer) {
        if readableBytes == 0 {
            self = more
        } else {
            // Not each time: that would move the same bytes often.
            if readerIndex > readableBytes { discardReadBytes() }
            writeImmutableBuffer(more)
        }
    }
}

extension Problem {
    static let malformedHost = Problem(
        status: .badRequest, code: "malformed_request", detail: "The Host header must be a host and an optional port.",
        closesConnection: true)
    fileprivate static let codedHTTP10 = Problem(
        status: .badRequest, code: "malformed_request", detail: "Transfer-Encoding requires HTTP/1.1.",
        closesConnection: true)
    static let unknownCoding = Problem(
        status: .notImplemented, code: "unknown_transfer_encoding",
        detail: "The only supported Transfer-Encoding is chunked.", closesConnection: true)
}
