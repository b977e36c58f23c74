import ChatJobs
import Foundation
import Synchronization
import TestSupport

/// What jobs did, a line each.
final class RubyNotes: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock(\.self) }

    func add(_ line: String) { lines.withLock { $0.append(line) } }
}

/// Notes its arguments.
struct EchoJob: Job {
    static let name = "Echo"
    let notes: RubyNotes

    func perform(_ arguments: JSONValue) async throws { notes.add(arguments.text) }
}

struct CountJob: Job {
    static let name = "Count"
    let notes: RubyNotes

    func perform(_ number: Int) async throws {
        try await Task.sleep(for: .milliseconds(5))
        notes.add("\(number)")
    }
}

/// Fails at each attempt, or as long as the test says.
struct FailingJob: Job {
    static let name = "Fails"
    let notes: RubyNotes
    var tries = Int.max

    struct Broken: Error, CustomStringConvertible {
        let description = "it is broken: “<b>ä</b>”"
    }

    func perform(_ arguments: JSONValue) async throws {
        notes.add(arguments.text)
        if notes.all.count <= tries { throw Broken() }
    }
}

/// Runs until it is let go.
struct WaitingJob: Job {
    static let name = "Waits"
    let notes: RubyNotes
    let mayEnd: RubyNotes

    func perform(_ arguments: NoArguments) async throws {
        notes.add("started")
        while mayEnd.all.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
        notes.add("ended")
    }
}

/// Any JSON, written with sorted keys and numbers in their shortest form.
indirect enum JSONValue: Codable, Sendable {
    case null
    case bool(Bool)
    case number(Decimal)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Decimal.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }

    var text: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // A value parsed from JSON can be written as JSON.
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "?"
    }
}
