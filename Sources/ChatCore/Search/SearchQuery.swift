/// What a search looks for.
package struct SearchQuery: Sendable {
    package let text: SearchText
    /// Only messages created later, and earlier; both exclusive.
    package let after: Timestamp?
    package let before: Timestamp?

    package init(_ text: SearchText, after: Timestamp? = nil, before: Timestamp? = nil) {
        self.text = text
        self.after = after
        self.before = before
    }

    func takes(_ time: Timestamp) -> Bool { after.map { time > $0 } ?? true && before.map { time < $0 } ?? true }
}
