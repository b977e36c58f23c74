/// What has changed of a message, as JSON in events: a part for each revision, in its state now. Never rename or drop a
/// member, nor change its type.
package struct MessageChangeJSON: JSONWritable {
    private let message: Message

    package init(_ message: Message) { self.message = message }

    package func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("number", message.number.rawValue)
            json.member("parts", Parts(message: message))
        }
    }

    private struct Parts: JSONWritable {
        let message: Message

        func write(to json: inout JSONWriter) { json.object { $0.member("content", Content(message: message)) } }
    }

    private struct Content: JSONWritable {
        let message: Message

        func write(to json: inout JSONWriter) {
            json.object { json in
                json.member("rev", message.revision)
                json.member("body", message.body)
                json.member("metadata", RawJSON(text: message.content.metadata ?? "null"))
                json.member("edited_at", message.editedAt?.rfc3339)
                json.member("deleted_at", message.deletion?.at.rfc3339)
                json.member("deleted_by", message.deletion?.by?.text)
            }
        }
    }
}
