/// A message as JSON, wherever it is written: in answers, lists, events and on the bus. A member is never renamed, dropped
/// or given another type.
package struct MessageJSON: JSONWritable {
    package enum Form: Sendable {
        /// One of many: in lists and events.
        case item
        /// The answer to a request for it, in which `number` is called `message_number`.
        case answer
        /// Between processes: the time is in microseconds since 1970, as the store has it.
        case exact
    }

    private let message: Message
    private let form: Form

    package init(_ message: Message, as form: Form = .item) {
        self.message = message
        self.form = form
    }

    package func write(to json: inout JSONWriter) {
        json.object { json in
            json.member(form == .answer ? "message_number" : "number", message.number.rawValue)
            json.member("body", message.body)
            switch form {
            case .exact: json.member("created_at", message.createdAt.microseconds)
            case .item, .answer: json.member("created_at", message.createdAt.rfc3339)
            }
        }
    }
}

extension Message {
    /// It is JSON, and no message.
    package struct NotOne: Error {}

    /// Reads what `MessageJSON` writes as `.exact`. Members that are not known are passed over: a newer version may have
    /// written them.
    ///
    /// - Throws: `JSONReader.Failure` or `NotOne`.
    package init(json reader: inout JSONReader) throws {
        var (number, time): (Int64?, Int64?)
        var body: String?
        try reader.object { name, reader in
            switch name {
            case "number": number = Int64(try reader.number())
            case "body": body = try reader.string()
            case "created_at": time = Int64(try reader.number())
            default: try reader.value()
            }
        }
        guard let number, number > 0, let time, Timestamp.years0To9999.contains(time), let body else {
            throw NotOne()
        }
        self.init(number: Number(number), body: body, createdAt: Timestamp(microseconds: time))
    }
}
