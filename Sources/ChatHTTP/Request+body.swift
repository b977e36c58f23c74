import ChatCore
import HTTPTypes
package import Hummingbird
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
    /// The whole body.
    ///
    /// - Throws: a `Problem`: 413 past the limit, 415 for a body that is neither `application/json` nor
    ///   `application/x-www-form-urlencoded`.
    package func wholeBody() async throws -> RequestBody {
        // What the client announces is refused before it is read.
        if let length = headers[.contentLength], (Int(length) ?? .max) > RequestLimits.body {
            throw Problem.bodyTooLarge
        }
        let buffer: ByteBuffer
        do {
            buffer = try await body.collect(upTo: RequestLimits.body)
        } catch is NIOTooManyBytesError {
            throw Problem.bodyTooLarge
        }
        switch mediaType {
        case "application/json": return .json(buffer)
        case Self.form: return .form(buffer)
        default:
            guard buffer.readableBytes == 0 else { throw Problem.unsupportedMediaType }
            return .json(buffer)
        }
    }

    /// The text of the `Idempotency-Key`.
    ///
    /// - Throws: `ChatError.invalid` when there are two.
    func idempotencyKey() throws -> String? {
        let keys = headers[values: .idempotencyKey]
        guard keys.count < 2 else { throw ChatError.invalid(["Idempotency-Key must be given once"]) }
        return keys.first
    }

    private static let form = "application/x-www-form-urlencoded"

    /// Whether a page of any site may have made a browser send it, unasked: browsers send JSON of another origin only when
    /// CORS allows it, forms always (fetch standard, CORS-safelisted request-header).
    var isForm: Bool { mediaType == Self.form }

    private var mediaType: String? {
        guard let type = headers[.contentType] else { return nil }
        if type == "application/json" { return type }
        let essence = type.prefix { $0 != ";" }
        return String(essence.lowercased().trimmingSuffix(while: \.isWhitespace))
    }
}

extension String {
    fileprivate func trimmingSuffix(while predicate: (Character) -> Bool) -> Substring {
        var end = endIndex
        while end > startIndex, predicate(self[index(before: end)]) { end = index(before: end) }
        return self[..<end]
    }
}
