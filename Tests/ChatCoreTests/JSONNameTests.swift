import Testing

@testable import ChatCore

/// Names of JSON members are compared byte by byte.
@Suite struct JSONNameTests {
    /// The names of an object, and which of them are `wanted`.
    private func read(_ json: String, wanted: String) throws -> (names: [String], found: [Bool]) {
        var (names, found): ([String], [Bool]) = ([], [])
        var json = json
        try json.withUTF8 { utf8 in
            var reader = JSONReader(utf8: utf8)
            try reader.document { name, reader in
                names.append(name.text)
                found.append(name == wanted)
                try reader.value()
            }
        }
        return (names, found)
    }

    /// Swift's strings are equal when they look alike: the Kelvin sign and K, é in one or two characters.
    @Test(arguments: [
        ("K", "\u{212A}"), ("\u{E9}", "e\u{301}"), ("e\u{301}", "\u{E9}"), ("\u{212B}", "\u{C5}"),
    ])
    func whatLooksAlikeIsNotTheSame(_ wanted: String, _ other: String) throws {
        #expect(wanted == other)
        let (names, found) = try read("{\"\(other)\":1,\"\(wanted)\":2}", wanted: wanted)
        #expect(names.map { Array($0.utf8) } == [Array(other.utf8), Array(wanted.utf8)])
        #expect(found == [false, true])
    }

    @Test func escapesAreWhatTheyStandFor() throws {
        let json = #"{"b\u006fdy":1,"\u0062\u006F\u0064\u0079":2,"body\u0000":3,"bod":4,"\ud83d\ude00":5}"#
        #expect(try read(json, wanted: "body").found == [true, true, false, false, false])
        #expect(try read(json, wanted: "😀").found == [false, false, false, false, true])
        #expect(try read(json, wanted: "😀").names == ["body", "body", "body\0", "bod", "😀"])
    }

    @Test func patternsCompareAsWell() throws {
        var seen: [Int] = []
        var json = #"{"type":1,"t\u0079pe":2,"types":3}"#
        try json.withUTF8 { utf8 in
            var reader = JSONReader(utf8: utf8)
            try reader.document { name, reader in
                switch name {
                case "type": seen.append(Int(try reader.number())!)
                default: try reader.value()
                }
            }
        }
        #expect(seen == [1, 2])
    }

    /// Skipped values are checked as strictly as wanted ones.
    @Test(arguments: [#"{"\x":1}"#, #"{"\ud800":1}"#, "{\"a\u{1}\":1}", #"{"a":"\u12"}"#, #"{"a":"\ud83dx"}"#, #"{"a"#])
    func badNamesAreRefused(_ json: String) {
        #expect(throws: JSONReader.Failure.self) { try read(json, wanted: "a") }
    }
}
