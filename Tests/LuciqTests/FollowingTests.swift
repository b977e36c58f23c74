import Foundation
import Testing

@testable import LuciqClient
@testable import luciq

/// What the terminal's client prints, without a socket.
@Suite struct FollowingTests {
    private func message(_ number: Int, body: String = "b", at: String = "soon", id: String? = nil) -> ChatUpdate {
        let json = "{\"number\":\(number),\"body\":\"\(body)\",\"created_at\":\"\(at)\"}"
        return event(json, id: id ?? "\(number)")
    }

    private func event(_ json: String, type: String = "message", id: String) -> ChatUpdate {
        .event(ChatEvent(ServerSentEvent(type: type, data: json, id: id))!)
    }

    @Test func everyMessageIsShownOnce() {
        var following = Following(after: "2")
        var shown: [String] = []
        for number in [1, 2, 3, 3, 5, 4, 5, 6] {
            let line = following.take(message(number)).lines
            if !line.isEmpty { shown.append(line) }
        }
        // Do not wait for a missing number; a number that comes late was already seen.
        #expect(shown == ["3  soon  b\n", "5  soon  b\n", "6  soon  b\n"])
    }

    @Test(arguments: [true, false]) func changesAreShownAsTheyCome(_ isWanted: Bool) {
        var following = Following(after: "2.1", hasChanges: isWanted)
        func change(_ id: String, _ content: String) -> String {
            let json = "{\"number\":1,\"parts\":{\"content\":{\(content)},\"new\":1}}"
            return following.take(event(json, type: "message.changed", id: id)).lines
        }
        let shown = [
            change("2.2", #""rev":2,"body":"a\nb","deleted_at":null"#),
            change("2.3", #""rev":3,"body":"","deleted_at":"2026-11-22T16:57:44.194Z""#),
            // It has come late: what is shown is newer.
            change("2.3", #""rev":2,"body":"a\nb","deleted_at":null"#),
        ]
        #expect(shown == (isWanted ? ["1  ~ a↵b\n", "1  ×\n", ""] : ["", "", ""]))
    }

    @Test func eachTroubleIsToldOnce() {
        var following = Following(after: "0")
        func lost(_ sentence: String) -> String? {
            following.take(.lost(CallFailure(sentence: sentence, outlook: .passing()), pause: .seconds(1))).notice
        }
        func connected() -> String? { following.take(.connected).notice }
        #expect(lost("Refused.") == "Refused. Trying again.")
        #expect(lost("Refused.") == nil)
        #expect(lost("Bu\u{1B}sy.") == "Bu␛sy. Trying again.")
        #expect(connected() == "Connected.")
        #expect(lost("Bu\u{1B}sy.") == "Bu␛sy. Trying again.")
        #expect(connected() == "Connected again.")
    }

    /// Numbers are given a second time. What is the same as before is not printed again.
    @Test(arguments: [true, false]) func afterARestoreWhatIsNewIsShown(_ isJSON: Bool) throws {
        var following = Following(after: "1", isJSON: isJSON)
        for number in 2...5 { _ = following.take(message(number, id: "\(number).0")) }
        let rows = [(4, "later"), (3, "soon"), (2, "soon"), (1, "soon")].map {
            "{\"number\":\($0.0),\"body\":\"b\",\"created_at\":\"\($0.1)\"}"
        }
        let json = Array("[\(rows.joined(separator: ","))]".utf8)
        let page = ChatPage(
            messages: try JSONDecoder().decode([ChatMessage].self, from: Data(json)).reversed(), cursor: "e2.4.0",
            hasOlder: false, before: nil, json: json)
        let (lines, notice) = following.take(.loaded(page))
        #expect(lines == (isJSON ? rows[0] : "4  later  b") + "\n")
        #expect(notice == "The server was restored to an earlier state.")
        let next = following.take(message(5, id: "e2.5.0")).lines
        #expect(!next.isEmpty)
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

    @Test func aMessageMayHaveMoreMembers() {
        let json = #"{"x":[1,{}],"number":7,"created_at":"soon\u001b","body":"a\nb"}"#
        var (plain, raw) = (Following(after: "0"), Following(after: "0", isJSON: true))
        let shown = [plain.take(event(json, id: "7")).lines, raw.take(event(json, id: "7")).lines]
        #expect(shown == ["7  soon␛  a↵b\n", json + "\n"])
    }

    @Test func aLineHasTheSender() {
        let json = #"{"number":7,"body":"hi","created_at":"soon","sender":"#
        var (named, unnamed) = (Following(after: "0"), Following(after: "0"))
        let shown = [
            named.take(event(json + #""a\u001b"}"#, id: "7")).lines, unnamed.take(event(json + "null}", id: "7")).lines,
        ]
        #expect(shown == ["7  soon  a␛: hi\n", "7  soon  hi\n"])
    }
}
