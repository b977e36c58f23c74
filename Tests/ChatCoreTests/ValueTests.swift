import Synchronization
import Testing

@testable import ChatCore

@Suite(.timeLimit(.minutes(1))) struct TokenTests {
    @Test func readsWhatItWrites() {
        for _ in 0..<100 {
            let token = Tenant.Token.random()
            #expect(token.text.count == 32)
            #expect(Tenant.Token(token.text) == token)
        }
        #expect(Tenant.Token("0123456789abcdef0123456789abcdef")?.text == "0123456789abcdef0123456789abcdef")
    }

    @Test(arguments: [
        "", "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0", "0123456789ABCDEF0123456789abcdef",
        "g123456789abcdef0123456789abcdef", " 123456789abcdef0123456789abcdef",
    ])
    func refuses(_ text: String) { #expect(Tenant.Token(text) == nil) }

    @Test func neverDescribesItselfWhole() {
        let token = Tenant.Token.random()
        for text in ["\(token)", String(describing: token), String(reflecting: token), "\([token])"] {
            #expect(!text.contains(token.text))
        }
    }

    @Test func isRandom() { #expect(Set((0..<1000).map { _ in Tenant.Token.random() }).count == 1000) }
}

@Suite(.timeLimit(.minutes(1))) struct NumberTests {
    @Test(arguments: [("1", 1), ("42", 42), ("9223372036854775807", Int64.max)])
    func reads(_ text: String, _ value: Int64) { #expect(Chat.Number(digits: text[...])?.rawValue == value) }

    @Test(arguments: [
        "", "0", "0042", "-1", "+1", " 1", "1 ", "1abc", "0x1", "1.0", "1e3", "9223372036854775808",
        "99999999999999999999999", "١", "１", "%201",
    ])
    func refuses(_ text: String) { #expect(Chat.Number(digits: text[...]) == nil) }
}

@Suite(.timeLimit(.minutes(1))) struct TimestampTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (1_763_830_664_194_999, "2025-11-22T16:57:44.194Z"),
        (951_782_399_999_999, "2000-02-28T23:59:59.999Z"), (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
        (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
        (1_735_689_599_001_000, "2024-12-31T23:59:59.001Z"),
    ])
    func prints(_ microseconds: Int64, _ text: String) {
        #expect(Timestamp(microseconds: microseconds).rfc3339 == text)
    }

    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("2025-11-22T16:57:44.194999Z", 1_763_830_664_194_999),
        ("2025-11-22T16:57:44.1949999999Z", 1_763_830_664_194_999), ("2025-11-22t16:57:44.2z", 1_763_830_664_200_000),
        ("2025-11-22T17:57:44+01:00", 1_763_830_664_000_000), ("2025-11-22T12:27:44-04:30", 1_763_830_664_000_000),
        ("2025-11-23T00:00:00+23:59", 1_763_769_660_000_000), ("2000-02-29T00:00:00-00:00", 951_782_400_000_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000), ("1969-12-31T23:59:59.999999Z", -1),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000_000), ("9999-12-31T23:59:59Z", 253_402_300_799_000_000),
    ])
    func reads(_ text: String, _ microseconds: Int64) {
        #expect(Timestamp(rfc3339: text)?.microseconds == microseconds)
    }

    @Test func readsEveryDayThatItPrints() {
        for day in stride(from: Int64(-719_528), through: 2_932_896, by: 97) {
            let time = Timestamp(microseconds: day * 86_400_000_000)
            #expect(Timestamp(rfc3339: time.rfc3339) == time)
        }
    }

    @Test(arguments: [
        "", "2025", "2025-11-22", "2025-11-22T16:57:44", "2025-11-22 16:57:44Z", "2025-11-22T16:57Z",
        "2025-11-22T16:57:44.Z", "2025-11-22T16:57:44,5Z", "2025-11-22T16:57:44+0100", "2025-11-22T16:57:44 01:00",
        "2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "2025-00-01T00:00:00Z", "2025-01-00T00:00:00Z",
        "2025-04-31T00:00:00Z", "2025-01-01T24:00:00Z", "2025-01-01T00:60:00Z", "2025-01-01T00:00:61Z",
        "2025-01-01T00:00:00+24:00", "2025-01-01T00:00:00Zx", "+025-01-01T00:00:00Z", "٢٠٢٥-01-01T00:00:00Z",
        "1763830664",
    ])
    func refuses(_ text: String) { #expect(Timestamp(rfc3339: text) == nil) }
}

@Suite(.timeLimit(.minutes(1))) struct TextTests {
    @Test(arguments: ["a", " a ", "\u{200B}", "é", String(repeating: "é", count: 255)])
    func takesNames(_ name: String) throws { try Text.checkName(name) }

    @Test(arguments: [
        ("", ["Name can't be blank"]), (" \t\n\u{A0}\u{3000}", ["Name can't be blank"]),
        (String(repeating: "é", count: 256), ["Name is too long (maximum is 255 characters)"]),
        ("a\0", ["Name contains a null character"]),
    ])
    func refusesNames(_ name: String, _ errors: [String]) {
        #expect(throws: ChatError.invalid(errors)) { try Text.checkName(name) }
    }

    @Test func bodiesAreMeasuredInBytes() throws {
        try Text.checkBody(String(repeating: "a", count: 65_535))
        try Text.checkBody(String(repeating: "é", count: 32_767))
        for body in [String(repeating: "a", count: 65_536), String(repeating: "é", count: 32_768)] {
            #expect(throws: ChatError.invalid(["Body is too long (maximum is 65535 bytes)"])) {
                try Text.checkBody(body)
            }
        }
        #expect(throws: ChatError.invalid(["Body can't be blank"])) { try Text.checkBody("\u{2003}\n") }
    }

    @Test(arguments: ["", String(repeating: "k", count: 256), "ü", "a\nb", "\u{7F}"])
    func refusesKeys(_ key: String) {
        #expect(throws: ChatError.self) { try IdempotencyKey(key, content: []) }
    }
}

