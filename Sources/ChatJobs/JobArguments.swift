import Foundation
import Synchronization

/// A job's arguments, read from and written to the array `args`.
///
/// A value that encodes as an array is that array; any other value is its only element. A type does not say which of the
/// two it is, so try both, beginning with the one that worked last.
final class JobArguments<J: Job>: Sendable {
    private let isElement = Atomic(false)
    // Created once: creating one costs more than reading a few numbers.
    private let decoder = JSONDecoder()

    /// - Parameter json: an array.
    /// - Throws: `WrongArguments`, which names the job.
    func decode(_ json: ArraySlice<UInt8>) throws -> J.Arguments {
        if J.Arguments.self == NoArguments.self {
            guard Self.isEmpty(json), let none = NoArguments() as? J.Arguments else {
                throw WrongArguments(job: J.name, expected: "none", reason: "there are some")
            }
            return none
        }
        // Not decoded, because they may be of any depth.
        if let ignored = IgnoredArguments() as? J.Arguments { return ignored }
        let first = isElement.load(ordering: .relaxed)
        do {
            return try decode(json, asElement: first)
        } catch let reason {
            // The first failure says more than the second.
            guard let value = try? decode(json, asElement: !first) else {
                throw WrongArguments(
                    job: J.name, expected: "\(J.Arguments.self)", reason: WrongArguments.reason(reason))
            }
            isElement.store(!first, ordering: .relaxed)
            return value
        }
    }

    /// - Returns: a JSON array.
    static func encode(_ arguments: J.Arguments) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let bytes = Array(try encoder.encode(arguments))
        return bytes.first == UInt8(ascii: "[") ? bytes : [UInt8(ascii: "[")] + bytes + [UInt8(ascii: "]")]
    }

    private func decode(_ json: ArraySlice<UInt8>, asElement: Bool) throws -> J.Arguments {
        // The text between the brackets is one value, or malformed.
        try decoder.decode(J.Arguments.self, from: Data(asElement ? json.dropFirst().dropLast() : json))
    }

    private static func isEmpty(_ json: ArraySlice<UInt8>) -> Bool {
        json.dropFirst().dropLast().allSatisfy { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
    }
}

/// The arguments do not have the job's types.
struct WrongArguments: Error, CustomStringConvertible {
    let job: String
    let expected: String
    let reason: String

    var description: String { "\(job) takes \(expected), and that is not what its arguments are: \(reason)" }

    static func reason(_ error: any Error) -> String {
        switch error {
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
            DecodingError.keyNotFound(_, let context), DecodingError.dataCorrupted(let context):
            let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? ".\($0.stringValue)" }.joined()
            return path.isEmpty ? context.debugDescription : "at \(path): \(context.debugDescription)"
        default: return "\(error)"
        }
    }
}
