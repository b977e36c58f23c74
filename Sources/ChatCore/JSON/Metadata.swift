/// A JSON object that an application keeps with something of ours: stored as text, without white space.
package enum Metadata {
    /// Of the text, in bytes.
    package static let longest = 8 << 10

    /// - Parameter json: one JSON value, which was read before.
    /// - Returns: the text to store.
    /// - Throws: `ChatError.invalid`.
    package static func object(_ json: [UInt8]) throws(ChatError) -> String {
        guard case .object(let members) = MergeTree(json) else { throw .invalid(["Metadata must be a JSON object"]) }
        return try text(.object(members))
    }

    /// A JSON merge patch (RFC 7396).
    ///
    /// - Parameters:
    ///   - stored: nil for none.
    ///   - patch: one JSON value, which was read before; null removes all.
    /// - Returns: the text to store; nil for none.
    /// - Throws: `ChatError.invalid`.
    package static func merge(
        _ patch: some Collection<UInt8>, into stored: String?
    ) throws(ChatError) -> String? {
        switch MergeTree(Array(patch)) {
        case .null: return nil
        case .object(let members):
            let before = stored.flatMap { MergeTree(Array($0.utf8)) } ?? .object([])
            return try text(before.merged(with: members))
        default: throw .invalid(["Metadata must be a JSON object"])
        }
    }

    private static func text(_ tree: MergeTree) throws(ChatError) -> String {
        var bytes: [UInt8] = []
        tree.write(to: &bytes)
        guard bytes.count <= longest else { throw .invalid(["Metadata is too long (maximum is \(longest) bytes)"]) }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A JSON value whose objects can be changed.
private indirect enum MergeTree {
    struct Member {
        /// In UTF-8, without escapes.
        let name: [UInt8]
        var value: MergeTree
    }

    /// In the order of the text; names are distinct.
    case object([Member])
    case null
    case array([MergeTree])
    /// As it was written.
    case other([UInt8])

    /// - Returns: nil for what is no JSON.
    init?(_ json: [UInt8]) {
        let tree = json.withUnsafeBufferPointer { bytes in
            var reader = JSONReader(utf8: bytes)
            return try? MergeTree(&reader, bytes)
        }
        guard let tree else { return nil }
        self = tree
    }

    private init(_ reader: inout JSONReader, _ bytes: UnsafeBufferPointer<UInt8>) throws {
        switch reader.current {
        case UInt8(ascii: "{"):
            var members = Members()
            try reader.object { name, reader in
                members.set(Array(name.text.utf8), try MergeTree(&reader, bytes))
            }
            self = .object(members.inOrder)
        case UInt8(ascii: "["):
            var elements: [MergeTree] = []
            try reader.array { elements.append(try MergeTree(&$0, bytes)) }
            self = .array(elements)
        case UInt8(ascii: "n"):
            try reader.literal("null")
            self = .null
        default:
            let start = reader.offset
            try reader.value()
            self = .other(Array(bytes[start..<reader.offset]))
        }
    }

    /// A list of members with an index, so that long objects do not take long.
    private struct Members {
        private var list: [Member?] = []
        private var places: [[UInt8]: Int] = [:]

        init(_ members: [Member] = []) {
            for member in members { set(member.name, member.value) }
        }

        var inOrder: [Member] { list.compactMap(\.self) }

        func value(_ name: [UInt8]) -> MergeTree? { places[name].flatMap { list[$0]?.value } }

        mutating func set(_ name: [UInt8], _ value: MergeTree) {
            if let place = places[name] {
                list[place] = Member(name: name, value: value)
            } else {
                places[name] = list.count
                list.append(Member(name: name, value: value))
            }
        }

        mutating func remove(_ name: [UInt8]) { if let place = places.removeValue(forKey: name) { list[place] = nil } }
    }

    /// RFC 7396, 2.
    func merged(with patch: [Member]) -> MergeTree {
        var members = if case .object(let own) = self { Members(own) } else { Members() }
        for change in patch {
            switch change.value {
            case .null: members.remove(change.name)
            case .object(let inner):
                members.set(change.name, (members.value(change.name) ?? .null).merged(with: inner))
            case .array, .other: members.set(change.name, change.value)
            }
        }
        return .object(members.inOrder)
    }

    func write(to bytes: inout [UInt8]) {
        switch self {
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes += JSONWriter.bytes(of: String(decoding: member.name, as: UTF8.self))
                bytes.append(UInt8(ascii: ":"))
                member.value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                element.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .null: bytes += "null".utf8
        case .other(let text): bytes += text
        }
    }
}
