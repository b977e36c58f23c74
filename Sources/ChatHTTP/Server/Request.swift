package import HTTPTypes
package import NIOCore

/// An HTTP/1.1 or 1.0 request.
package struct Request: Sendable {
    package let method: HTTPRequest.Method
    /// As it was sent, not decoded. It begins with a slash, except for `*` and CONNECT's target, which match no route.
    package let path: String
    /// The part after the `?`, not decoded.
    package let query: Substring?
    package let headers: RequestHeaders
    let isHTTP10: Bool
    /// Where the body ends, according to the head.
    let framing: BodyFraming
    /// Empty if the endpoint takes no body.
    package var body = ByteBuffer()

    /// - Parameter target: a path with or without a query, or a whole URI.
    init(
        method: HTTPRequest.Method, target: String, headers: RequestHeaders, isHTTP10: Bool, framing: BodyFraming
    ) {
        self.method = method
        self.headers = headers
        self.isHTTP10 = isHTTP10
        self.framing = framing
        var target = target[...]
        if let rest = Self.afterScheme(of: target) { target = rest.drop { $0 != "/" && $0 != "?" } }
        let mark = target.utf8.firstIndex(of: UInt8(ascii: "?"))
        let path = target[..<(mark ?? target.endIndex)]
        self.path = path.isEmpty ? "/" : String(path)
        query = mark.map { target[target.utf8.index(after: $0)...] }
    }

    /// The part after `http://` or `https://`; nil for any other target.
    static func afterScheme(of target: some StringProtocol) -> Substring? {
        if target.utf8.first == UInt8(ascii: "/") { return nil }
        guard let colon = target.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let (scheme, rest) = (target[..<colon], Substring(target[colon...]))
        return (scheme.isName("http") || scheme.isName("https")) && rest.hasPrefix("://") ? rest.dropFirst(3) : nil
    }

    /// Whether the client offers to upgrade. RFC 9110, 7.8: ignore an offer in HTTP/1.0.
    var offersUpgrade: Bool { !isHTTP10 && headers.has(.upgrade) }

    /// Whether no request is read after it: the client asked to close, or may leave HTTP.
    var isLast: Bool {
        if headers.has(.upgrade) || method == .connect { return true }
        guard headers.has(.connection) else { return isHTTP10 }
        return headers.list(.connection, has: "close") || isHTTP10 && !headers.list(.connection, has: "keep-alive")
    }
}

/// Where a body ends (RFC 9112, 6.3).
enum BodyFraming: Equatable, Sendable {
    case none
    /// In bytes, more than zero.
    case length(Int)
    case chunked
}

/// The header fields of one request. Values stay in the head's buffer.
package struct RequestHeaders: Sendable {
    struct Field: Sendable {
        /// Nil for a name that the server does not read.
        let name: HeaderName?
        /// Where its value begins and ends in the head, without surrounding white space.
        let start: Int32
        let end: Int32
    }

    private let head: ByteBuffer
    private let fields: [Field]
    /// Names and values together, in bytes.
    let size: Int

    init(head: ByteBuffer, fields: [Field], size: Int) {
        self.head = head
        self.fields = fields
        self.size = size
    }

    /// The value; the values of a repeated field are joined with commas (RFC 9110, 5.3).
    package subscript(name: HeaderName) -> String? {
        var value: String?
        for field in fields where field.name == name {
            if value == nil { value = text(of: field) } else { value! += ", " + text(of: field) }
        }
        return value
    }

    package func values(of name: HeaderName) -> [String] {
        fields.filter { $0.name == name }.map(text)
    }

    func has(_ name: HeaderName) -> Bool { fields.contains { $0.name == name } }

    func count(of name: HeaderName) -> Int {
        var count = 0
        for field in fields where field.name == name { count += 1 }
        return count
    }

    /// Whether the field occurs once and its value is this text, byte for byte.
    func isOnly(_ name: HeaderName, _ value: String) -> Bool {
        guard count(of: name) == 1, let field = fields.first(where: { $0.name == name }) else { return false }
        var value = value
        return value.withUTF8 { value in
            withBytes(of: field) { $0.elementsEqual(value) }
        }
    }

    /// Whether a comma-separated field contains the element, in any case.
    func list(_ name: HeaderName, has element: StaticString) -> Bool {
        fields.contains { field in
            field.name == name
                && withBytes(of: field) { bytes in
                    bytes.split(separator: UInt8(ascii: ",")).contains { $0.trimmed.isName(element) }
                }
        }
    }

    /// Whether `Content-Type` occurs once and names this type, with or without parameters.
    func isContentType(_ type: StaticString) -> Bool {
        guard count(of: .contentType) == 1, let field = fields.first(where: { $0.name == .contentType }) else {
            return false
        }
        return withBytes(of: field) { bytes in bytes.prefix { $0 != UInt8(ascii: ";") }.trimmed.isName(type) }
    }

    /// Calls `body` with the bytes of the field's only value; nil if there is none, or more than one.
    func withOnlyValue<Result>(of name: HeaderName, _ body: (UnsafeRawBufferPointer) -> Result) -> Result? {
        guard count(of: name) == 1, let field = fields.first(where: { $0.name == name }) else { return nil }
        return withBytes(of: field, body)
    }

    private func text(of field: Field) -> String { withBytes(of: field) { String(decoding: $0, as: UTF8.self) } }

    private func withBytes<Result>(of field: Field, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        head.withUnsafeReadableBytes { body(UnsafeRawBufferPointer(rebasing: $0[Int(field.start)..<Int(field.end)])) }
    }
}

extension UnsafeRawBufferPointer.SubSequence {
    fileprivate var trimmed: Self {
        var rest = self
        while rest.first?.isBlank == true { rest = rest.dropFirst() }
        while rest.last?.isBlank == true { rest = rest.dropLast() }
        return rest
    }
}
