import ChatCore
import Foundation

/// A message of a stream.
struct ReceivedMessage: Equatable {
    let number: Int64
    let body: String
    /// Nil if nobody is named.
    let sender: String?
    /// The time as the server writes it.
    let createdAt: String
    /// The server's complete JSON.
    let json: String

    /// - Returns: nil unless `json` is an object with these members.
    init?(json: String) {
        var json = json
        var number: Int64?
        var body: String?
        var createdAt: String?
        var sender: String?
        let isRead: Void? = json.withUTF8 { utf8 in
            var reader = JSONReader(utf8: utf8)
            // For whatever reason, it is not a message.
            return try? reader.document { name, reader in
                switch name {
                case "number": number = Int64(digits: try reader.number())
                case "body": body = try reader.string()
                case "created_at": createdAt = try reader.string()
                case "sender" where reader.current == UInt8(ascii: "\""): sender = try reader.string()
                default: try reader.value()
                }
            }
        }
        guard isRead != nil, let number, let body, let createdAt else { return nil }
        (self.number, self.body, self.createdAt, self.sender, self.json) = (number, body, createdAt, sender, json)
    }

    /// For people: the number, the time in this machine's time zone, the sender, and the text, on one line.
    var line: String {
        let time = Timestamp(rfc3339: createdAt).map(Self.local) ?? createdAt.printable
        let sender = sender.map { "\($0.printable): " } ?? ""
        return "\(number)  \(time)  \(sender)\(body.printable)"
    }

    /// To the second, in the time zone of this machine: `2026-11-22 17:57:44`.
    private static func local(_ timestamp: Timestamp) -> String {
        var seconds = time_t(timestamp.microseconds / 1_000_000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
            let count = strftime(buffer.baseAddress!, buffer.count, "%Y-%m-%d %H:%M:%S", &parts)
            return String(decoding: UnsafeRawBufferPointer(buffer)[..<count], as: UTF8.self)
        }
    }
}
