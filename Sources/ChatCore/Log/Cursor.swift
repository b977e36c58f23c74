/// A reader's position in a chat: it has every message up to `number`, and every change to them up to `revision`.
///
/// Clients keep it as opaque text: `43.17`, or `e2.43.17` in a later epoch; an epoch of 0 is left out. A plain number says
/// nothing about changes: `43`, as streams of messages alone have it.
///
/// A thing that has changed is told where its last change is. So a reader that stops on the way to the head, at 17, may not
/// have been told of a change, 12, of what was changed again, 19. Its cursor says so: `43.17.11`.
package struct Cursor: Hashable, Sendable, CustomStringConvertible {
    /// How often the store was restored to an earlier state, so that it gives numbers a second time.
    package let epoch: Int64
    /// 0 before the first message.
    package let number: Int64
    /// Nil: of messages alone.
    package let revision: Int64?
    /// Whatever had changed up to this revision, the reader was told of, wherever it changed last: of a message it is told
    /// the parts above it. Mostly the revision itself.
    package let base: Int64

    /// - Parameter base: at most the revision; nil for it.
    package init(_ number: Int64, revision: Int64? = nil, base: Int64? = nil, epoch: Int64 = 0) {
        self.epoch = epoch
        self.number = number
        self.revision = revision
        self.base = min(base ?? .max, revision ?? 0)
    }

    /// The same with other messages.
    func at(_ number: Int64) -> Cursor { Cursor(number, revision: revision, base: base, epoch: epoch) }

    /// The cursor after this message.
    package init(_ message: Message) { self.init(message.number.rawValue) }

    /// - Returns: nil if the text is not a cursor. A plain number may have leading zeros.
    package init?(_ text: Substring) {
        let dot = UInt8(ascii: ".")
        var (rest, epoch) = (text.utf8, Int64(0))
        var (revision, base): (Int64?, Int64?)
        if rest.first == UInt8(ascii: "e") {
            guard let end = rest.firstIndex(of: dot), let part = Self.part(rest[..<end].dropFirst()) else { return nil }
            epoch = part
            rest = rest[end...].dropFirst()
        }
        if let end = rest.firstIndex(of: dot) {
            var digits = rest[end...].dropFirst()
            if let end = digits.firstIndex(of: dot) {
                guard let part = Self.revision(digits[end...].dropFirst()) else { return nil }
                base = part
                digits = digits[..<end]
            }
            guard let part = Self.revision(digits), base ?? -1 < part else { return nil }
            revision = part
            rest = rest[..<end]
        }
        guard let number = Int64(digits: Substring(rest)) else { return nil }
        self.init(number, revision: revision, base: base, epoch: epoch)
    }

    /// The epoch that follows the known ones. The first one is not written, and the second is 2.
    package static func epoch(after known: Int64...) -> Int64 { max(1, known.max() ?? 0) + 1 }

    /// Reads a client's cursor.
    ///
    /// - Parameters:
    ///   - name: of the parameter, capitalised, to begin a sentence.
    ///   - errors: gets a sentence if the text is not a cursor.
    package static func read(_ text: String?, _ name: String, _ errors: inout [String]) -> Cursor? {
        let cursor = text.flatMap { Cursor($0[...]) }
        if cursor == nil { errors.append("\(name) must be a number from 0 to \(Int64.max)") }
        return cursor
    }

    package var description: String {
        (epoch == 0 ? "" : "e\(epoch).") + "\(number)" + (revision.map { ".\($0)" } ?? "")
            + (base < revision ?? 0 ? ".\(base)" : "")
    }

    private static func revision(_ digits: Substring.UTF8View) -> Int64? {
        digits.elementsEqual("0".utf8) ? 0 : part(digits)
    }

    /// A number from 1, without leading zeros.
    private static func part(_ digits: Substring.UTF8View) -> Int64? {
        digits.first == UInt8(ascii: "0") ? nil : Int64(digits: Substring(digits))
    }
}
