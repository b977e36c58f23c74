import ChatCore
import HTTPTypes
import NIOCore
import NIOHPACK

/// Makes requests of HTTP/2's header lists, by the rules of RFC 9113, 8.2 and 8.3. `NIOHTTP2Handler` has checked the
/// names, the pseudo-header fields, and that no field belongs to a connection.
enum RequestHead {
    enum Refusal: Error {
        /// The stream is reset.
        case malformed
        case problem(Problem)
    }

    /// - Parameter isWhole: whether the request has no body.
    static func request(_ list: HPACKHeaders, isWhole: Bool) throws(Refusal) -> Request {
        guard list.count <= RequestParser.mostFields else { throw .problem(.headersTooLarge) }
        var (method, path, authority): (String?, String?, String?)
        var host: String?
        var builder = HeadBuilder()
        for (name, value, _) in list {
            switch name {
            case ":method": method = value
            case ":path": path = value
            case ":authority": authority = value
            case ":scheme": break
            case "host":
                guard host == nil else { throw .problem(.oneHost) }
                host = value
            default:
                guard builder.add(name, value) else { throw .malformed }
            }
        }
        guard let method, let known = KnownMethods.method(method) else { throw .problem(.unknownMethod) }
        builder.add(.host, try Self.host(authority, host))
        guard let target = path ?? authority, isTarget(target, known, hasPath: path != nil) else { throw .malformed }
        let headers = builder.headers
        return Request(
            method: known, target: target, headers: headers, isHTTP10: false,
            framing: known == .connect ? .none : try framing(headers, isWhole: isWhole))
    }

    /// Whether a trailer may have these fields. Those that say where a body ends are not allowed there
    /// (RFC 9110, 6.5.1).
    static func areTrailers(_ list: HPACKHeaders) -> Bool {
        var builder = HeadBuilder()
        for (name, value, _) in list {
            guard name.utf8.first != UInt8(ascii: ":"), builder.add(name, value) else { return false }
        }
        return list.count <= RequestParser.mostFields && builder.size <= RequestLimits.headers
            && !builder.headers.has(.contentLength)
    }

    /// The host that the request is for. Where it has two, a proxy may have used the other one.
    private static func host(_ authority: String?, _ host: String?) throws(Refusal) -> String {
        guard let named = authority ?? host else { throw .problem(.oneHost) }
        guard let first = Authority(named) else { throw .problem(.malformedHost) }
        if authority != nil, let host, host != named, Authority(host) != first { throw .problem(.malformedHost) }
        return named
    }

    /// - Parameter hasPath: false for CONNECT, which has an authority instead.
    private static func isTarget(_ target: String, _ method: HTTPRequest.Method, hasPath: Bool) -> Bool {
        guard target.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }) else { return false }
        return !hasPath || target.utf8.first == UInt8(ascii: "/") || target == "*" && method == .options
    }

    private static func framing(_ headers: RequestHeaders, isWhole: Bool) throws(Refusal) -> BodyFraming {
        let count = headers.count(of: .contentLength)
        guard count > 0 else { return isWhole ? .none : .chunked }
        guard count == 1, let text = headers[.contentLength], text.utf8.count < 19,
            let length = Int64(digits: text[...])
        else { throw .malformed }
        if isWhole { return .none }
        return length == 0 ? .chunked : .length(Int(length))
    }
}

/// Puts the values that the server reads into one buffer, as a head of HTTP/1 has them.
private struct HeadBuilder {
    private var bytes = ByteBuffer()
    private var fields: [RequestHeaders.Field] = []
    /// Names and values together, in bytes.
    private(set) var size = 0

    var headers: RequestHeaders { RequestHeaders(head: bytes, fields: fields, size: size) }

    /// - Returns: false for a malformed value.
    mutating func add(_ name: String, _ value: String) -> Bool {
        guard Self.isValue(value) else { return false }
        var name = name
        let known = name.withUTF8 { HeaderName(UnsafeRawBufferPointer($0)) }
        if let known {
            add(known, value)
        } else {
            size += name.utf8.count + value.utf8.count
        }
        return true
    }

    mutating func add(_ name: HeaderName, _ value: String) {
        let start = bytes.writerIndex
        bytes.writeString(value)
        fields.append(RequestHeaders.Field(name: name, start: Int32(start), end: Int32(bytes.writerIndex)))
        size += name.text.utf8CodeUnitCount + value.utf8.count
    }

    /// Without white space around it (RFC 9113, 8.2.1).
    private static func isValue(_ value: String) -> Bool {
        let utf8 = value.utf8
        if let first = utf8.first, first.isBlank { return false }
        if let last = utf8.last, last.isBlank { return false }
        return utf8.allSatisfy(\.isInValue)
    }
}

extension Problem {
    fileprivate static let unknownMethod = Problem(
        status: .badRequest, code: "malformed_request", detail: "This is not a method of HTTP.")
}