@Suite(.timeLimit(.minutes(1))) struct PageTests {
    /// A page of 1...10, as a store makes it.
    private func page(_ page: Page) -> PageOf<Int64> {
        let window = (Int64(1)...10).filter { $0 > page.lowerBound && $0 < page.upperBound }
        let walked = (page.walksUp ? window : window.reversed()).prefix(page.limit + 1)
        let precedes = page.walksUp ? page.after.map { $0 >= 1 } : page.before.map { $0 <= 10 }
        return PageOf(walked: Array(walked), page: page, isPrecededBy: precedes ?? false)
    }

    @Test(arguments: [
        (Page(limit: 3), [1, 2, 3], false, true), (Page(limit: 3, after: 3), [4, 5, 6], true, true),
        (Page(limit: 3, after: 7), [8, 9, 10], true, false), (Page(limit: 3, before: 8), [5, 6, 7], true, true),
        (Page(limit: 3, before: 3), [1, 2], false, true), (Page(limit: 20), Array(1...10), false, false),
        (Page(limit: 3, after: 2, before: 9), [3, 4, 5], true, true),
        (Page(limit: 9, after: 2, before: 5), [3, 4], true, false),
        (Page(limit: 3, order: .desc), [10, 9, 8], false, true),
        (Page(limit: 3, before: 8, order: .desc), [7, 6, 5], true, true),
        (Page(limit: 3, after: 3, order: .desc), [6, 5, 4], true, true),
        (Page(limit: 3, after: 10), [], true, false), (Page(limit: 3, after: 99), [], true, false),
    ])
    func slices(_ wanted: Page, _ items: [Int], _ hasPrevious: Bool, _ hasNext: Bool) {
        let page = page(wanted)
        #expect(page.items == items.map(Int64.init))
        #expect(page.hasPrevious == hasPrevious)
        #expect(page.hasNext == hasNext)
    }
}

@Suite(.timeLimit(.minutes(1))) struct ImmutableCacheTests {
    @Test func staysWithinItsCapacityAndKeepsWhatIsUsed() {
        let cache = ImmutableCache<Int, Int>(capacity: 100)
        cache.insert(7, for: -1, at: cache.version)
        for index in 0..<10_000 {
            cache.insert(index, for: index, at: cache.version)
            #expect(cache[-1] == 7)
        }
        #expect((0..<10_000).filter { cache[$0] != nil }.count <= 100)
    }

    @Test func anEpochEndsAllThatWasLearned() {
        withExtendedLifetime(Epoch()) { epoch in
            let cache = ImmutableCache<Int, Int>(capacity: 100) { epoch.value.load(ordering: .relaxed) }
            cache.insert(1, for: 1, at: .init(epoch: 0))
            #expect(cache[1] == 1)
            epoch.value.store(1, ordering: .relaxed)
            #expect(cache[1] == nil)
            // Asked for before the change, answered after it.
            cache.insert(2, for: 2, at: .init(epoch: 0))
            #expect(cache[2] == nil)
            cache.insert(2, for: 2, at: .init(epoch: 1))
            #expect(cache[2] == 2)
        }
    }

    /// A revocation that comes between question and answer.
    @Test func whatIsForgottenIsNotInsertedByWhoAskedBefore() {
        let cache = ImmutableCache<Int, Int>(capacity: 100)
        for key in 1...3 { cache.insert(key, for: key, at: cache.version) }
        let version = cache.version
        cache.forget(1)
        #expect(cache[1] == nil && cache[2] == 2)
        cache.insert(1, for: 1, at: version)
        #expect(cache[1] == nil)
        cache.insert(1, for: 1, at: cache.version)
        #expect(cache[1] == 1)
        let later = cache.version
        cache.forgetAll()
        cache.insert(2, for: 2, at: later)
        #expect((1...3).allSatisfy { cache[$0] == nil })
    }

    private final class Epoch: Sendable { let value = Atomic<UInt64>(0) }
}
