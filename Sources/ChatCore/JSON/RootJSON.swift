/// What a thread has, as JSON: `{"number":12,"reply_count":7,"last_reply":43}`.
struct RootJSON: JSONWritable {
    let thread: ThreadSummary

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("number", thread.root.rawValue)
            json.member("reply_count", thread.replyCount)
            json.member("last_reply", thread.lastReply.rawValue)
        }
    }
}

extension ThreadSummary {
    /// - Returns: nil if a member is missing.
    /// - Throws: `JSONReader.Failure`.
    init?(json reader: inout JSONReader) throws {
        var (root, count, last): (Int64?, Int64?, Int64?)
        try reader.object { name, reader in
            switch name {
            case "number": root = Int64(try reader.number())
            case "reply_count": count = Int64(try reader.number())
            case "last_reply": last = Int64(try reader.number())
            default: try reader.value()
            }
        }
        guard let root, let count, let last else { return nil }
        self.init(root: Message.Number(root), replyCount: count, lastReply: Message.Number(last))
    }
}
