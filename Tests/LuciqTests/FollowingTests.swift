import ChatCore
import Foundation
import Scheduling
import Testing

@testable import luciq

/// What the terminal's client decides, without a socket.
@Suite struct FollowingTests {
    private func event(_ number: Int, id: String? = nil) -> ServerSentEvent {
        let json = "{\"number\":\(number),\"body\":\"b\",\"created_at\":\"2026-11-22T16:57:44.194Z\"}"
        return ServerSentEvent(type: "message", data: json, id: id ?? "\(number)")
    }

    private func isShown(_ step: Following.Step) -> Bool { if case .show = step { true } else { false } }

    @Test func everyMessageIsShownOnce() {
        var following = Following(after: Cursor(2))
        #expect(following.cursor == "2")
        let numbers = [1, 2, 3, 3, 5, 4, 5, 6]
        let shown = numbers.filter { isShown(following.receive(event($0))) }
        // Do not wait for a missing number; a number that comes late was already seen.
        #expect(shown == [3, 5, 6])
        #expect(following.cursor == "6")
    }

    @Test func theCursorIsWhatTheServerSays() {
        var following = Following(after: Cursor(0))
        _ = following.receive(event(1, id: "x/1"))
        #expect(following.cursor == "x/1")
        _ = following.receive(event(2, id: ""))
        #expect(following.cursor == "x/1")
        // Of an event of a kind that is not known yet, too.
        #expect(following.receive(ServerSentEvent(type: "edit", data: "?", id: "x/3")) == .nothing)
        #expect(following.cursor == "x/3")
    }

    @Test func changesAreShownAsTheyCome() {
        var following = Following(after: Cursor(2, revision: 1))
        #expect(following.cursor == "2.1")
        func change(_ id: String, _ content: String) -> String? {
            let event = ServerSentEvent(
                type: "message.changed", data: "{\"number\":1,\"parts\":{\"content\":{\(content)},\"new\":1}}", id: id)
            guard case .showChange(let change) = following.receive(event) else { return nil }
            return change.line
        }
        #expect(change("2.2", #""rev":2,"body":"a\nb","deleted_at":null"#) == "1  ~ a↵b")
        #expect(change("2.3", #""rev":3,"body":"","deleted_at":"2026-11-22T16:57:44.194Z""#) == "1  ×")
        #expect(following.cursor == "2.3")
        for data in ["", "{}", #"{"number":1}"#, #"{"parts":{}}"#, #"{"number":"x","parts":{}}"#] {
            let step = following.receive(ServerSentEvent(type: "message.changed", data: data, id: ""))
            guard case .fail = step else {
                Issue.record("\(data)")
                continue
            }
        }
    }

    @Test func theNextMessageIsWhatTheStreamBeginsWith() throws {
        var (following, parser) = (Following(after: nil), EventParser())
        #expect(try parser.read("retry: 1000\nid: 41\n".utf8).isEmpty)
        following.begin(at: parser.lastID)
        #expect(following.cursor == nil)  // The block has not ended.
        #expect(try parser.read("\n".utf8).isEmpty)
        following.begin(at: parser.lastID)
        #expect(following.cursor == "41")
        #expect(isShown(following.receive(event(42))))
        following.begin(at: "41")
        #expect(following.cursor == "42")
    }

