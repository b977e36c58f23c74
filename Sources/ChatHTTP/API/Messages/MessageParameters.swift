import ChatCore
import NIOCore

/// What a create or an edit says: `{"message":{"body":"hi","sender":"u1","metadata":{"color":"red"},"thread":12,
/// "reply_to":41,"mentions":["u2"]}}`, or the same without `message`; read in one go, by the rules of `TextParameter`. Or as a
/// form, which has no metadata and no mentions. Mentions that are null are none. A sender, a thread and a `reply_to` that are null are none.
struct MessageParameters {
    private var members = Members()

    var body: String? { members.body }
    var sender: String? { members.sender }
    /// One JSON value.
    var metadata: [UInt8]? { members.metadata }
    var thread: String? { members.thread }
    var replyTo: String? { members.replyTo }
    /// False if absent.
    var isInMain: Bool { members.isInMain ?? false }
    /// Ids of users, not checked; nil if absent.
    var mentions: [String]? { members.mentions }

    fileprivate struct Members {
        var body: String?
        var sender: String?
        var metadata: [UInt8]?
        var thread: String?
        var replyTo: String?
        var isInMain: Bool?
        var mentions: [String]?
        /// Whether it has metadata that are none.
        var hasBadMetadata = false
        var hasBadInMain = false
        var hasBadMentions = false
    }

    private static let wrapper = "message"

    /// - Throws: a `Problem` (400) for anything but one JSON object, or a form.
    init(_ request: RequestBody) throws {
        var flat = Members()
        var nested = Members()
        switch request {
        case .json(let json):
            try JSONReader.read(json) { name, reader in
                if name == Self.wrapper, reader.current == UInt8(ascii: "{") {
                    nested = Members()
                    try reader.object { name, reader in try nested.read(name, &reader) }
                } else {
                    try flat.read(name, &reader)
                }
            }
        case .form(let form):
            try FormBody.read(form) { names, value in
                if names.count > 1, names[0].elementsEqual(Self.wrapper.utf8) {
                    nested.read(names.dropFirst(), value)
                } else {
                    flat.read(names[...], value)
                }
            }
        }
        guard !flat.hasBadMetadata, !nested.hasBadMetadata else {
            throw ChatError.invalid(["Metadata must be a JSON object"])
        }
        guard !flat.hasBadInMain, !nested.hasBadInMain else {
            throw ChatError.invalid(["In_main must be true or false"])
        }
        guard !flat.hasBadMentions, !nested.hasBadMentions else {
            throw ChatError.invalid(["Mentions must be an array of users' ids"])
        }
        members.mentions = nested.mentions ?? flat.mentions
        members.isInMain = nested.isInMain ?? flat.isInMain
        members.body = nested.body ?? flat.body
        members.sender = nested.sender ?? flat.sender
        members.metadata = nested.metadata ?? flat.metadata
        members.thread = nested.thread ?? flat.thread
        members.replyTo = nested.replyTo ?? flat.replyTo
    }

    /// The text of a create.
    ///
    /// - Throws: a `Problem` (400) without one.
    func requiredBody() throws(Problem) -> String {
        guard let body else { throw .missingParameter("body") }
        return body
    }

    /// An edit.
    ///
    /// - Throws: a `Problem` (400) if it changes nothing; `ChatError.invalid` for bad mentions.
    func patch() throws -> MessagePatch {
        guard body != nil || metadata != nil || mentions != nil else { throw Problem.missingParameter("body") }
        return MessagePatch(
            body: body, metadata: metadata,
            mentions: try mentions.map { names throws(ChatError) in try Mentions(naming: names) })
    }
}

extension MessageParameters.Members {
    fileprivate mutating func read(_ name: JSONName, _ reader: inout JSONReader) throws {
        switch name {
        case "body": body = try reader.scalar()
        case "sender": sender = try Self.text(&reader)
        case "metadata": metadata = Array(try reader.raw().utf8)
        case "thread": thread = try Self.text(&reader)
        case "reply_to": replyTo = try Self.text(&reader)
        case "in_main": read(inMain: try Self.text(&reader))
        case "mentions": mentions = try Self.texts(&reader) { hasBadMentions = true }
        default: try reader.value()
        }
    }

    private mutating func read(inMain text: String?) {
        switch text.map({ Array($0.utf8) }) {
        case nil: isInMain = nil
        case Array("1".utf8), Array("true".utf8): isInMain = true
        case Array("0".utf8), Array("false".utf8): isInMain = false
        default: hasBadInMain = true
        }
    }

    /// An array of strings; null is one of none.
    ///
    /// - Parameter fail: called for what is something else.
    private static func texts(_ reader: inout JSONReader, orElse fail: () -> Void) throws -> [String] {
        guard reader.current == UInt8(ascii: "[") else {
            if reader.current != UInt8(ascii: "n") { fail() }
            try reader.value()
            return []
        }
        var texts: [String] = []
        try reader.array { reader in
            if reader.current == UInt8(ascii: "\"") {
                texts.append(try reader.string())
            } else {
                fail()
                try reader.value()
            }
        }
        return texts
    }

    private static func text(_ reader: inout JSONReader) throws -> String? {
        guard reader.current == UInt8(ascii: "n") else { return try reader.scalar() }
        try reader.literal("null")
        return nil
    }

    /// - Parameter names: from the outermost on; further ones make the value an array or an object.
    fileprivate mutating func read(_ names: ArraySlice<ArraySlice<UInt8>>, _ value: String) {
        guard let name = names.first else { return }
        let text = names.count == 1 ? value : ""
        if name.elementsEqual("body".utf8) { body = text }
        if name.elementsEqual("sender".utf8) { sender = text }
        if name.elementsEqual("metadata".utf8) { hasBadMetadata = true }
        if name.elementsEqual("mentions".utf8) { hasBadMentions = true }
        if name.elementsEqual("thread".utf8) { thread = text }
        if name.elementsEqual("reply_to".utf8) { replyTo = text }
        if name.elementsEqual("in_main".utf8) { read(inMain: text) }
    }
}
