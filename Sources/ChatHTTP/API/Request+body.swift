import ChatCore
package import NIOCore

/// A request's complete body.
package enum RequestBody {
    case json(ByteBuffer)
    case form(ByteBuffer)

    var bytes: ByteBuffer {
        switch self {
        case .json(let bytes), .form(let bytes): bytes
        }
    }
}

extension Request {
    /// - Throws: a `Problem`: 415 unless the body is `application/json` or `application/x-www-form-urlencoded`.
    package func typedBody() throws(Problem) -> RequestBody {
        if isForm { return .form(body) }
        guard body.readableBytes == 0 || isJSON else { throw .unsupportedMediaType }
        return .json(body)
    }

    /// The text of the `Idempotency-Key`.
    ///
    /// - Throws: `ChatError.invalid` if there is more than one.
    func idempotencyKey() throws(ChatError) -> String? {
        guard headers.has(.idempotencyKey) else { return nil }
        let keys = headers.values(of: .idempotencyKey)
        guard keys.count < 2 else { throw .invalid(["Idempotency-Key must be given once"]) }
        return keys.first
    }

    /// Whether the body is a form, which a page of any site may have made a browser send. Browsers send forms to other
    /// origins without asking, and JSON only if CORS allows it (fetch standard, CORS-safelisted request-header).
    var isForm: Bool { headers.isContentType("application/x-www-form-urlencoded") }

    private var isJSON: Bool { headers.isContentType("application/json") }
}
