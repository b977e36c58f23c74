import Foundation
import NIOCore
import Synchronization

/// Identifies one request in its answer and in the log: the caller's own id if that is 1 to 128 printable ASCII
/// characters, else a new one.
package enum RequestID: Sendable, CustomStringConvertible {
    case given(String)
    /// 128 random bits, which do not reveal the number of requests.
    case random(UInt64, UInt64)

    init(of headers: RequestHeaders) {
        if headers.has(.requestID), let id = headers[.requestID], (1...128).contains(id.utf8.count),
            id.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        {
            self = .given(id)
        } else {
            self = .random()
        }
    }

    /// A supply of random words for many requests: each draw is a system call.
    private static let words = Mutex<[UInt64]>([])

    static func random() -> RequestID {
        words.withLock { words in
            if words.isEmpty {
                words = Array(repeating: 0, count: 32)
                words.withUnsafeMutableBytes { precondition(getentropy($0.baseAddress!, $0.count) == 0) }
            }
            return .random(words.removeLast(), words.removeLast())
        }
    }

    package var description: String {
        switch self {
        case .given(let text): text
        case .random(let high, let low):
            String(unsafeUninitializedCapacity: 32) { digits in
                Self.write(high, low) { digits[$0] = $1 }
                return 32
            }
        }
    }

    /// Appends it to a line of the log. The caller's own id is escaped only for quotes and backslashes.
    package func append(to line: inout [UInt8]) {
        switch self {
        case .given(let text): line.append(contentsOf: text.utf8)
        case .random(let high, let low): Self.write(high, low) { line.append($1) }
        }
    }

    func write(to buffer: inout ByteBuffer) {
        switch self {
        case .given(let text): buffer.writeString(text)
        case .random(let high, let low):
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 32) { digits in
                Self.write(high, low) { digits[$0] = $1 }
                return 32
            }
        }
    }

    private static func write(_ high: UInt64, _ low: UInt64, _ digit: (Int, UInt8) -> Void) {
        for place in 0..<32 {
            let nibble = UInt8(truncatingIfNeeded: (place < 16 ? high : low) >> UInt64(60 - 4 * (place % 16)) & 0xF)
            digit(place, nibble + (nibble < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10))
        }
    }
}
