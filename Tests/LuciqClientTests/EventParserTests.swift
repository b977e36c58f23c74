import Testing

@testable import LuciqClient

/// The HTML standard's rules for parsing an event stream, and its examples.
@Suite struct EventParserTests {
    private func events(_ text: String) throws -> [ServerSentEvent] {
        var parser = EventParser()
        return try parser.read(text.utf8)
    }

    private func event(_ data: String, type: String = "message", id: String = "") -> ServerSentEvent {
        ServerSentEvent(type: type, data: data, id: id)
    }

    @Test(arguments: ["\n", "\r", "\r\n"]) func theThreeEndsOfALine(_ end: String) throws {
        let lines = ["retry: 1000", "", "id: 42", "event: message", "data: {\"number\":42}", "", ": beat", "", ""]
        #expect(try events(lines.joined(separator: end)) == [event(#"{"number":42}"#, id: "42")])
    }

    @Test func endsOfLinesMayBeMixed() throws {
        #expect(try events("data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\n") == [event("a\nb\nc"), event("d")])
    }

    /// The standard's examples.
    @Test func examplesOfTheStandard() throws {
        #expect(try events("data: YHOO\ndata: +2\ndata: 10\n\n") == [event("YHOO\n+2\n10")])
        let first = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
        #expect(try events(first) == [event("first event", id: "1"), event("second event"), event(" third event")])
        #expect(try events("data\n\ndata\ndata\n\ndata:") == [event(""), event("\n")])
        #expect(try events("data:test\n\ndata: test\n\n") == [event("test"), event("test")])
    }

    @Test func aByteOrderMarkIsSkippedOnceAtTheStart() throws {
        #expect(try events("\u{FEFF}data: a\n\ndata: \u{FEFF}b\n\n") == [event("a"), event("\u{FEFF}b")])
        #expect(try events("\n\u{FEFF}data: a\n\n") == [])
    }

    @Test func fields() throws {
        #expect(try events("event: close\ndata: x\n\ndata: y\n\n") == [event("x", type: "close"), event("y")])
        #expect(try events("Data: x\n\n data: y\n\nother: z\n\nevent: close\n\n") == [])
        // An id stays, until another comes; one with a null is none.
        #expect(
            try events("id: 7\n\ndata: a\n\nid: 8\u{0}\ndata: b\n\n") == [event("a", id: "7"), event("b", id: "7")])
        #expect(try events("data: a:b: c\n\n") == [event("a:b: c")])
        #expect(try events("data: not ended") == [])
        #expect(try events("data: not ended\n") == [])
    }

    @Test(arguments: [("1000", 1000), ("0", 0), ("", nil), ("-1", nil), ("1.5", nil), ("99999999999999999999", nil)])
    func retry(_ value: String, _ milliseconds: Int?) throws {
        var parser = EventParser()
        _ = try parser.read("retry: \(value)\n".utf8)
        #expect(parser.retry == milliseconds)
    }

    /// However the bytes are cut, also within a character, the events are the same.
    @Test func anyCutGivesTheSame() throws {
        let bytes = Array(
            "\u{FEFF}id: 1\r\ndata: é漢🎉\r\rid: 2\rdata: two\ndata\n\n: x\r\n\r\nevent: close\r\ndata: {}\r\n\r\n".utf8)
        let whole = [event("é漢🎉", id: "1"), event("two\n", id: "2"), event("{}", type: "close", id: "2")]
        for cut in 0...bytes.count {
            for second in cut...bytes.count {
                var parser = EventParser()
                let all =
                    try parser.read(bytes[..<cut]) + parser.read(bytes[cut..<second]) + parser.read(bytes[second...])
                #expect(all == whole, "cut at \(cut) and \(second)")
            }
        }
    }

    @Test func anEventIsBounded() throws {
        var parser = EventParser()
        _ = try parser.read("data: ".utf8)
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        for _ in 0..<3 { #expect(try parser.read(piece).isEmpty) }
        #expect(throws: EventParser.TooLarge.self) { try parser.read(piece) }
        // Also one of many lines.
        parser = EventParser()
        #expect(throws: EventParser.TooLarge.self) {
            for _ in 0..<5000 { _ = try parser.read(("data: " + String(repeating: "x", count: 1000) + "\n").utf8) }
        }
    }
}
