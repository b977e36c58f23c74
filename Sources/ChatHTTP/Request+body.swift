import ChatCore
import HTTPTypes
package import Hummingbird
package import NIOCore

/// A complete request body.
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
    /// Reads the whole body.
    ///
    /// - Throws: a `Problem`: 413 past the limit, 415 for a body that is neither `application/json` nor
    ///   `application/x-www-form-urlencoded`.
    package func wholeBody() async throws -> RequestBody {
        // Refuse by Content-Length, before reading.
        if let length = headers[.contentLength], (Int(length) ?? .max) > RequestLimits.body {
            throw Problem.bodyTooLarge
        }
        let buffer: ByteBuffer
        do {
            buffer = try await body.collect(upTo: RequestLimits.body)
        } catch is NIOTooManyBytesError {
            throw Problem.bodyTooLarge
        }
        if isForm { return .form(buffer) }
        guard buffer.readableBytes == 0 || mediaType?.isName("application/json") == true else {
            throw Problem.unsupportedMediaType
        }
        return .json(buffer)
    }

    /// The text of the `Idempotency-Key`.
    ///
    /// - Throws: `ChatError.invalid` if there are two.
    func idempotencyKey() throws -> String? {
        let keys = headers[values: .idempotencyKey]
        guard keys.count < 2 else { throw ChatError.invalid(["Idempotency-Key must be given once"]) }
        return keys.first
    }

    /// Whether a page of any site can make a browser send it without a preflight: browsers send JSON to another origin
    /// only if CORS allows it, but forms always (fetch standard, CORS-safelisted request-header).
    var isForm: Bool { mediaType?.isName("application/x-www-form-urlencoded") == true }

    /// The media type without its parameters.
    private var mediaType: Substring? {
        guard let type = headers[.contentType] else { return nil }
        let bytes = type.utf8
        let essence = bytes.prefix { $0 != UInt8(ascii: ";") }
        let end = essence.lastIndex { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
        return end.map { type[..<bytes.index(after: $0)] } ?? ""
    }
}
