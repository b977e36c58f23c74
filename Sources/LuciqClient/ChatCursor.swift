/// What a cursor stands for: every message up to a number, and every change of those up to a revision.
///
/// Only `ChatState` reads cursors. To everything else they are opaque.
struct ChatCursor: Sendable, Equatable {
    let text: String
    /// 0, or how often the store was restored to an earlier state.
    let epoch: Int64
    let number: Int64
    /// Nil: of messages alone.
    let revision: Int64?

    /// - Returns: nil unless the text is `43`, `43.17`, `e2.43.17` or, on the way to the head, `43.17.11`. What the last part
    ///   says is the server's own.
    init?(_ text: String) {
        var parts = text.split(separator: ".", omittingEmptySubsequences: false)
        var epoch: Int64? = 0
        if let first = parts.first, first.first == "e" {
            epoch = Self.number(first.dropFirst())
            parts.removeFirst()
        }
        guard let epoch, (1...3).contains(parts.count), let number = Self.number(parts[0]) else { return nil }
        var revision: Int64?
        if parts.count > 1 {
            guard let part = Self.number(parts[1]), parts.count == 2 || Self.number(parts[2]) != nil else { return nil }
            revision = part
        }
        (self.text, self.epoch, self.number, self.revision) = (text, epoch, number, revision)
    }

    private static func number(_ digits: Substring) -> Int64? {
        digits.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int64(digits) : nil
    }

    /// Whether it is behind another one in no part.
    func isAtLeast(_ other: ChatCursor) -> Bool {
        epoch == other.epoch && number >= other.number && (revision ?? -1) >= (other.revision ?? -1)
    }
}
