package import ChatCore
package import HTTPTypes
package import NIOCore

/// An answer, with what is its own. What all answers have in common is added when it is written.
package struct Response: Sendable {
    /// What takes the connection over when the head is written.
    enum Departure: Sendable {
        /// An answer without an end.
        case stream(@Sendable (_ isChunked: Bool) -> [any ChannelHandler])
        /// A 101.
        case upgrade(@Sendable () -> [any ChannelHandler])
    }

    package var status: HTTPResponse.Status
    /// Nil for an answer without a body.
    package var contentType: StaticString?
    package var cacheControl: StaticString = "no-store"
    package var headers: [(name: StaticString, value: String)] = []
    package var body: ByteBuffer
    var departure: Departure?
    /// The connection cannot be used after this answer.
    var closesConnection = false

    package init(
        status: HTTPResponse.Status = .ok, contentType: StaticString? = nil, body: ByteBuffer = ByteBuffer()
    ) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// An answer with a JSON body.
    package init(status: HTTPResponse.Status = .ok, json value: some JSONWritable) {
        var writer = JSONWriter()
        value.write(to: &writer)
        self.init(status: status, contentType: "application/json; charset=utf-8", body: writer.buffer)
    }

    static func text(
        _ text: String, type: StaticString = "text/plain; charset=utf-8", status: HTTPResponse.Status = .ok
    ) -> Response {
        Response(status: status, contentType: type, body: ByteBuffer(string: text))
    }

    /// A 201 with its `Location`.
    static func created(at location: String, _ value: some JSONWritable) -> Response {
        var response = Response(status: .created, json: value)
        response.add("Location", location)
        return response
    }

    package mutating func add(_ name: StaticString, _ value: String) { headers.append((name, value)) }

    /// Nothing is added for nil.
    package mutating func add(_ name: StaticString, _ value: String?) {
        if let value { headers.append((name, value)) }
    }
}

extension Response {
    /// How an answer is written for the request that it is for.
    struct Form {
        let requestID: RequestID
        /// The value of `Date`.
        let date: String
        /// What CORS adds for this request, as lines.
        let cors: String
        let isHTTP10: Bool
        /// Whether the client is told that no answer follows.
        let isLast: Bool
    }

    /// Writes the head, with the line that ends it.
    func writeHead(to buffer: inout ByteBuffer, _ form: Form) {
        let isStream = if case .stream = departure { true } else { false }
        buffer.writeStaticString(isStream && form.isHTTP10 ? "HTTP/1.0 " : "HTTP/1.1 ")
        buffer.writeDecimal(status.code)
        buffer.writeInteger(UInt8(ascii: " "))
        buffer.writeString(status.reasonPhrase)
        if let contentType {
            buffer.writeStaticString("\r\nContent-Type: ")
            buffer.writeStaticString(contentType)
        }
        if isStream {
            if !form.isHTTP10 { buffer.writeStaticString("\r\nTransfer-Encoding: chunked") }
        } else if status.kind != .informational, status != .noContent {
            buffer.writeStaticString("\r\nContent-Length: ")
            buffer.writeDecimal(body.readableBytes)
        }
        for (name, value) in headers {
            buffer.writeStaticString("\r\n")
            buffer.writeStaticString(name)
            buffer.writeStaticString(": ")
            buffer.writeString(value)
        }
        buffer.writeStaticString("\r\nX-Request-Id: ")
        form.requestID.write(to: &buffer)
        buffer.writeString(form.cors)
        buffer.writeStaticString("\r\nCache-Control: ")
        buffer.writeStaticString(cacheControl)
        // No browser takes an answer for another type, and no page of another origin embeds it. Not `cross-origin` with CORS
        // either: it is looked at for requests that do not ask by CORS.
        buffer.writeStaticString(
            "\r\nX-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\nDate: ")
        buffer.writeString(form.date)
        if status.kind == .informational {
            // A 101 names its own.
        } else if form.isLast || isStream {
            // Who tells what to upgrade to must name that header as well (RFC 9110, 7.8).
            buffer.writeStaticString(
                status == .upgradeRequired ? "\r\nConnection: upgrade, close" : "\r\nConnection: close")
        } else if status == .upgradeRequired {
            buffer.writeStaticString("\r\nConnection: upgrade")
        }
        buffer.writeStaticString("\r\n\r\n")
    }
}

extension ByteBuffer {
    /// Writes a number that is not negative.
    mutating func writeDecimal(_ value: Int) {
        if value < 10 {
            writeInteger(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value))
        } else {
            writeString(String(value))
        }
    }
}
