import ChatCore
import NIOCore
import Testing

@testable import ChatHTTP

/// Requests and outcomes go in, answers and actions come out; no socket and no store.
struct WebSocketSessionTests {
    /// What a session does, in words.
    private func words(_ actions: [SocketSession.Action]) -> [String] {
        actions.map { action in
            switch action {
            case .answer(let answer): String(buffer: answer.text)
            case .subscribe(_, let chat, let start): "subscribe \(chat.rawValue) \(start.cursor.map { "\($0)" } ?? "-")"
            case .cancel: "cancel"
            case .type(let typing): "type \(typing.chat.rawValue) \(typing.user ?? "-")"
            case .send(let sending):
                "send \(sending.chat.rawValue) \(sending.content.body) \(sending.ref ?? "-")"
                    + (sending.key.map { " key \($0)" } ?? "")
            case .watch(let watching): "watch \(watching.users.joined(separator: " ")) \(watching.number)"
            case .authenticate(let token, let ref): "authenticate \(token) \(ref ?? "-")"
            case .close(let closure): "close \(closure.code.rawValue)"
            case .closeBack(let code): "close back \(code.map { "\($0)" } ?? "-")"
            }
        }
    }

    private func receive(_ session: inout SocketSession, _ text: String) -> [String] {
        words(session.receive(ByteBuffer(string: text)))
    }

    private func subscribe(_ session: inout SocketSession, _ chat: Int) throws -> SocketSession.SubscriptionID {
        let actions = session.receive(ByteBuffer(string: "{\"type\":\"subscribe\",\"chat\":\(chat)}"))
        guard case .subscribe(let id, _, _) = actions.first else { throw CancellationError() }
        return id
    }

    private func sending(_ chat: Int64, _ body: String, _ ref: String? = nil) -> SocketSession.Sending {
        SocketSession.Sending(chat: Chat.Number(chat), content: SocketSession.Content(body: body), ref: ref)
    }

    private func stored(_ number: Int64, isReplay: Bool = false) -> Result<AppendedMessage, any Error> {
        .success(
            AppendedMessage(
                number: Message.Number(number), createdAt: Timestamp(microseconds: 0), isReplay: isReplay))
    }

    @Test func aSubscription() throws {
        var session = SocketSession(limits: LiveLimits())
        #expect(receive(&session, #"{"type":"subscribe","chat":7,"after":"41"}"#) == ["subscribe 7 41"])
        let id = try subscribe(&session, 8)
        #expect(words(session.opened(id, cursor: Cursor(3))) == [#"{"type":"subscribed","chat":8,"cursor":"3"}"#])
        #expect(session.isWanted(id))
        let unsubscribe = #"{"type":"unsubscribe","chat":8,"ref":"u"}"#
        #expect(receive(&session, unsubscribe) == ["cancel", #"{"type":"unsubscribed","chat":8,"ref":"u"}"#])
        #expect(!session.isWanted(id))
        #expect(words(session.ended(id, StreamEnd.cancelled)) == [])
        #expect(receive(&session, unsubscribe)[0].contains(#""ref":"u","chat":8,"code":"not_subscribed""#))
    }

    /// A list of users is answered only if it is refused, and an orderly end waits for it.
    @Test func usersAreWatched() throws {
        var session = SocketSession(limits: LiveLimits())
        let list = #"{"type":"presence","users":["u1","u2"],"ref":"r"}"#
        #expect(receive(&session, list) == ["watch u1 u2 1"])
        #expect(receive(&session, #"{"type":"presence","users":[]}"#) == ["watch  2"])
        let watching = SocketSession.Watching(users: [], ref: "r", number: 1)
        let refusal = words(session.finished(watching, ChatError.presenceOff))
        #expect(refusal.count == 1 && refusal[0].contains(#""ref":"r","code":"presence_off""#))
        #expect(words(session.end(.goingAway)) == [])
        #expect(words(session.finished(watching, nil)) == ["close 1001"])
        #expect(receive(&session, list) == [])
    }

