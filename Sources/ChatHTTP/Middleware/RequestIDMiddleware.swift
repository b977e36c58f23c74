import Foundation
import HTTPTypes
import Hummingbird
import Synchronization

/// Sets `X-Request-Id` on every answer: the caller's if it is 1 to 128 printable ASCII characters, else a new one.
struct RequestIDMiddleware: RouterMiddleware {
    func handle(
        _ request: Request,
        context: ChatContext,
        next: (Request, ChatContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.requestID = Self.callersID(request) ?? Self.randomID()
        var response = try await next(request, context)
        response.headers[.requestID] = context.requestID
        return response
    }

    /// Random words for 16 requests: one system call draws them all.
    private static let words = Mutex<[UInt64]>([])

    /// 128 random bits in 32 hex digits: a counter would reveal the number of requests.
    private static func randomID() -> String {
        let (high, low) = words.withLock { words in
            if words.isEmpty {
                words = Array(repeating: 0, count: 32)
                words.withUnsafeMutableBytes { precondition(getentropy($0.baseAddress!, $0.count) == 0) }
            }
            return (words.removeLast(), words.removeLast())
        }
        return String(unsafeUninitializedCapacity: 32) { digits in
            for place in 0..<32 {
                let nibble = (place < 16 ? high : low) >> (60 - UInt64(place % 16) * 4) & 0xF
                digits[place] = UInt8(nibble) + UInt8(ascii: nibble < 10 ? "0" : "W")
            }
            return 32
        }
    }

    private static func callersID(_ request: Request) -> String? {
        guard let id = request.headers[.requestID], (1...128).contains(id.utf8.count),
            id.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else { return nil }
        return id
    }
}

extension HTTPField.Name {
    static let requestID = HTTPField.Name("X-Request-Id")!
    static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
    static let idempotentReplayed = HTTPField.Name("Idempotent-Replayed")!
    static let link = HTTPField.Name("Link")!
}
