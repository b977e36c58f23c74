import ChatCore
import NIOCore

/// A text parameter of a request: `{"message":{"body":"hi"}}` or `{"body":"hi"}`, or the same as a form. The
/// nested one wins.
///
/// Other types are converted as in Rails: a number to its text, `true` to `1`, `false` to `0`; an array, an object or
/// null counts as blank. Of a repeated name the last one counts, as in Ruby.
package struct TextParameter: Sendable {
    /// `message` in the example.
    let wrapper: String
    /// `body` in the example.
    let name: String

    package init(wrapper: String, name: String) {
        self.wrapper = wrapper
        self.name = name
    }

    /// - Throws: a `Problem` (400) for anything but one JSON object, or a form, that has the parameter.
    package func read(_ body: RequestBody) throws -> String {
        guard let text = try find(body) else { throw Problem.missingParameter(name) }
        return text
    }

    /// The same for one that need not be there.
    ///
    /// - Returns: nil if the body does not have it.
    func find(_ body: RequestBody) throws -> String? {
        switch body {
        case .json(let json): try read(json: json)
        case .form(let form): try read(form: form)
        }
    }

    private func read(form: ByteBuffer) throws -> String? {
        var flat: String?
        var nested: String?
        try FormBody.read(form) { names, value in
            // A nested name makes it an array or an object.
            if names[0].elementsEqual(name.utf8) {
                flat = names.count == 1 ? value : ""
            } else if names.count > 1, names[0].elementsEqual(wrapper.utf8), names[1].elementsEqual(name.utf8) {
                nested = names.count == 2 ? value : ""
            }
        }
        return nested ?? flat
    }

    private func read(json body: ByteBuffer) throws -> String? {
        var flat: String?
        var nested: String?
        try JSONReader.read(body) { member, reader in
            if member == wrapper, reader.current == UInt8(ascii: "{") {
                nested = nil
                try reader.object { member, reader in
                    if member == name { nested = try reader.scalar() } else { try reader.value() }
                }
            } else if member == name {
                flat = try reader.scalar()
            } else {
                try reader.value()
            }
        }
        return nested ?? flat
    }
}

extension JSONReader {
    /// Reads a whole body that is one object.
    ///
    /// - Throws: a `Problem` (400) with the reason and the place.
    static func read(_ body: ByteBuffer, _ member: (JSONName, inout JSONReader) throws -> Void) throws {
        try body.withUnsafeReadableBytes { raw in
            let bytes = raw.assumingMemoryBound(to: UInt8.self)
            guard String(validating: bytes, as: UTF8.self) != nil else {
                throw Problem.malformedJSON("The body is not valid UTF-8.")
            }
            guard !bytes.isEmpty else { throw Problem.malformedJSON("The body is empty; it must be a JSON object.") }
            var reader = JSONReader(utf8: bytes)
            do {
                try reader.document(member)
            } catch let failure as Failure {
                throw Problem.malformedJSON("\(failure.reason), at byte \(failure.offset).")
            }
        }
    }

    /// Reads a value as text; blank for an array, an object or null.
    mutating func scalar() throws -> String {
        switch current {
        case UInt8(ascii: "\""):
            return try string()
        case UInt8(ascii: "t"):
            try literal("true")
            return "1"
        case UInt8(ascii: "f"):
            try literal("false")
            return "0"
        case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "n"):
            try value()
            return ""
        default:
            return Self.asRubyPrints(try number())
        }
    }

    /// `5` and `1.5` stay, `1.50` is `1.5`, `1e3` is `1000.0`, `1e20` is `1.0e+20`, `-0` is `0`.
    private static func asRubyPrints(_ number: Substring) -> String {
        let isFraction = number.utf8.contains { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }
        guard isFraction else {
            return number == "-0" ? "0" : String(number)
        }
        // Double reads all numbers of JSON's grammar; out of range it gives infinity or zero, like Ruby.
        let double = Double(number) ?? 0
        guard double.isFinite else { return double < 0 ? "-Infinity" : "Infinity" }
        let printed = double.description
        guard let exponent = printed.firstIndex(of: "e"), !printed.contains(".") else { return printed }
        return printed[..<exponent] + ".0" + printed[exponent...]
    }
}
