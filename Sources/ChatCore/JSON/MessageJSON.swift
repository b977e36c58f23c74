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
        writeRest(to: &json)
    }

    /// What most messages do not have. A message that never changed leaves out what it lacks, so that clients of before
    /// get what they always got. One that has changed says null, because it may have had it.
    private func writeRest(to json: inout JSONWriter) {
        let (content, hasChanged) = (message.content, message.revision > 0)
        if let root = content.thread { json.member("thread", root.rawValue) }
        if content.isInMain { json.member("in_main", true) }
        if let root = message.root { json.member("root", RootJSON(thread: root)) }
        if let replyTo = content.replyTo { json.member("reply_to", replyTo.rawValue) }
        if let metadata = content.metadata {
            json.member("metadata", RawJSON(text: metadata))
        } else if hasChanged {
            json.member("metadata", String?.none)
        }
        if let mentions = content.mentions { json.member("mentions", mentions) }
        if hasChanged {
            json.member("rev", message.revision)
            write("edited_at", message.editedAt, to: &json)
            if let deletion = message.deletion {
                write("deleted_at", deletion.at, to: &json)
                json.member("deleted_by", deletion.by?.text)
            }
        }
        if message.reactionsRevision > 0 { json.member("reactions", ReactionsJSON(message)) }
    }

    private func write(_ name: StaticString, _ time: Timestamp?, to json: inout JSONWriter) {
        guard let time else { return json.member(name, String?.none) }
        if form == .exact { json.member(name, time.microseconds) } else { json.member(name, time) }
    }
}

/// The reactions to a message, as JSON: `{"rev":19,"summary":[{"name":"👍","count":1,"users":["u1"],"clipped":false}]}`.
package struct ReactionsJSON: JSONWritable {
    private let message: Message

    package init(_ message: Message) { self.message = message }

    package func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("rev", message.reactionsRevision)
            json.member("summary", RawJSON(text: message.reactions ?? "[]"))
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
        // Servers of earlier versions leave these out.
        var sender: User.ID?
        var (metadata, revision): (String?, Int64?)
        var mentions: Mentions?
        var (thread, replyTo): (Int64?, Int64?)
        var isInMain = false
        var root: ThreadSummary?
        var (editedAt, deletedAt): (Int64?, Int64?)
        var deletedBy: User.ID?
        var (reactions, reactionsRevision): (String?, Int64?)
        try reader.object { name, reader in
            let isNull = reader.current == UInt8(ascii: "n")
            switch name {
            case _ where isNull: try reader.value()
            case "metadata": metadata = try reader.raw()
            case "mentions": mentions = Mentions(json: try reader.raw())
            case "rev": revision = Int64(try reader.number())
            case "reactions":
                try reader.object { name, reader in
                    switch name {
                    case "rev": reactionsRevision = Int64(try reader.number())
                    case "summary": reactions = try reader.raw()
                    default: try reader.value()
                    }
                }
            case "thread": thread = Int64(try reader.number())
            case "in_main":
                isInMain = reader.current == UInt8(ascii: "t")
                try reader.value()
            case "root": root = try ThreadSummary(json: &reader)
            case "reply_to": replyTo = Int64(try reader.number())
            case "edited_at": editedAt = Int64(try reader.number())
            case "deleted_at": deletedAt = Int64(try reader.number())
            case "deleted_by": deletedBy = User.ID(try reader.string())
            case "number": number = Int64(try reader.number())
            case "body": body = try reader.string()
            case "created_at": time = Int64(try reader.number())
            case "sender": sender = User.ID(try reader.string())
            default: try reader.value()
            }
        }
        let times = [time, editedAt, deletedAt].compactMap(\.self)
        guard let number, number > 0, let time, let body, times.allSatisfy(Timestamp.years0To9999.contains) else {
            throw NotOne()
        }
        self.init(
            number: Number(number),
            content: MessageContent(
                body: body, sender: sender, metadata: metadata, thread: thread.map { Number($0) },
                replyTo: replyTo.map { Number($0) }, isInMain: isInMain, mentions: mentions),
            createdAt: Timestamp(microseconds: time))
        self.root = thread == nil ? nil : root
        self.revision = revision ?? 0
        self.reactionsRevision = reactionsRevision ?? 0
        self.reactions = self.reactionsRevision > 0 && reactions != "[]" ? reactions : nil
        self.editedAt = editedAt.map { Timestamp(microseconds: $0) }
        self.deletion = deletedAt.map { Deletion(at: Timestamp(microseconds: $0), by: deletedBy) }
    }
}
