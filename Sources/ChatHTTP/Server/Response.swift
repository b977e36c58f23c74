package import ChatCore
package import HTTPTypes
package import NIOCore

/// An answer. `writeHead` adds the headers that all answers share.
package struct Response: Sendable {
    /// The handlers that take over the connection after the head.
    enum Departure: Sendable {
        /// A body without a known end.
        case stream(@Sendable (_ isChunked: Bool) -> [any ChannelHandler])
        /// After a 101.
        case upgrade(@Sendable (_ place: StreamPlace) -> [any ChannelHandler])
    }

    package var status: HTTPResponse.Status
    /// Nil for an answer without a body.
    package var contentType: StaticString?
    package var cacheControl: StaticString = "no-store"
    package var headers: [(name: StaticString, value: String)] = []
    package var body: ByteBuffer
    var departure: Departure?
    /// The application that a departure is for.
    var tenant: Tenant.ID?
    /// Whether an earlier request with the same idempotency key did what it says.
    var isReplay = false
    /// Whether the connection must close after this answer.
    var closesConnection = false

    package init(
        status: HTTPResponse.Status = .ok, contentType: StaticString? = nil, body: ByteBuffer = ByteBuffer()
    ) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// An answer with a JSON body.
    ///
    /// - Parameter size: of the body, estimated, in bytes.
    package init(status: HTTPResponse.Status = .ok, json value: some JSONWritable, size: Int = 256) {
        var writer = JSONWriter(capacity: size)
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

    /// Adds nothing for nil.
    package mutating func add(_ name: StaticString, _ value: String?) {
        if let value { headers.append((name, value)) }
    }
}

extension Response {
    /// The parts of a head that depend on the request.
    struct Form {
        let requestID: RequestID
        /// The value of `Date`.
        let date: String
        /// The CORS headers for this request, and those of an old token in its path, as lines.
        let cors: String
        let isHTTP10: Bool
        /// Whether the head says that no other answer follows.
        let isLast: Bool
    }

    /// Writes the head and the empty line after it.
    func writeHead(to buffer: inout ByteBuffer, _ form: Form) {
        let isStream = if case .stream = departure { true } else { false }
        buffer.writeStaticString(isStream && form.isHTTP10 ? "HTTP/1.0 " : "HTTP/1.1 ")
        buffer.writeDecimal(Int64(status.code))
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
            buffer.writeDecimal(Int64(body.readableBytes))
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
        // Browsers must not guess another type, and pages of other origins must not embed the answer. That holds with
        // CORS too: this policy applies to requests made without CORS.
        buffer.writeStaticString(
            "\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\nDate: "
        )
        buffer.writeString(form.date)
        if status.kind == .informational {
            // A 101 sets its own `Connection`.
        } else if form.isLast || isStream {
            // A sender of Upgrade must list it in Connection (RFC 9110, 7.8).
            buffer.writeStaticString(
                status == .upgradeRequired ? "\r\nConnection: upgrade, close" : "\r\nConnection: close")
        } else if status == .upgradeRequired {
            buffer.writeStaticString("\r\nConnection: upgrade")
        }
        buffer.writeStaticString("\r\n\r\n")
    }
}
