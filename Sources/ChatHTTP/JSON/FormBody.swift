import HTTPTypes
import NIOCore

/// A body of `application/x-www-form-urlencoded`, read like Rack 3 does for Rails: `message[body]=hi` is the member
/// `body` of `message`.
enum FormBody {
    /// Rack's limits (`Rack::QueryParser`): the number of parameters, and the depth of nested names.
    static let most = 4096
    static let deepest = 32

    /// - Parameter pair: called for each parameter, in order, with its names from the outermost on and its text; `a[]`
    ///   ends with an empty name.
    /// - Throws: a `Problem` (400) with the reason.
    static func read(_ body: ByteBuffer, _ pair: (_ names: [ArraySlice<UInt8>], _ value: String) throws -> Void) throws
    {
        let parts = body.readableBytesView.split(separator: UInt8(ascii: "&"), maxSplits: Self.most)
        guard parts.count <= most else { throw Problem.malformedForm("It has more than \(most) parameters.") }
        for part in parts {
            let sides = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = String(formEncoded: sides[0]),
                let value = String(formEncoded: sides.count > 1 ? sides[1] : part[part.endIndex...])
            else { throw Problem.malformedForm("It must be percent-encoded UTF-8.") }
            let names = names(in: Array(name.utf8)[...])
            guard names.count <= deepest else { throw Problem.malformedForm("It nests more than \(deepest) names.") }
            try pair(names, value)
        }
    }

    /// `a[b][c]` gives a, b, c. An unclosed bracket belongs to the name.
    private static func names(in text: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        let (opening, closing) = (UInt8(ascii: "["), UInt8(ascii: "]"))
        guard let first = text.firstIndex(of: opening), first > text.startIndex, text.last == closing else {
            return [text]
        }
        var names = [text[..<first]]
        var rest = text[first...]
        while rest.first == opening, let end = rest.firstIndex(of: closing), names.count <= deepest {
            names.append(rest[rest.index(after: rest.startIndex)..<end])
            rest = rest[rest.index(after: end)...]
        }
        return names
    }
}

extension String {
    /// Decodes a name or a value of a form or a query string: `+` is a space, `%XX` a byte.
    ///
    /// - Returns: nil if its bytes are not valid UTF-8, or a `%` is not followed by two digits.
    init?(formEncoded text: some Sequence<UInt8>) { self.init(decoding: text, plusIsSpace: true) }

    /// Decodes a part of a path: `%XX` is a byte.
    ///
    /// - Returns: likewise.
    init?(percentEncoded text: Substring) { self.init(decoding: text.utf8, plusIsSpace: false) }

    private init?(decoding text: some Sequence<UInt8>, plusIsSpace: Bool) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.underestimatedCount)
        var iterator = text.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = iterator.next()?.hexValue, let low = iterator.next()?.hexValue else { return nil }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        self.init(validating: bytes, as: UTF8.self)
    }
}

extension Problem {
    fileprivate static func malformedForm(_ detail: String) -> Problem {
        Problem(status: .badRequest, code: "malformed_form", detail: "The form is malformed. \(detail)")
    }
}
