import ChatCore

/// Messages on a channel, before they are sealed: a JSON array of `{"number":42,"created_at":1763830664194123,"body":"hi"}`, with the time in
/// microseconds since 1970, as the store has it.
enum BusPayload {
    /// It is JSON, and no message of ours.
    struct NoMessage: Error {}

    static func encode(_ messages: [Message]) -> [UInt8] {
        var json: [UInt8] = []
        json.reserveCapacity(messages.reduce(2) { $0 + $1.body.utf8.count + 64 })
        json.append(UInt8(ascii: "["))
        for message in messages {
            if json.count > 1 { json.append(UInt8(ascii: ",")) }
            json += "{\"number\":".utf8
            json += String(message.number.rawValue).utf8
            json += ",\"created_at\":".utf8
            json += String(message.createdAt.microseconds).utf8
            json += ",\"body\":\"".utf8
            escape(message.body, into: &json)
            json += "\"}".utf8
        }
        json.append(UInt8(ascii: "]"))
        return json
    }

    /// - Throws: `JSONReader.Failure` or `NoMessage` for what `encode` would not write.
    static func decode(_ json: [UInt8]) throws -> [Message] {
        try json.withUnsafeBufferPointer { json in
            var reader = JSONReader(utf8: json)
            var messages: [Message] = []
            try reader.array { reader in messages.append(try message(&reader)) }
            return messages
        }
    }

    private static func message(_ reader: inout JSONReader) throws -> Message {
        var (number, time): (Int64?, Int64?)
        var body: String?
        try reader.object { name, reader in
            switch name {
            case "number": number = Int64(try reader.number())
            case "created_at": time = Int64(try reader.number())
            case "body": body = try reader.string()
            default: try reader.value()
            }
        }
        guard let number, number > 0, let time, Timestamp.years0To9999.contains(time), let body else {
            throw NoMessage()
        }
        return Message(number: Message.Number(number), body: body, createdAt: Timestamp(microseconds: time))
    }

    private static func escape(_ text: String, into json: inout [UInt8]) {
        var text = text
        text.withUTF8 { utf8 in
            var start = 0
            for (index, byte) in utf8.enumerated()
            where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                json += utf8[start..<index]
                start = index + 1
                if byte < 0x20 {
                    json += (byte < 0x10 ? "\\u000" : "\\u00").utf8
                    json += String(byte, radix: 16).utf8
                } else {
                    json += [UInt8(ascii: "\\"), byte]
                }
            }
            json += utf8[start...]
        }
    }
}
