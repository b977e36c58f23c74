import ChatCore
import NIOCore

/// What a create says: `{"message":{"body":"hi","sender":"u1"}}` or `{"body":"hi","sender":"u1"}`, or the same as a
/// form; read in one go, by the rules of `TextParameter`. A sender that is null is none.
struct MessageParameters {
    let body: String
    let sender: String?

    fileprivate struct Members {
        var body: String?
        var sender: String?
    }

    private static let wrapper = "message"

    /// - Throws: a `Problem` (400) for anything but one JSON object, or a form, that has a `body`.
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
        guard let body = nested.body ?? flat.body else { throw Problem.missingParameter("body") }
        self.body = body
        self.sender = nested.sender ?? flat.sender
    }
}

extension MessageParameters.Members {
    fileprivate mutating func read(_ name: JSONName, _ reader: inout JSONReader) throws {
        switch name {
        case "body": body = try reader.scalar()
        case "sender":
            if reader.current == UInt8(ascii: "n") {
                try reader.literal("null")
                sender = nil
            } else {
                sender = try reader.scalar()
            }
        default: try reader.value()
        }
    }

    /// - Parameter names: from the outermost on; further ones make the value an array or an object.
    fileprivate mutating func read(_ names: ArraySlice<ArraySlice<UInt8>>, _ value: String) {
        let text = names.count == 1 ? value : ""
        if names.first?.elementsEqual("body".utf8) == true { body = text }
        if names.first?.elementsEqual("sender".utf8) == true { sender = text }
    }
}
