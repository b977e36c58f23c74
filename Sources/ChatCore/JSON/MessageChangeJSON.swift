/// What has changed of a message, as JSON in events: a part for each revision, in its state now. Never rename or drop a
/// member, nor change its type.
package struct MessageChangeJSON: JSONWritable {
    private let message: Message
    private let base: Int64

    /// - Parameter base: the reader has all changes up to this revision: only parts above it are written.
    package init(_ message: Message, since base: Int64) {
        self.message = message
        self.base = base
    }

    package func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("number", message.number.rawValue)
            json.member("parts", Parts(message: message, base: base))
            if let root = message.root { json.member("root", RootJSON(thread: root)) }
        }
    }

    private struct Parts: JSONWritable {
        let message: Message
        let base: Int64

        func write(to json: inout JSONWriter) {
            json.object { json in
                if message.revision > base { json.member("content", Content(message: message)) }
                if message.reactionsRevision > base { json.member("reactions", ReactionsJSON(message)) }
            }
        }
    }

    private struct Content: JSONWritable {
        let message: Message

        func write(to json: inout JSONWriter) {
            json.object { json in
                json.member("rev", message.revision)
                json.member("body", message.body)
                json.member("metadata", RawJSON(text: message.content.metadata ?? "null"))
                if let mentions = message.content.mentions { json.member("mentions", mentions) }
                json.member("edited_at", message.editedAt?.rfc3339)
                json.member("deleted_at", message.deletion?.at.rfc3339)
                json.member("deleted_by", message.deletion?.by?.text)
            }
        }
    }
}
