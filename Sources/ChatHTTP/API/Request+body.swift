import ChatCore
package import NIOCore

/// A request's body, whole.
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
    /// - Throws: a `Problem`: 415 for a body that is neither `application/json` nor `application/x-www-form-urlencoded`.
    package func typedBody() throws(Problem) -> RequestBody {
        if isForm { return .form(body) }
        guard body.readableBytes == 0 || isJSON else { throw .unsupportedMediaType }
        return .json(body)
    }

    /// The text of the `Idempotency-Key`.
    ///
    /// - Throws: `ChatError.invalid` when there are two.
    func idempotencyKey() throws(ChatError) -> String? {
        guard headers.has(.idempotencyKey) else { return nil }
        let keys = headers.values(of: .idempotencyKey)
        guard keys.count < 2 else { throw .invalid(["Idempotency-Key must be given once"]) }
        return keys.first
    }

    /// Whether a page of any site may have made a browser send it, unasked: browsers send JSON of another origin only when
    /// CORS allows it, forms always (fetch standard, CORS-safelisted request-header).
    var isForm: Bool { hasType("application/x-www-form-urlencoded") }

    private var isJSON: Bool { hasType("application/json") }

    private func hasType(_ type: StaticString) -> Bool {
        headers.essence(of: .contentType, upTo: UInt8(ascii: ";"), isName: type) == true
    }
}
