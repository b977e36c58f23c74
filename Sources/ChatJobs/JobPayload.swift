package import ChatCore
import RedisClient

/// A job in Redis: one JSON object.
///
/// Keeps Ruby's members byte for byte and in order (big numbers, `1.0`, keys of plugins), and rewrites only those that we
/// set.
package struct JobPayload: Sendable {
    /// Why the bytes are not a job.
    package struct Malformed: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    private struct Member {
        let key: String
        var value: ArraySlice<UInt8>
    }

    private var members: [Member] = []
    /// The original text, until a change.
    private var original: [UInt8]?

    /// Reads any JSON object. Of a repeated key the last value counts, as in Ruby.
    package init(_ bytes: [UInt8]) throws(Malformed) {
        original = bytes
        members.reserveCapacity(12)
        do {
            try bytes.withUnsafeBufferPointer { buffer in
                guard String(validating: buffer, as: UTF8.self) != nil else {
                    throw Malformed(description: "the job is not valid UTF-8")
                }
                var reader = JSONReader(utf8: buffer)
                try reader.document { key, reader in
                    let start = reader.offset
                    try reader.value()
                    members.append(Member(key: key.text, value: bytes[start..<reader.offset]))
                }
            }
        } catch let failure as JSONReader.Failure where failure.offset == 0 && bytes.first != UInt8(ascii: "{") {
            throw Malformed(description: "the job is not a JSON object")
        } catch let failure as JSONReader.Failure {
            throw Malformed(description: "the job is not JSON: \(failure.reason), at byte \(failure.offset)")
        } catch {
            throw error as? Malformed ?? Malformed(description: "the job cannot be read: \(error)")
        }
    }

    /// A new job, not yet in a queue.
    package init(
        job: String, arguments: [UInt8], queue: String, options: JobOptions, format: SidekiqFormat, now: Timestamp
    ) {
        set("retry", raw: options.retries == JobOptions().retries ? "true" : String(options.retries))
        if let retryFor = options.retryFor { set("retry_for", raw: String(retryFor.components.seconds)) }
        set("queue", string: queue)
        set("class", string: job)
        set("args", raw: arguments)
        set("jid", string: Self.newJID())
        set("created_at", raw: format.timestamp(now))
    }

    /// The bytes for Redis: the original ones, if nothing was changed.
    package var bytes: [UInt8] {
        if let original { return original }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(members.reduce(2) { $0 + $1.key.utf8.count + $1.value.count + 4 })
        for member in members {
            bytes.append(bytes.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
            bytes += JSONText.bytes(member.key)
            bytes.append(UInt8(ascii: ":"))
            bytes += member.value
        }
        if bytes.isEmpty { bytes.append(UInt8(ascii: "{")) }
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    package var job: String? { string("class") }
    package var jid: String? { string("jid") }
    package var queue: String? { string("queue") }

    /// The bytes of a value; nil if it is missing or null.
    package func raw(_ key: String) -> ArraySlice<UInt8>? {
        guard let value = members.last(where: { $0.key.isSame(key) })?.value, !value.elementsEqual("null".utf8) else {
            return nil
        }
        return value
    }

    /// Nil unless it is a string.
    package func string(_ key: String) -> String? {
        guard let raw = raw(key), raw.first == UInt8(ascii: "\"") else { return nil }
        return raw.withUnsafeBufferPointer { buffer in
            var reader = JSONReader(utf8: buffer)
            return try? reader.string()  // It was parsed before, so it is valid.
        }
    }

    /// Nil unless it is an integer.
    package func integer(_ key: String) -> Int64? { raw(key).flatMap { Int64(String(decoding: $0, as: UTF8.self)) } }

    package func number(_ key: String) -> Double? { raw(key).flatMap { Double(String(decoding: $0, as: UTF8.self)) } }

    /// Nil unless it is true or false.
    package func bool(_ key: String) -> Bool? {
        guard let raw = raw(key) else { return nil }
        return raw.elementsEqual("true".utf8) ? true : raw.elementsEqual("false".utf8) ? false : nil
    }

    package func time(_ key: String) -> Timestamp? {
        raw(key).flatMap { Timestamp(sidekiq: String(decoding: $0, as: UTF8.self)) }
    }

    /// - Parameter raw: JSON.
    package mutating func set(_ key: String, raw value: [UInt8]) {
        original = nil
        let last = members.lastIndex { $0.key.isSame(key) }
        if let last { members[last].value = value[...] } else { members.append(Member(key: key, value: value[...])) }
    }

    package mutating func set(_ key: String, raw value: String) { set(key, raw: Array(value.utf8)) }

    package mutating func set(_ key: String, string value: String) { set(key, raw: JSONText.bytes(value)) }

    package mutating func remove(_ key: String) {
        guard members.contains(where: { $0.key.isSame(key) }) else { return }
        original = nil
        members.removeAll { $0.key.isSame(key) }
    }

    /// 24 hexadecimal digits.
    static func newJID() -> String { randomHex(bytes: 12) }
}

/// - Parameter count: at most 16.
/// - Returns: two digits per byte.
func randomHex(bytes count: Int) -> String {
    // One system call for eight bytes.
    let words = [UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max)]
    return (0..<count).map { UInt8(truncatingIfNeeded: words[$0 / 8] >> (UInt64($0 % 8) * 8)) }.hexadecimal
}