    /// Events of the old subscription do not reach the new one.
    @Test func againAtOnce() throws {
        var session = SocketSession(limits: LiveLimits())
        let old = try subscribe(&session, 7)
        #expect(receive(&session, #"{"type":"subscribe","chat":7}"#)[0].contains("already_subscribed"))
        _ = receive(&session, #"{"type":"unsubscribe","chat":7}"#)
        let new = try subscribe(&session, 7)
        #expect(words(session.opened(old, cursor: Cursor(1))) == [])
        #expect(words(session.ended(old, StreamEnd.slowConsumer)) == [])
        #expect(session.isWanted(new))
    }

    /// A newer token may be good for fewer chats.
    @Test func aNarrowerToken() throws {
        var session = SocketSession(limits: LiveLimits())
        let ids = try [7, 8, 9].map { try subscribe(&session, $0) }
        for id in ids.dropLast() { _ = session.opened(id, cursor: Cursor(1)) }
        let actions = words(session.keep { $0 == Chat.Number(8) })
        #expect(actions.count == 5 && actions[0] == "cancel" && actions[3] == "cancel", "\(actions)")
        #expect(actions[1].contains(#""chat":7,"code":"not_found""#))
        #expect(actions[2] == #"{"type":"unsubscribed","chat":7}"#)
        // It was not open yet: the request is refused.
        #expect(actions[4].contains(#""chat":9,"code":"not_found""#))
        #expect(ids.map { session.isWanted($0) } == [false, true, false])
        #expect(words(session.opened(ids[2], cursor: Cursor(1))) == [])
        for id in [ids[0], ids[2]] { #expect(words(session.ended(id, StreamEnd.cancelled)) == []) }
        #expect(receive(&session, #"{"type":"subscribe","chat":7}"#) == ["subscribe 7 -"])
    }

    /// Cancelled subscriptions count until they have ended.
    @Test func subscriptionsAreBounded() throws {
        var limits = LiveLimits()
        limits.subscriptions = 2
        var session = SocketSession(limits: limits)
        let first = try subscribe(&session, 1)
        _ = try subscribe(&session, 2)
        let third = #"{"type":"subscribe","chat":3,"ref":"r"}"#
        #expect(receive(&session, third)[0].contains(#""ref":"r","chat":3,"code":"too_many_subscriptions""#))
        _ = receive(&session, #"{"type":"unsubscribe","chat":1}"#)
        #expect(receive(&session, third)[0].contains("too_many_subscriptions"))
        _ = session.ended(first, StreamEnd.cancelled)
        #expect(receive(&session, third) == ["subscribe 3 -"])
    }

    @Test func howASubscriptionEnds() throws {
        let ends: [(any Error, [String])] = [
            (StreamEnd.slowConsumer, ["close 4001"]), (StreamEnd.goingAway, ["close 1001"]),
            (StreamEnd.revoked, ["close 4401"]), (StreamEnd.cancelled, []),
            (StreamEnd.notFound, ["not_found"]), (ChatError.notFound, ["not_found"]),
            (ChatError.unavailable(reason: "The store is away"), ["unavailable"]),
            (ChatError.overloaded, ["overloaded"]), (CancellationError(), ["unavailable"]),
        ]
        for (end, expected) in ends {
            var session = SocketSession(limits: LiveLimits())
            let id = try subscribe(&session, 7)
            let said = words(session.ended(id, end))
            #expect(said.count == expected.count)
            for (said, expected) in zip(said, expected) { #expect(said.contains(expected), "\(said)") }
            #expect(!session.isWanted(id))
        }
        var session = SocketSession(limits: LiveLimits())
        let id = try subscribe(&session, 7)
        _ = session.opened(id, cursor: Cursor(0))
        let said = words(session.ended(id, StreamEnd.notFound))
        #expect(said.first?.hasPrefix(#"{"type":"error","ref":null,"chat":7,"code":"not_found""#) == true)
        #expect(said.last == #"{"type":"unsubscribed","chat":7}"#)
    }

    /// One chat's messages are sent one after the other, those of other chats in parallel.
    @Test func messagesKeepTheirOrder() {
        var session = SocketSession(limits: LiveLimits())
        func send(_ chat: Int, _ body: String) -> [String] {
            receive(&session, "{\"type\":\"send\",\"chat\":\(chat),\"ref\":\"\(body)\",\"body\":\"\(body)\"}")
        }
        #expect(send(1, "a") == ["send 1 a a"])
        #expect(send(1, "b") == [])
        #expect(send(2, "c") == ["send 2 c c"])
        #expect(send(1, "d") == [])
        #expect(
            words(session.finished(sending(1, "a", "a"), stored(1))) == [
                #"{"type":"sent","ref":"a","chat":1,"message_number":1}"#, "send 1 b b",
            ])
        let failed = words(session.finished(sending(1, "b", "b"), .failure(ChatError.invalid(["Body can't be blank"]))))
        #expect(
            failed == [
                #"{"type":"error","ref":"b","chat":1,"code":"invalid","detail":"Body can't be blank."}"#, "send 1 d d",
            ])
        #expect(
            words(session.finished(sending(1, "d", "d"), stored(2, isReplay: true))) == [
                #"{"type":"sent","ref":"d","chat":1,"message_number":2,"replayed":true}"#
            ])
        #expect(send(1, "e") == ["send 1 e e"])
    }

    @Test func messagesThatWaitAreBounded() {
        var limits = LiveLimits()
        limits.sends = 2
        var session = SocketSession(limits: limits)
        let send = #"{"type":"send","chat":1,"body":"x"}"#
        #expect(session.mayReceive)
        _ = receive(&session, send)
        _ = receive(&session, send)
        #expect(!session.mayReceive)
        // A request that was already read is not lost.
        _ = receive(&session, send)
        _ = session.finished(sending(1, "x"), stored(1))
        #expect(!session.mayReceive)
        _ = session.finished(sending(1, "x"), stored(2))
        #expect(session.mayReceive)
    }

    /// Requests sent before the end are answered before the end.
    @Test func aGoodEnd() throws {
        for (ending, last) in [(SocketSession.Ending.goingAway, "close 1001"), (.clientsWish(1000), "close back 1000")]
        {
            var session = SocketSession(limits: LiveLimits())
            _ = try subscribe(&session, 7)
            _ = receive(&session, #"{"type":"send","chat":1,"body":"x"}"#)
            _ = receive(&session, #"{"type":"send","chat":1,"body":"y"}"#)
            #expect(words(session.end(ending)) == ["cancel"])
            #expect(receive(&session, #"{"type":"send","chat":1,"body":"z"}"#) == [])
            #expect(words(session.finished(sending(1, "x"), stored(1))).last == "send 1 y -")
            #expect(words(session.finished(sending(1, "y"), stored(2))).last == last)
            #expect(words(session.end(.goingAway)) == [])
        }
        var idle = SocketSession(limits: LiveLimits())
        #expect(words(idle.end(.clientsWish(nil))) == ["close back -"])
    }

    static let refused: [(text: String, answer: String)] = [
        ("", #""ref":null,"code":"malformed_json""#), ("{", #""ref":null,"code":"malformed_json""#),
        ("[]", #""ref":null,"code":"malformed_json""#), ("\"subscribe\"", #""code":"malformed_json""#),
        (#"{"type":"subscribe","chat":1}x"#, #""code":"malformed_json""#),
        (#"{"type":"subscribe","chat":1,}"#, #""code":"malformed_json""#),
        ("{}", #""ref":null,"code":"missing_parameter","detail":"The parameter \"type\""#),
        (#"{"type":"dance","chat":1,"ref":"r"}"#, #""ref":"r","chat":1,"code":"unknown_type""#),
        (#"{"type":"subscribe","ref":"r"}"#, #""ref":"r","code":"missing_parameter","detail":"The parameter \"chat\""#),
        (#"{"type":"send","chat":1,"ref":"r"}"#, #""ref":"r","chat":1,"code":"missing_parameter""#),
        (#"{"type":"subscribe","chat":0}"#, #""code":"not_found""#),
        (#"{"type":"subscribe","chat":-1}"#, #""code":"not_found""#),
        (#"{"type":"subscribe","chat":1.0}"#, #""ref":null,"code":"invalid","detail":"Chat must be an integer.""#),
        (#"{"type":"subscribe","chat":1e0}"#, #""code":"invalid","detail":"Chat must be an integer.""#),
        (#"{"type":"subscribe","chat":"1","ref":"r"}"#, #""ref":"r","code":"invalid","detail":"Chat must be"#),
        (#"{"type":"subscribe","chat":null}"#, #""code":"invalid","detail":"Chat must be an integer.""#),
        (#"{"type":"subscribe","chat":{}}"#, #""code":"invalid","detail":"Chat must be an integer.""#),
        (#"{"type":["send"],"chat":1,"body":"x"}"#, #""chat":1,"code":"invalid","detail":"Type must be a string.""#),
        (#"{"type":"subscribe","chat":9223372036854775808}"#, #""code":"not_found""#),
        (#"{"type":"subscribe","chat":1,"after":"x"}"#, #""chat":1,"code":"invalid","detail":"After must be"#),
        (#"{"type":"subscribe","chat":1,"after":"-1"}"#, #""code":"invalid","detail":"After must be a number"#),
        (#"{"type":"subscribe","chat":1,"after":""}"#, #""code":"invalid""#),
        (#"{"type":"subscribe","chat":1,"after":41}"#, #""code":"invalid","detail":"After must be a string.""#),
        (#"{"type":"send","chat":1,"body":5}"#, #""code":"invalid","detail":"Body must be a string.""#),
        (
            #"{"type":"send","chat":1,"body":null,"ref":"r"}"#,
            #""ref":"r","chat":1,"code":"invalid","detail":"Body must"#
        ),
        (#"{"type":"send","chat":1,"body":"x","ref":7}"#, #""ref":null,"chat":1,"code":"invalid","detail":"Ref must"#),
        (#"{"type":"send","chat":1,"body":"x","key":7,"ref":"r"}"#, #""ref":"r","chat":1,"code":"invalid""#),
        (
            "{\"type\":\"send\",\"chat\":1,\"body\":\"x\",\"ref\":\"\(String(repeating: "r", count: 256))\"}",
            #""ref":null,"chat":1,"code":"invalid","detail":"Ref is too long"#
        ),
    ]

    @Test(arguments: refused.indices)
    func whatIsRefused(_ index: Int) {
        var session = SocketSession(limits: LiveLimits())
        let (text, expected) = Self.refused[index]
        let said = receive(&session, text)
        #expect(said.count == 1 && said[0].hasPrefix(#"{"type":"error","ref":"#), "\(text): \(said)")
        #expect(said.first?.contains(expected) == true, "\(text): \(said)")
    }

    /// A number of the HTTP API is text there; here each member has one type.
    @Test(arguments: [
        (#"{"type":"send","chat":1,"body":"a","body":"b","x":[1,{"y":2}],"ref":null,"key":null}"#, "send 1 b -"),
        (#"{"type":"send","chat":1,"body":"a","ref":"é","key":"k"}"#, "send 1 a é key k"),
        (#"{"type":"send","chat":1,"body":"a","ref":"","key":"1"}"#, "send 1 a  key 1"),
        (#" {"type" : "subscribe", "chat":1, "after":"41" }"#, "subscribe 1 41"),
        (#"{"type":"subscribe","chat":1,"after":null}"#, "subscribe 1 -"),
        (
            #"{"type":"subscribe","chat":9223372036854775807,"after":"9223372036854775807"}"#,
            "subscribe 9223372036854775807 9223372036854775807"
        ),
        (#"{"\u0074ype":"send","chat":1,"body":"\ud83d\ude00"}"#, "send 1 😀 -"),
    ])
    func whatIsTaken(_ text: String, _ expected: String) {
        var session = SocketSession(limits: LiveLimits())
        #expect(receive(&session, text) == [expected])
    }
}
