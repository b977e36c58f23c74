extension JSONReader {
    /// Reads a whole text that is one object, as `document` does, and refuses two members of one name.
    ///
    /// Readers differ in which of the two they take (RFC 8259, 4), so that one could check what another does not use.
    /// Members of nested objects may repeat.
    package mutating func documentOfDistinctMembers(_ member: (JSONName, inout JSONReader) throws -> Void) throws {
        var names: Set<[UInt8]> = []
        try document { name, reader in
            guard names.insert(Array(name.text.utf8)).inserted else {
                throw Failure(reason: "The JSON has a member twice", offset: reader.offset)
            }
            try member(name, &reader)
        }
    }
}
