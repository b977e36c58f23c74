import Scheduling
import Testing

@testable import LuciqClient

/// What a reader decides when its stream speaks, or ends; without a socket.
@Suite struct ResumptionTests {
    private func message(id: String) -> ServerSentEvent {
        ServerSentEvent(
            type: "message", data: #"{"number":1,"body":"b","created_at":"2026-11-22T16:57:44.194Z"}"#, id: id)
    }

    private func isPassed(_ step: Resumption.Step) -> Bool { if case .pass = step { true } else { false } }

    @Test func theCursorIsWhatTheServerSays() {
        var resumption = Resumption(after: "0")
        #expect(isPassed(resumption.receive(message(id: "x/1"))) && resumption.cursor == "x/1")
        _ = resumption.receive(message(id: ""))
        #expect(resumption.cursor == "x/1")
        // Of an event of a kind that is not known yet, too. It is handed on.
        let step = resumption.receive(ServerSentEvent(type: "pin.changed", data: "?", id: "x/3"))
        #expect(resumption.cursor == "x/3")
        guard case .pass(let event) = step else {
            Issue.record("it is no event")
            return
        }
        #expect(event.type == "pin.changed" && event.json == "?" && event.content == .other && event.cursor == "x/3")
    }

    @Test func theNextMessageIsWhatTheStreamBeginsWith() throws {
        var (resumption, parser) = (Resumption(after: nil), EventParser())
        #expect(try parser.read("retry: 1000\nid: 41\n".utf8).isEmpty)
        resumption.begin(at: parser.lastID)
        #expect(resumption.cursor == nil)  // The block has not ended.
        #expect(try parser.read("\n".utf8).isEmpty)
        resumption.begin(at: parser.lastID)
        #expect(resumption.cursor == "41")
        #expect(isPassed(resumption.receive(message(id: "42"))))
        resumption.begin(at: "41")
        #expect(resumption.cursor == "42")
    }

    @Test(arguments: [
        (#"{"code":"slow_consumer","reconnect":true}"#, "read too slowly", true),
        (#"{"code":"going_away","reconnect":true}"#, "shutting down", true),
        (#"{"code":"new_word","reconnect":true}"#, "(new_word)", true),
        ("", "(unknown)", true),
        (#"{"code":"not_found","reconnect":false}"#, "for good (not_found)", false),
        (#"{"code":"token_expired","reconnect":false}"#, "for good (token_expired)", false),
    ])
    func goodbyes(_ data: String, _ words: String, _ mayReconnect: Bool) throws {
        var resumption = Resumption(after: "0")
        guard case .fail(let failure) = resumption.receive(ServerSentEvent(type: "close", data: data, id: "")) else {
            Issue.record("it is no failure")
            return
        }
        #expect(failure.sentence.contains(words))
        #expect(failure.isPassing == mayReconnect)
        if mayReconnect {
            #expect(try resumption.lost(failure, retry: nil, chance: 0) == .connect(after: .milliseconds(500)))
        } else {
            #expect(throws: failure) { try resumption.lost(failure, retry: nil, chance: 0) }
        }
    }

    /// Where tokens are renewed, an expired one ends the connection alone.
    @Test func anExpiredTokenIsReplaced() {
        var resumption = Resumption(after: "0", renewsTokens: true)
        let data = #"{"code":"token_expired","reconnect":false}"#
        guard case .fail(let failure) = resumption.receive(ServerSentEvent(type: "close", data: data, id: "")) else {
            Issue.record("it is no failure")
            return
        }
        #expect(failure.isPassing && failure.code == "token_expired")
    }

    @Test func pausesAreAsTheServerAsks() throws {
        var resumption = Resumption(after: "0")
        let busy = CallFailure(sentence: "Busy.", outlook: .passing(asked: .seconds(5)))
        #expect(try resumption.lost(busy, retry: nil, chance: 0) == .connect(after: .seconds(5)))
        // A connection that was there makes the next pause short again, as the stream asked.
        resumption.connected()
        let lost = CallFailure(sentence: "Lost.", outlook: .passing())
        #expect(try resumption.lost(lost, retry: 400, chance: 1) == .connect(after: .milliseconds(400)))
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

    /// A cursor that the server gave and does not know any more is from before a restore; one of somebody else is a
    /// mistake.
    @Test func theChatIsLoadedAnew() throws {
        let refused = CallFailure(sentence: "No.", outlook: .final, status: 409, code: "cursor_epoch")
        var given = Resumption(after: "9.9")
        #expect(throws: refused) { try given.lost(refused, retry: nil, chance: 0) }
        given.connected()
        #expect(try given.lost(refused, retry: nil, chance: 0) == .loadAnew(after: .milliseconds(500)))
        // Not in a circle without a pause.
        given.load(at: "e2.3.0")
        #expect(try given.lost(refused, retry: nil, chance: 0) == .loadAnew(after: .seconds(1)))
        #expect(given.cursor == "e2.3.0")
    }

    @Test(arguments: [
        "", "{}", "[]", "null", #"{"number":1,"body":"x"}"#, #"{"number":-1,"body":"x","created_at":""}"#,
        #"{"number":1.5,"body":"x","created_at":""}"#, #"{"number":1,"body":null,"created_at":""}"#,
        #"{"number":1,"body":"x","created_at":""} x"#,
    ])
    func whatIsNoMessage(_ json: String) {
        var resumption = Resumption(after: "0")
        let failure = CallFailure(sentence: "The server sent something that is not a message.", outlook: .final)
        #expect(resumption.receive(ServerSentEvent(type: "message", data: json, id: "1")) == .fail(failure))
        #expect(resumption.cursor == "0")
    }

    @Test(arguments: ["", "{}", #"{"number":1}"#, #"{"parts":{}}"#, #"{"number":"x","parts":{}}"#])
    func whatIsNoChange(_ json: String) {
        var resumption = Resumption(after: "0")
        let failure = CallFailure(sentence: "The server sent something that is not a change.", outlook: .final)
        #expect(resumption.receive(ServerSentEvent(type: "message.changed", data: json, id: "")) == .fail(failure))
    }
}
