/// A reply in RESP2.
package enum RedisValue: Sendable, Equatable {
    case null
    case integer(Int64)
    /// A simple string: `OK`.
    case status(String)
    /// A bulk string: any bytes.
    case text([UInt8])
    case array([RedisValue])
    /// An error inside an array, such as a failed command's in `EXEC`'s. An error on its own is a `RedisError.server`.
    case error(String)
}

/// The result of one command.
package typealias RedisReply = Result<RedisValue, RedisError>

extension RedisValue {
    /// An integer, or a text that is a decimal number.
    package var integer: Int64? {
        switch self {
        case .integer(let value): value
        case .text, .status: string.flatMap { Int64($0) }
        case .null, .array, .error: nil
        }
    }

    /// A text or a status; bytes that are not UTF-8 are replaced.
    package var string: String? {
        switch self {
        case .status(let text): text
        case .text(let bytes): String(decoding: bytes, as: UTF8.self)
        case .null, .integer, .array, .error: nil
        }
    }

    /// A text's or a status' bytes.
    package var bytes: [UInt8]? {
        switch self {
        case .status(let text): Array(text.utf8)
        case .text(let bytes): bytes
        case .null, .integer, .array, .error: nil
        }
    }

    /// The elements of an array.
    package var array: [RedisValue]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }
}