    @Test(arguments: [
        (#"{"code":"slow_consumer","reconnect":true}"#, "read too slowly", true),
        (#"{"code":"going_away","reconnect":true}"#, "shutting down", true),
        (#"{"code":"new_word","reconnect":true}"#, "(new_word)", true),
        (#"{"code":"new\u001bword"}"#, "(new␛word)", true),
        ("", "(unknown)", true),
        (#"{"code":"not_found","reconnect":false}"#, "for good (not_found)", false),
    ])
    func goodbyes(_ data: String, _ words: String, _ mayReconnect: Bool) throws {
        var following = Following(after: Cursor(0))
        guard case .fail(let failure) = following.receive(ServerSentEvent(type: "close", data: data, id: "")) else {
            Issue.record("it is no failure")
            return
        }
        #expect(failure.sentence.contains(words))
        #expect(failure.isPassing == mayReconnect)
        if mayReconnect {
            #expect(try following.lost(failure, retry: nil, chance: 0).pause > .zero)
        } else {
            #expect(throws: failure) { try following.lost(failure, retry: nil, chance: 0) }
        }
    }

    @Test func eachTroubleIsToldOnce() throws {
        var following = Following(after: Cursor(0))
        let refused = CallFailure(sentence: "Refused.", outlook: .passing())
        let busy = CallFailure(sentence: "Busy.", outlook: .passing(asked: .seconds(5)))
        #expect(try following.lost(refused, retry: nil, chance: 1).notice == "Refused. Trying again.")
        #expect(try following.lost(refused, retry: nil, chance: 1).notice == nil)
        let third = try following.lost(busy, retry: nil, chance: 0)
        #expect(third.notice == "Busy. Trying again.")
        #expect(third.pause == .seconds(5))
        #expect(following.connected() == "Connected.")
        #expect(try following.lost(busy, retry: nil, chance: 0).notice == "Busy. Trying again.")
        #expect(following.connected() == "Connected again.")
        // A connection that was there makes the next pause short again, as the stream asked.
        #expect(try following.lost(refused, retry: 400, chance: 1).pause == .milliseconds(400))
    }

    @Test func pausesGrowAndDiffer() {
        for chance in [0, 0.3, 1.0] {
            var backoff = Backoff(first: .seconds(1))
            let full: [Duration] = [1, 2, 4, 8, 10, 10, 10].map { .seconds($0) }
            for whole in full { #expect(backoff.pause(asked: nil, chance: chance) == whole * (0.5 + chance / 2)) }
            for _ in 0..<100 { #expect(backoff.pause(asked: nil, chance: chance) <= .seconds(10)) }
            // The client respects the pause that a server asks for, within bounds.
            #expect(backoff.pause(asked: .seconds(30), chance: chance) == .seconds(30))
            #expect(backoff.pause(asked: .seconds(86_400), chance: chance) == .seconds(60))
            backoff.reset()
            #expect(backoff.pause(asked: nil, chance: chance) == .seconds(1) * (0.5 + chance / 2))
        }
    }

    @Test(arguments: [
        ("plain text, é 漢 👩‍👩‍👧 \u{200F}שלום", "plain text, é 漢 👩‍👩‍👧 \u{200F}שלום"),
        ("a\nb\r\nc\rd\te", "a↵b↵c␍d e"),
        ("\u{1B}[2J\u{1B}]0;title\u{7}\u{0}\u{7F}", "␛[2J␛]0;title␇␀␡"),
        ("\u{9B}31m \u{85} \u{2028}", "\u{FFFD}31m ↵ ↵"),
        ("\u{202E}evil\u{202C} \u{2066}x\u{2069}", "\u{FFFD}evil\u{FFFD} \u{FFFD}x\u{FFFD}"),
    ])
    func nothingIsObeyed(_ body: String, _ shown: String) { #expect(body.printable == shown) }

    @Test func jsonStaysTheSameValueOnOneLine() throws {
        let body = "\u{9B}31m \u{202E}x\u{7F} \"\\ \u{1B}[2J\n é"
        let json = "{ \"body\":\n" + String(decoding: try JSONEncoder().encode(body), as: UTF8.self) + "\r\n}"
        let shown = json.printableJSON
        #expect(shown.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) })
        #expect(!shown.contains("\u{202E}"))
        #expect(try JSONDecoder().decode([String: String].self, from: Data(shown.utf8)) == ["body": body])
    }

    @Test(arguments: [
        "", "{}", "[]", "null", #"{"number":1,"body":"x"}"#, #"{"number":-1,"body":"x","created_at":""}"#,
        #"{"number":1.5,"body":"x","created_at":""}"#, #"{"number":1,"body":null,"created_at":""}"#,
        #"{"number":1,"body":"x","created_at":""} x"#,
    ])
    func whatIsNoMessage(_ json: String) {
        #expect(ReceivedMessage(json: json) == nil)
        var following = Following(after: Cursor(0))
        let step = following.receive(ServerSentEvent(type: "message", data: json, id: "1"))
        guard case .fail(let failure) = step else {
            Issue.record("it is no failure")
            return
        }
        #expect(failure.outlook == .final)
    }

    @Test func aMessageMayHaveMoreMembers() throws {
        let json = #"{"x":[1,{}],"number":7,"created_at":"soon\u001b","body":"a\nb"}"#
        let message = try #require(ReceivedMessage(json: json))
        #expect(message.line == "7  soon␛  a↵b")
        #expect(message.json == json)
    }

    @Test func aLineHasTheSender() {
        let json = #"{"number":7,"body":"hi","created_at":"soon","sender":"#
        #expect(ReceivedMessage(json: json + #""a\u001b"}"#)?.line == "7  soon  a␛: hi")
        #expect(ReceivedMessage(json: json + "null}")?.line == "7  soon  hi")
    }
}
