/// A JSON text whose objects are taken apart, for merging; all else stays as it is written.
enum JSONTree {
    case object([Member])
    /// Any other value, as written.
    case other([UInt8])

    /// Of several members of one name in an object, the last one counts.
    typealias Member = (name: String, value: JSONTree)

    /// Merges a patch (RFC 7396).
    ///
    /// - Parameters:
    ///   - patch: a JSON object.
    ///   - target: a JSON object; nil for an empty one.
    /// - Returns: the merged object.
    static func merge(_ patch: String, into target: String?) -> String? {
        guard let patch = JSONTree(patch) else { return target }
        let merged = patch.merged(into: target.flatMap { JSONTree($0) })
        var json = JSONWriter(capacity: 1024)
        merged.write(to: &json)
        return String(decoding: json.bytes, as: UTF8.self)
    }

    /// - Returns: nil if it is not JSON.
    private init?(_ text: String) {
        var text = text
        let tree = text.withUTF8 { utf8 in
            var reader = JSONReader(utf8: utf8)
            return try? JSONTree(&reader, in: utf8)  // It was read before it was stored, and before it was sent here.
        }
        guard let tree else { return nil }
        self = tree
    }

    private init(_ reader: inout JSONReader, in bytes: UnsafeBufferPointer<UInt8>) throws {
        let start = reader.offset
        guard reader.current == UInt8(ascii: "{") else {
            try reader.value()
            self = .other(Array(bytes[start..<reader.offset]))
            return
        }
        var members: [Member] = []
        try reader.object { name, reader in
            let name = name.text
            members.removeAll { $0.name.utf8.elementsEqual(name.utf8) }
            members.append((name, try JSONTree(&reader, in: bytes)))
        }
        self = .object(members)
    }

    private var isNull: Bool { if case .other(let text) = self { text.elementsEqual("null".utf8) } else { false } }

    /// This one as a patch.
    private func merged(into target: JSONTree?) -> JSONTree {
        guard case .object(let changes) = self else { return self }
        var members: [Member] = if case .object(let members) = target { members } else { [] }
        for (name, change) in changes {
            let index = members.firstIndex { $0.name.utf8.elementsEqual(name.utf8) }
            let old = index.map { members[$0].value }
            if change.isNull {
                if let index { members.remove(at: index) }
            } else if let index {
                members[index].value = change.merged(into: old)
            } else {
                members.append((name, change.merged(into: nil)))
            }
        }
        return .object(members)
    }
}

extension JSONTree: JSONWritable {
    func write(to json: inout JSONWriter) {
        switch self {
        case .object(let members):
            json.object { json in for member in members { json.member(named: member.name, member.value) } }
        case .other(let text): json.raw(text)
        }
    }
}

/// A JSON text that is written as it is.
package struct JSONText: JSONWritable {
    private let text: String

    /// - Parameter text: valid JSON.
    package init(_ text: String) { self.text = text }

    package func write(to json: inout JSONWriter) { json.raw(text.utf8) }
}
