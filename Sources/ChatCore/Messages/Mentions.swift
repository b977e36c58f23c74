/// The users whom a message names, each once, in the order in which it does; as JSON, as it is stored and shown.
package struct Mentions: Hashable, Sendable {
    /// Those that are the same included.
    package static let most = 50
    /// Of a message that had some. One that never had any has nil instead, and says nothing of them.
    package static let nobody = Mentions(json: "[]")

    package let json: String

    /// What is stored.
    package init(json: String) { self.json = json }

    /// - Parameter texts: of those that are the same, the first one counts.
    /// - Throws: `ChatError.invalid` for what is no user's id, and for too many.
    package init(naming texts: [String]) throws(ChatError) {
        guard texts.count <= Self.most else { throw .invalid(["Mentions must be at most \(Self.most) users"]) }
        var known: Set<User.ID> = []
        var users: [User.ID] = []
        for text in texts {
            let user = try User.ID(text, named: "Each of mentions")
            if known.insert(user).inserted { users.append(user) }
        }
        var json = JSONWriter(capacity: 64)
        json.array { json in for user in users { json.element(user.text) } }
        self.json = String(decoding: json.bytes, as: UTF8.self)
    }

    package var users: [User.ID] {
        var users: [User.ID] = []
        var text = json
        text.withUTF8 { bytes in
            var reader = JSONReader(utf8: bytes)
            // What we have not stored names nobody.
            try? reader.array { reader in users.append(User.ID(stored: try reader.string())) }
        }
        return users
    }

    /// Bytes.
    package var size: Int { json.utf8.count }

    package static func == (left: Mentions, right: Mentions) -> Bool {
        left.json.utf8.elementsEqual(right.json.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        var json = json
        json.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

extension Mentions: JSONWritable {
    package func write(to json: inout JSONWriter) { RawJSON(text: self.json).write(to: &json) }
}
