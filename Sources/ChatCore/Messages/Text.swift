/// The rules for text that people send. Text that passes is stored byte for byte: no trimming, no normalising.
enum Text {
    /// - Throws: `ChatError.invalid` with every sentence that applies.
    static func checkName(_ name: String) throws(ChatError) {
        var errors: [String] = []
        if name.isBlank { errors.append("Name can't be blank") }
        // Unicode scalars, as MySQL's VARCHAR(255) and Ruby count characters.
        if name.unicodeScalars.count > 255 { errors.append("Name is too long (maximum is 255 characters)") }
        if name.utf8.contains(0) { errors.append("Name contains a null character") }
        guard errors.isEmpty else { throw .invalid(errors) }
    }

    /// By bytes: Swift's strings are equal too if they are only canonically equivalent.
    static func areSame(_ left: String?, _ right: String?) -> Bool {
        guard let left, let right else { return left == nil && right == nil }
        return left.utf8.elementsEqual(right.utf8)
    }

    /// - Throws: `ChatError.invalid` with every sentence that applies.
    static func checkBody(_ body: String) throws(ChatError) {
        var errors: [String] = []
        if body.isBlank { errors.append("Body can't be blank") }
        if body.utf8.count > 65_535 { errors.append("Body is too long (maximum is 65535 bytes)") }
        if body.utf8.contains(0) { errors.append("Body contains a null character") }
        guard errors.isEmpty else { throw .invalid(errors) }
    }

    /// - Throws: `ChatError.invalid` with the sentence that applies.
    static func checkSearch(_ text: String) throws(ChatError) {
        if text.isBlank { throw .invalid(["Q can't be blank"]) }
        if text.unicodeScalars.count > 255 { throw .invalid(["Q is too long (maximum is 255 characters)"]) }
        if text.utf8.contains(0) { throw .invalid(["Q contains a null character"]) }
    }
}

extension String {
    /// Empty, or Unicode white space only (the property `White_Space`).
    fileprivate var isBlank: Bool { unicodeScalars.allSatisfy(\.properties.isWhitespace) }
}
