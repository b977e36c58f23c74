/// One event of a stream of server-sent events.
struct ServerSentEvent: Equatable {
    /// `message` if the stream gives no name.
    let type: String
    let data: String
    /// The last id that the stream gave, with this event or before it; empty for none.
    let id: String
}

/// Parses server-sent events from bytes in pieces of any size, by the HTML standard
/// (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).
struct EventParser {
    /// A line or an event is larger than anything that a chat sends.
    struct TooLarge: Error {}

    /// In bytes. The largest message has 64 KiB, and at most six times that as JSON.
    static let largestEvent = 4 << 20

    /// The stream's `retry`, in milliseconds; nil before it has sent one.
    private(set) var retry: Int?
    /// The last id that the stream gave, in a block without data too; empty for none.
    private(set) var lastID = ""

    private var line: [UInt8] = []
    private var isAtStart = true
    private var endedWithCR = false
    private var type = ""
    private var data = ""
    private var hasData = false
    private var id = ""

    /// - Returns: the events that these bytes complete. A stream that ends inside an event drops it.
    mutating func read(_ bytes: some Sequence<UInt8>) throws(TooLarge) -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        for byte in bytes {
            let isRestOfCRLF = endedWithCR && byte == UInt8(ascii: "\n")
            endedWithCR = byte == UInt8(ascii: "\r")
            if isRestOfCRLF { continue }
            guard byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") else {
                line.append(byte)
                if line.count + data.utf8.count > Self.largestEvent { throw TooLarge() }
                continue
            }
            if isAtStart, line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
            isAtStart = false
            if let event = endLine() { events.append(event) }
            line.removeAll(keepingCapacity: true)
        }
        return events
    }

    private mutating func endLine() -> ServerSentEvent? {
        if line.isEmpty { return dispatch() }
        let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
        var value = line[colon...].dropFirst()
        if value.first == UInt8(ascii: " ") { value.removeFirst() }
        // A line that begins with a colon is a comment: a field with an empty name, which is ignored like unknown ones.
        switch String(decoding: line[..<colon], as: UTF8.self) {
        case "event": type = String(decoding: value, as: UTF8.self)
        case "data":
            if hasData { data += "\n" }
            hasData = true
            data += String(decoding: value, as: UTF8.self)
        case "id": if !value.contains(0) { id = String(decoding: value, as: UTF8.self) }
        case "retry":
            guard value.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { break }
            retry = Int(String(decoding: value, as: UTF8.self)) ?? retry
        default: break
        }
        return nil
    }

    private mutating func dispatch() -> ServerSentEvent? {
        defer { (type, data, hasData) = ("", "", false) }
        lastID = id
        guard hasData else { return nil }
        return ServerSentEvent(type: type.isEmpty ? "message" : type, data: data, id: id)
    }
}
