import ChatCore

/// Messages on a channel, before they are sealed: a JSON array of `{"number":42,"body":"hi","created_at":1763830664194123}`.
enum BusPayload {
    static func encode(_ messages: [Message]) -> [UInt8] {
        var json = JSONWriter(capacity: messages.reduce(2) { $0 + $1.body.utf8.count + 64 })
        messages.map { MessageJSON($0, as: .exact) }.write(to: &json)
        return json.bytes
    }

    /// - Throws: `JSONReader.Failure` or `Message.NotOne` for what `encode` would not write.
    static func decode(_ json: [UInt8]) throws -> [Message] {
        try json.withUnsafeBufferPointer { json in
            var reader = JSONReader(utf8: json)
            var messages: [Message] = []
            try reader.array { reader in messages.append(try Message(json: &reader)) }
            return messages
        }
    }
}
