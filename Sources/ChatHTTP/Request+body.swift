import ChatCore
import HTTPTypes
package import Hummingbird
package import NIOCore

extension Request {
    /// The whole body.
    ///
    /// - Throws: a `Problem`: 413 past the limit, 415 for a body that is not `application/json`.
    package func jsonBody() async throws -> ByteBuffer {
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
        guard buffer.readableBytes == 0 || hasJSONContentType else { throw Problem.notJSON }
        return buffer
    }

    /// The text of the `Idempotency-Key`.
    ///
    /// - Throws: `ChatError.invalid` when there are two.
    func idempotencyKey() throws -> String? {
        let keys = headers[values: .idempotencyKey]
        guard keys.count < 2 else { throw ChatError.invalid(["Idempotency-Key must be given once"]) }
        return keys.first
    }

    private var hasJSONContentType: Bool {
        guard let type = headers[.contentType] else { return false }
        if type == "application/json" { return true }
        let essence = type.prefix { $0 != ";" }
        return essence.lowercased().trimmingSuffix(while: \.isWhitespace) == "application/json"
    }
}

extension String {
    fileprivate func trimmingSuffix(while predicate: (Character) -> Bool) -> Substring {
        var end = endIndex
        while end > startIndex, predicate(self[index(before: end)]) { end = index(before: end) }
        return self[..<end]
    }
}
