import ChatCore
import Foundation

/// Reads a settings file: a JSON object, in which a dot of a key is a level of nesting.
struct SettingsFile {
    private let path: String
    private let bytes: UnsafeBufferPointer<UInt8>
    private var values: [String: SettingValue] = [:]

    /// - Returns: its values by the names of their variables.
    /// - Throws: `Settings.Invalid` if it cannot be read, is not a JSON object, or has an unknown key.
    static func read(_ path: String) throws -> [String: SettingValue] {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            let reason = ((error as? CocoaError)?.underlying as? POSIXError).map {
                String(cString: strerror(CInt($0.errorCode)))
            }
            throw Settings.Invalid(
                description: "Cannot read the settings in \(path): \(reason ?? error.localizedDescription).")
        }
        guard let text = String(validating: data, as: UTF8.self), text.first(where: { !$0.isWhitespace }) == "{" else {
            throw Settings.Invalid(description: "Cannot read the settings in \(path): it must hold a JSON object.")
        }
        return try data.withUnsafeBytes { buffer in
            try buffer.withMemoryRebound(to: UInt8.self) { bytes in
                var file = SettingsFile(path: path, bytes: bytes)
                return try file.read()
            }
        }
    }

    private init(path: String, bytes: UnsafeBufferPointer<UInt8>) {
        self.path = path
        self.bytes = bytes
    }

    private mutating func read() throws -> [String: SettingValue] {
        var reader = JSONReader(utf8: bytes)
        do {
            try reader.document { name, reader in try take(name.text, &reader) }
        } catch let failure as JSONReader.Failure {
            throw Settings.Invalid(
                description:
                    "Cannot read the settings in \(path), line \(line(of: failure.offset)): \(failure.reason).")
        }
        return values
    }

    private mutating func take(_ key: String, _ reader: inout JSONReader) throws {
        let offset = reader.offset
        let value: SettingValue
        switch reader.current {
        case UInt8(ascii: "{"):
            return try reader.object { name, reader in try take(key + "." + name.text, &reader) }
        case UInt8(ascii: "\""): value = .text(try reader.string())
        case UInt8(ascii: "-"), .some(UInt8(ascii: "0")...UInt8(ascii: "9")):
            value = .number(String(try reader.number()))
        case UInt8(ascii: "t"):
            try reader.literal("true")
            value = .flag(true)
        case UInt8(ascii: "f"):
            try reader.literal("false")
            value = .flag(false)
        default:
            try reader.value()
            value = .other
        }
        guard Setup.keys.contains(key) else { throw unknown(key, at: offset) }
        values[Setup.variable(of: key)] = value
    }

    private func unknown(_ key: String, at offset: Int) -> Settings.Invalid {
        let guess = Setup.nearest(to: key).map { ": did you mean \($0)?" } ?? "; docs/configuration.md lists them all."
        let shown = key.count > 64 ? key.prefix(64) + "…" : key[...]
        return Settings.Invalid(
            description: "Unknown setting \(String(shown).printable) in \(path), line \(line(of: offset))\(guess)")
    }

    private func line(of offset: Int) -> Int { 1 + bytes.prefix(offset).count { $0 == UInt8(ascii: "\n") } }
}

/// A setting's value in one source.
enum SettingValue {
    /// From a flag or a variable, where numbers are text.
    case word(String)
    case text(String)
    /// The number as written.
    case number(String)
    case flag(Bool)
    case other

    var asText: String? {
        switch self {
        case .word(let text), .text(let text): text
        case .number, .flag, .other: nil
        }
    }

    var asNumber: Int? {
        switch self {
        case .word(let text): Int(text)
        case .number(let text): Int(text) ?? Double(text).flatMap { Int(exactly: $0) }
        case .text, .flag, .other: nil
        }
    }

    var asFlag: Bool? {
        switch self {
        case .flag(let flag): flag
        case .word("true"), .text("true"): true
        case .word("false"), .text("false"): false
        case .word, .text, .number, .other: nil
        }
    }
}
