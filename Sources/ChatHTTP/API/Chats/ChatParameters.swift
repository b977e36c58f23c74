import ChatCore
import NIOCore

/// The settings of a chat in a request: `{"name":"Support","metadata":{"color":"red"},"access":"members",
/// "history":"all","receipts":"off"}`, or the same in `{"chat":{…}}`, which wins. A name or metadata that are null are none. As a form
/// without metadata: `name=Support&access=open`.
struct ChatParameters {
    private(set) var patch = Chat.Patch()
    private var errors: [String] = []

    private static let wrapper = "chat"

    /// - Parameter mayBeEmpty: whether no body at all is as good as an empty object.
    /// - Throws: a `Problem` (400) for anything but one JSON object, or a form; `ChatError.invalid` with a sentence for
    ///   each bad value.
    init(_ request: RequestBody, mayBeEmpty: Bool = false) throws {
        var (flat, nested) = (Chat.Patch(), Chat.Patch())
        switch request {
        case .json(let json) where json.readableBytes == 0 && mayBeEmpty: break
        case .json(let json):
            try JSONReader.read(json) { name, reader in
                if name == Self.wrapper, reader.current == UInt8(ascii: "{") {
                    try reader.object { name, reader in try read(name, &reader, of: json, into: &nested) }
                } else {
                    try read(name, &reader, of: json, into: &flat)
                }
            }
        case .form(let form):
            try FormBody.read(form) { names, value in
                if names.count == 2, names[0].elementsEqual(Self.wrapper.utf8) {
                    read(names[1], value, into: &nested)
                } else if names.count == 1 {
                    read(names[0], value, into: &flat)
                }
            }
        }
        patch.name = nested.name ?? flat.name
        patch.metadata = nested.metadata ?? flat.metadata
        patch.access = nested.access ?? flat.access
        patch.history = nested.history ?? flat.history
        patch.receipts = nested.receipts ?? flat.receipts
        guard errors.isEmpty else { throw ChatError.invalid(errors) }
    }

    private mutating func read(
        _ name: JSONName, _ reader: inout JSONReader, of json: ByteBuffer, into patch: inout Chat.Patch
    ) throws {
        let isNull = reader.current == UInt8(ascii: "n")
        switch name {
        case "name":
            let name = try reader.scalar()
            patch.name = .some(isNull ? nil : name)
        case "metadata":
            let isObject = reader.current == UInt8(ascii: "{")
            let start = reader.offset
            try reader.value()
            if isNull {
                patch.metadata = .some(nil)
            } else if isObject {
                patch.metadata = json.getString(at: json.readerIndex + start, length: reader.offset - start)
            } else {
                errors.append("Metadata must be a JSON object")
            }
        case "access": setAccess(try reader.scalar(), of: &patch)
        case "history": setHistory(try reader.scalar(), of: &patch)
        case "receipts": setReceipts(try reader.scalar(), of: &patch)
        default: try reader.value()
        }
    }

    private mutating func read(_ name: ArraySlice<UInt8>, _ value: String, into patch: inout Chat.Patch) {
        switch String(decoding: name, as: UTF8.self) {
        case "name": patch.name = value
        case "metadata": errors.append("Metadata must be a JSON object")
        case "access": setAccess(value, of: &patch)
        case "history": setHistory(value, of: &patch)
        case "receipts": setReceipts(value, of: &patch)
        default: break
        }
    }

    private mutating func setAccess(_ text: String, of patch: inout Chat.Patch) {
        patch.access = Chat.Access.allCases.first { $0.name.utf8.elementsEqual(text.utf8) }
        if patch.access == nil { errors.append("Access must be open or members") }
    }

    private mutating func setHistory(_ text: String, of patch: inout Chat.Patch) {
        patch.history = Chat.History.allCases.first { $0.name.utf8.elementsEqual(text.utf8) }
        if patch.history == nil { errors.append("History must be all or since_join") }
    }

    private mutating func setReceipts(_ text: String, of patch: inout Chat.Patch) {
        patch.receipts = Chat.Receipts(name: text)
        if patch.receipts == nil { errors.append(Chat.Receipts.mistake) }
    }
}

extension Chat.Receipts {
    static let mistake = "Receipts must be off or members"
}
