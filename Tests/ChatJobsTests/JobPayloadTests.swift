import ChatCore
import ChatJobs
import Testing

@Suite struct JobPayloadTests {
    private func payload(_ text: String) throws -> JobPayload { try JobPayload(Array(text.utf8)) }

    @Test func whatIsNotChangedStaysAsItCame() throws {
        for text in ["{}", " { \"a\" : 1 }\n", "{\"a\":1,\"a\":2}", "{\"\\u0061\":[1.0,  1e400]}"] {
            #expect(String(decoding: try payload(text).bytes, as: UTF8.self) == text)
        }
    }

    @Test func settingAndRemoving() throws {
        var changed = try payload("{ \"b\" : 1.0 , \"a\":{\"x\": [1, 2]}, \"c\":null }")
        changed.set("a", string: "q\"\\\n\u{1F}é😀")
        changed.set("d", raw: "5")
        changed.remove("c")
        changed.remove("never")
        #expect(
            String(decoding: changed.bytes, as: UTF8.self)
                == "{\"b\":1.0,\"a\":\"q\\\"\\\\\\n\\u001fé😀\",\"d\":5}")
        #expect(try JobPayload(changed.bytes).string("a") == "q\"\\\n\u{1F}é😀")
        for key in ["a", "b", "d"] { changed.remove(key) }
        #expect(changed.bytes == Array("{}".utf8))
    }

    /// é has two spellings, which are two names in Ruby and one in Swift.
    @Test func namesAreComparedByTheirBytes() throws {
        var odd = try payload("{\"caf\u{E9}\":1,\"cafe\u{301}\":2}")
        #expect(odd.integer("caf\u{E9}") == 1 && odd.integer("cafe\u{301}") == 2)
        odd.set("caf\u{E9}", raw: "3")
        odd.remove("cafe\u{301}")
        #expect(String(decoding: odd.bytes, as: UTF8.self).utf8.elementsEqual("{\"caf\u{E9}\":3}".utf8))
    }

    @Test func theLastOfEqualKeysCounts() throws {
        var twice = try payload("{\"jid\":\"1\",\"jid\":\"2\"}")
        #expect(twice.jid == "2")
        twice.set("jid", string: "3")
        #expect(twice.jid == "3")
        #expect(try JobPayload(twice.bytes).jid == "3")
    }

    @Test func valuesOfOtherTypesAreNone() throws {
        let odd = try payload(
            "{\"class\":1,\"jid\":null,\"queue\":[],\"retry_count\":\"1\",\"retry\":\"false\",\"at\":{}}")
        #expect(odd.job == nil && odd.jid == nil && odd.queue == nil && odd.raw("jid") == nil)
        #expect(odd.integer("retry_count") == nil)
        #expect(odd.bool("retry") == nil)
        #expect(odd.time("at") == nil)
    }

    @Test(arguments: [
        ("1700000000123", 1_700_000_000_123_000), ("1700000000.25", 1_700_000_000_250_000),
        ("1700000000", 1_700_000_000_000_000), ("1.7e9", 1_700_000_000_000_000), ("0", 0),
        ("99999999999", 99_999_999_999_000_000), ("1700000000123.0", 1_000_000_000_000_000_000),
    ])
    func times(_ text: String, _ microseconds: Int64) throws {
        #expect(try payload("{\"t\":\(text)}").time("t") == Timestamp(microseconds: microseconds))
    }

    @Test func timesAreWrittenAsTheFormatHasIt() {
        let time = Timestamp(microseconds: 1_700_000_000_123_456)
        #expect(SidekiqFormat.v8.timestamp(time) == "1700000000123")
        #expect(SidekiqFormat.v7.timestamp(time) == "1700000000.123456")
        #expect(SidekiqFormat.v6.timestamp(time) == "1700000000.123456")
        #expect(Timestamp(sidekiq: SidekiqFormat.v7.timestamp(time)) == time)
    }

    @Test func aNewJobIsWhatSidekiqExpects() throws {
        var options = JobOptions()
        options.retries = 4
        options.retryFor = .seconds(3600)
        let now = Timestamp(microseconds: 1_700_000_000_123_456)
        let new = JobPayload(
            job: "A::B", arguments: Array("[1]".utf8), queue: "q", options: options, format: .v8, now: now)
        let jid = try #require(new.jid)
        #expect(jid.count == 24 && jid.allSatisfy { $0.isHexDigit && !$0.isUppercase })
        #expect(
            String(decoding: new.bytes, as: UTF8.self)
                == "{\"retry\":4,\"retry_for\":3600,\"queue\":\"q\",\"class\":\"A::B\",\"args\":[1],\"jid\":\"\(jid)\","
                + "\"created_at\":1700000000123}")
    }
}
