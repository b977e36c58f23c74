/// A message as JSON, in answers, lists, events and on the bus. Never rename or drop a member, nor change its type.
package struct MessageJSON: JSONWritable {
    package enum Form: Sendable {
        /// In lists and events.
        case item
        /// In the answer to a request for one message, where `number` is called `message_number`.
        case answer
        /// Between processes: the time is in microseconds since 1970, as in the store.
        case exact
    }

    private let message: Message
    private let form: Form

    package init(_ message: Message, as form: Form = .item) {
        self.message = message
        self.form = form
    }

    package func write(to json: inout JSONWriter) { json.object(writeMembers) }

    /// Writes its members into an object that has others.
    package func writeMembers(to json: inout JSONWriter) {
        json.member(form == .answer ? "message_number" : "number", message.number.rawValue)
        json.member("body", message.body)
        switch form {
        case .exact:
            json.member("created_at", message.createdAt.microseconds)
            if let sender = message.content.sender { json.member("sender", sender.text) }
        case .item, .answer:
            json.member("created_at", message.createdAt)
            json.member("sender", message.content.sender?.text)
        }
    }
}

extension Message {
    /// The JSON is not a message.
    package struct NotOne: Error {}

    /// Reads a message in the form `.exact`. Skips unknown members, which a newer version may have written.
    ///
    /// - Throws: `JSONReader.Failure` or `NotOne`.
    package init(json reader: inout JSONReader) throws {
        var (number, time): (Int64?, Int64?)
        var body: String?
        // Servers of earlier versions leave it out.
        var sender: User.ID?
        try reader.object { name, reader in
            switch name {
            case "number": number = Int64(try reader.number())
            case "body": body = try reader.string()
            case "created_at": time = Int64(try reader.number())
            case "sender": sender = User.ID(try reader.string())
            default: try reader.value()
            }
        }
        guard let number, number > 0, let time, Timestamp.years0To9999.contains(time), let body else {
            throw NotOne()
        }
        self.init(
            number: Number(number), content: MessageContent(body: body, sender: sender),
            createdAt: Timestamp(microseconds: time))
    }
}
