import TestSupport
import Testing

@testable import ChatCore

@Suite(.timeLimit(.minutes(2))) struct SearchHighlightsTests {
    private func ranges(_ query: String, in body: String) throws -> [[Int]] {
        try SearchHighlights(SearchText(query)).ranges(in: [body])[0].map { [$0.lowerBound, $0.upperBound] }
    }

    @Test(
        arguments: [
            ("hello", "Hello, hello", [[0, 5], [7, 12]]), ("É", "e", [[0, 1]]), ("x", "abc", []),
            ("aa", "aaaaa", [[0, 2], [2, 4]]),
            ("ana", "banana", [[1, 4]]), ("fi", "a\u{FB01}b", [[1, 2]]), ("i", "\u{FB01}", [[0, 1]]),
            ("f", "\u{FB00}", [[0, 1]]), ("ff", "f\u{FB00}f", [[0, 3]]), ("if", "\u{FB01}\u{FB01}", [[0, 2]]),
            ("...", "a…b", [[1, 2]]), ("123", "١٢٣", [[0, 3]]),
            ("cafe", "Cafe\u{301}s", [[0, 5]]), ("e", "cafe\u{301}\u{323}s e", [[3, 6], [8, 9]]),
            ("a", "\u{301}a\u{301}b\u{301}", [[1, 3]]),
            // A joiner or a soft hyphen is in a match, but does not end one.
            ("ab", "a\u{AD}b\u{AD}", [[0, 3]]), ("ab", "a\u{AD}b\u{AD}\u{301}", [[0, 3]]),
            // A sign makes a letter of its own.
            ("й", "аи\u{306}б", [[1, 3]]), ("и", "и\u{306}и", [[2, 3]]), ("й", "ии\u{200D}\u{306}и", [[1, 4]]),
            ("한", "x\u{1112}\u{1161}\u{11AB}y", [[1, 4]]), ("한국", "한\u{1100}\u{116E}\u{11A8}", [[0, 4]]),
            ("하", "\u{1112}\u{1161}\u{11AB}하", [[3, 4]]),
            ("👍", "a👍🏽b", [[1, 2]]), ("👩", "👨\u{200D}👩\u{200D}👧", [[2, 3]]), ("❤", "❤\u{FE0F}!", [[0, 2]]),
            ("กิน", "จะกิ\u{0E48}น", [[2, 6]]), ("\u{301}", "e\u{301}e\u{301}", [[1, 2], [3, 4]]),
            ("\u{301}\u{302}", "é\u{301}\u{302}é", [[1, 3]]),
        ] as [(String, String, [[Int]])])
    func areWhereTheTextIs(_ query: String, _ body: String, _ expected: [[Int]]) throws {
        #expect(try ranges(query, in: body) == expected)
    }

    @Test func areBounded() throws {
        let found = try ranges("a", in: String(repeating: "A", count: 1000))
        #expect(found == (0..<SearchHighlights.bound).map { [$0, $0 + 1] })
        // Each character folds to many.
        let long = try ranges("ﷺ", in: String(repeating: "ﷺ", count: 150))
        #expect(long == (0..<SearchHighlights.bound).map { [$0, $0 + 1] })
    }

    /// When the client has left, nobody reads them.
    @Test func endWithTheTask() async throws {
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try SearchHighlights(SearchText("a")).ranges(in: ["a"])
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test(arguments: SearchCase.all)
    func agreeWithTheSearch(_ example: SearchCase) throws {
        for body in example.found + example.missed { try check(example.query, body) }
        for body in example.missed { #expect(try ranges(example.query, in: body) == []) }
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func agreeWithTheSearchOnRandomTexts(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let alphabet = Self.alphabets[Int(seed) % Self.alphabets.count]
        for _ in 0..<60 {
            func text(_ lengths: ClosedRange<Int>) -> String {
                let letters = (0..<Int.random(in: lengths, using: &random)).map { _ in
                    alphabet.randomElement(using: &random)!
                }
                return letters.joined()
            }
            let (query, body) = (text(1...4), text(0...30))
            if (try? SearchText(query)) != nil { try check(query, body) }
        }
    }

    private static let alphabets: [[String]] = [
        ["a", "A", "á", "b", "\u{301}", "\u{AD}"], ["f", "i", "\u{FB00}", "\u{FB01}", "\u{FB03}", "F"],
        ["и", "й", "\u{306}", "\u{200D}", "И", "\u{301}"], ["\u{1112}", "\u{1161}", "\u{11AB}", "한", "하", "\u{200D}"],
        ["👍", "🏽", "\u{FE0F}", "\u{200D}", "❤", "x"], ["ﷺ", "ل", "ا", "\u{651}", "\u{644}"],
        ["ก", "ิ", "ั", "น", "้", "ำ", "\u{E4D}", "า"], ["…", ".", "㎞", "k", "m", "K"],
    ]

    /// There are ranges if the search finds the body; they are in order and apart, and each one has the text.
    private func check(_ query: String, _ body: String) throws {
        let text = try SearchText(query)
        var matcher = SearchMatcher(text)
        func matches(_ text: String) -> Bool { Array(text.utf8).withUnsafeBytes { matcher.matches($0) } }
        let ranges = try SearchHighlights(text).ranges(in: [body])[0]
        let what = "\(query.debugDescription) in \(body.debugDescription)"
        #expect(ranges.isEmpty == !matches(body), "\(what)")
        let scalars = Array(body.unicodeScalars)
        var end = 0
        for range in ranges {
            #expect(range.lowerBound >= end && !range.isEmpty && range.upperBound <= scalars.count, "\(what)")
            end = range.upperBound
            let part = String(String.UnicodeScalarView(scalars[range]))
            #expect(matches(part), "\(what): \(part.debugDescription)")
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct SearchCursorTests {
    private func cursor(_ chat: Int64, time: Int64 = 1_763_830_664_194_999) -> SearchCursor {
        let message = Message(
            number: Message.Number(77), body: "x", createdAt: Timestamp(microseconds: time))
        return SearchCursor(TenantHit(chat: Chat.ID(chat), number: Chat.Number(5), message: message))
    }

    @Test func readsWhatItWrites() throws {
        for time in [0, 1, 1_763_830_664_194_999, (1 << 56) - 1] as [Int64] {
            let text = cursor(3, time: time).description
            #expect(text.wholeMatch(of: /A[Q-Za-f][A-Za-z0-9_-]{30}/) != nil)
            let read = try #require(SearchCursor(text))
            #expect(read == cursor(3, time: time))
            #expect(read.createdAt.microseconds == time && read.chat.rawValue == 5 && read.number.rawValue == 77)
        }
    }

    /// Clients never see ids.
    @Test func doesNotHaveTheChatsID() { #expect("\(cursor(3))" == "\(cursor(987_654_321))") }

    @Test(arguments: [
        "", "1", "x", "AQZEK1e6sncAAAAAAAAABQAAAAAAAABN=", "AgZEK1e6sncAAAAAAAAABQAAAAAAAABN",
        "AQZEK1e6sncAAAAAAAAABQAAAAAAAABNAAAA", "AQZEK1e6sncAAAAAAAAABQAAAAAAAA",
        "AQZEK1e6sn+AAAAAAAAABQAAAAAAAABN", "AQZEK1e6sn/AAAAAAAAABQAAAAAAAABN", " QZEK1e6sncAAAAAAAAABQAAAAAAAABN",
        "AQZEK1e6sncAAAAAAAAABQAAAAAAAAB\u{4E}\u{301}",
    ])
    func refuses(_ text: String) { #expect(SearchCursor(text) == nil) }
}
