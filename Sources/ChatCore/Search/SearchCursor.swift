import Foundation

/// A place in the hits of a search across a tenant, as clients keep it: opaque text, with the chat's number instead of
/// its id.
package struct SearchCursor: Equatable, Sendable, CustomStringConvertible {
    package let createdAt: Timestamp
    package let chat: Chat.Number
    package let number: Message.Number

    /// The place of a hit.
    package init(_ hit: TenantHit) {
        createdAt = hit.place.createdAt
        chat = hit.chatNumber
        number = hit.place.number
    }

    /// The place before all messages of that time.
    init(at time: Timestamp) {
        createdAt = time
        chat = Chat.Number(.max)
        number = Message.Number(.max)
    }

    /// The first byte. Another layout gets another one.
    private static let version: UInt8 = 1
    private static let length = 24

    /// - Returns: nil if it is not a cursor that this version writes.
    package init?(_ text: String) {
        let padded = text.replacing("-", with: "+").replacing("_", with: "/")
        guard !text.utf8.contains(where: { "+/=".utf8.contains($0) }), let bytes = Data(base64Encoded: padded),
            bytes.count == Self.length, bytes.first == Self.version
        else { return nil }
        func integer(_ range: Range<Int>) -> Int64 {
            Int64(bytes[range].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } & UInt64(Int64.max))
        }
        createdAt = Timestamp(microseconds: integer(1..<8))
        chat = Chat.Number(integer(8..<16))
        number = Message.Number(integer(16..<24))
    }

    /// In base64url (RFC 4648, 5): the version, then seven bytes of the time (enough for 2,000 years) and
    /// eight of each number.
    package var description: String {
        func bytes(_ value: Int64) -> [UInt8] { withUnsafeBytes(of: value.bigEndian, Array.init) }
        let bytes =
            [Self.version] + bytes(createdAt.microseconds).dropFirst() + bytes(chat.rawValue) + bytes(number.rawValue)
        return Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
    }
}

extension TenantHits {
    /// Where the next page begins; nil if there is none. Without any hit, it is where the search was stopped.
    package var next: SearchCursor? {
        if let stoppedAt { return SearchCursor(at: stoppedAt) }
        return hasMore ? hits.last.map { SearchCursor($0) } : nil
    }
}
