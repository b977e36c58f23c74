import ChatCore
import Foundation

/// What a stream says of a message that has changed.
struct ReceivedChange: Equatable {
    let number: Int64
    /// As it is now; nil if that is not told. A deleted message has none.
    let body: String?
    let isDeleted: Bool
    /// The server's complete JSON.
    let json: String

    /// - Returns: nil unless `json` is an object with a number and parts.
    init?(json: String) {
        var json = json
        var number: Int64?
        var body: String?
        var (hasParts, isDeleted) = (false, false)
        let isRead: Void? = json.withUTF8 { utf8 in
            var reader = JSONReader(utf8: utf8)
            // For whatever reason, it is not a change.
            return try? reader.document { name, reader in
                switch name {
                case "number": number = Int64(digits: try reader.number())
                case "parts":
                    hasParts = true
                    try reader.object { name, reader in
                        // Parts of later servers are not shown.
                        guard name == "content" else { return try reader.value() }
                        try reader.object { name, reader in
                            let isText = reader.current == UInt8(ascii: "\"")
                            switch name {
                            case "body" where isText: body = try reader.string()
                            case "deleted_at" where isText:
                                isDeleted = true
                                try reader.value()
                            default: try reader.value()
                            }
                        }
                    }
                default: try reader.value()
                }
            }
        }
        guard isRead != nil, hasParts, let number else { return nil }
        (self.number, self.body, self.isDeleted, self.json) = (number, body, isDeleted, json)
    }

    /// For people.
    var line: String { isDeleted ? "\(number)  ×" : "\(number)  ~ \(body?.printable ?? "")" }
}
