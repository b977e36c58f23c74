import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// How far others have read, live.
@Suite(.timeLimit(.minutes(4))) struct LiveReceiptsTests {
    typealias Caller = MembersTests.Caller

    /// With the members ann and bob, three messages, and receipts.
    private func run(
        _ kind: BackendKind, _ body: @escaping @Sendable (MembersTests.Scene) async throws -> Void
    ) async throws {
        try await MembersTests.run(kind) { scene in
            for user in ["ann", "bob"] { try await scene.set(user, "member") }
            for text in ["2", "3"] { #expect(try await scene.admin.say(text).status == 201) }
            try await Self.set("members", scene)
            try await body(scene)
        }
    }

    private static func set(_ receipts: String, _ scene: MembersTests.Scene) async throws {
        let changed = try await scene.admin.send("PATCH", "/chats/1", json: "{\"receipts\":\"\(receipts)\"}")
        #expect(changed.status == 200)
    }

    /// All that was marked is told.
    private static func settle(_ scene: MembersTests.Scene) async throws {
        try await eventually("all is told") { scene.server.service.receipts.chatCount == 0 }
    }

    private static func open(_ caller: Caller, _ query: String = "?reads=1") async throws -> LiveClient {
        let stream = try await caller.stream("/chats/1/stream" + query)
        #expect(try await stream.next()?.contains("event: cursor") == true)
        return stream
    }

    /// A snapshot, then what happens: in both transports, and to nobody who has not asked.
    @Test(arguments: BackendKind.allCases)
    func readersAreTold(_ kind: BackendKind) async throws {
        try await run(kind) { scene in
            let (ann, bob) = (scene.caller("ann"), scene.caller("bob"))
            #expect(try await ann.mark(1).status == 200)
            try await Self.settle(scene)
            let stream = try await Self.open(bob)
            let snapshot = #""reads":[{"user":"ann","number":1},{"user":"bob","number":0}]}"#
            #expect(try await stream.next() == "event: reads\ndata: {" + snapshot)
            let old = try await Self.open(bob, "?changes=1")
            let socket = try await scene.admin.socket()
            await socket.send(#"{"type":"subscribe","chat":1,"reads":true}"#)
            #expect(try await socket.next() == #"{"type":"subscribed","chat":1,"cursor":"3"}"#)
            #expect(try await socket.next() == #"{"type":"reads","chat":1,"# + snapshot)
            #expect(try await ann.mark(2).status == 200)
            #expect(try await stream.next() == "event: read\ndata: {\"user\":\"ann\",\"number\":2}")
            #expect(try await socket.next() == #"{"type":"read","chat":1,"user":"ann","number":2}"#)
            // By the application, for one of its users.
            #expect(try await scene.admin.mark(3, as: "bob").status == 200)
            #expect(try await stream.next() == "event: read\ndata: {\"user\":\"bob\",\"number\":3}")
            #expect(try await scene.admin.say("4").status == 201)
            #expect(try await old.next()?.contains("\nid: 4.") == true)
            #expect(try await stream.next()?.hasSuffix("\nid: 4") == true)
        }
    }

    /// That somebody marks messages unread is told to nobody, live or later; and the user itself reads on from there.
    @Test(arguments: BackendKind.allCases)
    func theyOnlyRise(_ kind: BackendKind) async throws {
        try await run(kind) { scene in
            let (ann, bob) = (scene.caller("ann"), scene.caller("bob"))
            #expect(try await ann.mark(3).status == 200)
            try await Self.settle(scene)
            let stream = try await Self.open(bob)
            _ = try await stream.next()
            let lowered = try await ann.mark(json: #"{"number":1,"lower":true,"if":3}"#)
            #expect(lowered.json["number"] as? Int == 1)
            #expect(try await ann.read() == [1, 2])
            #expect(try await bob.mark(1).status == 200)
            #expect(try await stream.next()?.contains(#"{"user":"bob","number":1}"#) == true)
            let snapshot = #"[{"user":"ann","number":3},{"user":"bob","number":1}]"#
            #expect(try await bob.get("/chats/1/reads").text == snapshot)
            #expect(try await ann.mark(json: #"{"number":0,"lower":true,"if":1}"#).status == 200)
            #expect(try await Self.open(bob).next()?.hasSuffix(snapshot + "}") == true)
            #expect(try await ann.mark(2).json["number"] as? Int == 2)
            #expect(try await bob.get("/chats/1/reads").text == snapshot)
            #expect(try await ann.read() == [2, 1])
            #expect(try await scene.admin.say("4").status == 201)
            #expect(try await ann.mark(4).status == 200)
            #expect(try await bob.get("/chats/1/reads").text.contains(#"{"user":"ann","number":4}"#))
        }
    }

    /// Only while the chat has receipts, which may change while somebody listens.
    @Test(arguments: BackendKind.allCases)
    func onlyWhereTheChatSaysSo(_ kind: BackendKind) async throws {
        try await run(kind) { scene in
            let (ann, bob) = (scene.caller("ann"), scene.caller("bob"))
            try await Self.set("off", scene)
            let stream = try await Self.open(bob)
            #expect(try await ann.mark(1).status == 200)
            try await Self.set("members", scene)
            #expect(try await ann.mark(2).status == 200)
            #expect(try await stream.next()?.contains(#"{"user":"ann","number":2}"#) == true)
            try await Self.set("off", scene)
            #expect(try await ann.mark(3).status == 200)
            #expect(try await scene.admin.say("4").status == 201)
            #expect(try await stream.next()?.hasSuffix("\nid: 4") == true)
            try await Self.set("members", scene)
            #expect(try await bob.mark(1).status == 200)
            #expect(try await stream.next()?.contains(#"{"user":"bob","number":1}"#) == true)
        }
    }

    /// Who was removed hears nothing and is told of to nobody; who is banned is none of them; and many members are too many.
    @Test(arguments: BackendKind.allCases)
    func onlyForFewMembers(_ kind: BackendKind) async throws {
        try await run(kind) { scene in
            let (ann, bob, admin) = (scene.caller("ann"), scene.caller("bob"), scene.admin)
            try await scene.set("eve", "banned")
            try await scene.set("new", "member")
            let new = scene.caller("new")
            let (stream, gone) = (try await Self.open(bob), try await Self.open(new))
            let snapshot = try await stream.next()
            #expect(snapshot == (try await gone.next()) && snapshot?.contains("\"eve\"") == false)
            #expect(try await admin.send("DELETE", "/chats/1/members/new").status == 200)
            #expect(try await gone.next()?.contains("event: close") == true)
            #expect(try await new.stream("/chats/1/stream?reads=1").status == 404)
            #expect(try await new.mark(1).status == 200)
            #expect(try await ann.mark(1).status == 200)
            #expect(try await stream.next()?.contains(#"{"user":"ann","number":1}"#) == true)
            for count in 0..<98 { try await scene.set("u\(count)", "reader") }
            #expect(try await ann.mark(2).status == 200)
            try await Self.settle(scene)
            let late = try await Self.open(bob)
            #expect(try await admin.send("DELETE", "/chats/1/members/u0").status == 200)
            #expect(try await bob.mark(3).status == 200)
            for stream in [stream, late] {
                #expect(try await stream.all(until: #""user":"bob","number":3"#).allSatisfy { !$0.contains(":2}") })
            }
        }
    }

    /// A hundred readers who mark all the time cost one publication in a while, which has the last number of each.
    @Test(arguments: BackendKind.allCases)
    func oneIsToldForMany(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.update("chats SET receipts = \(Chat.Receipts.members.rawValue)")
            let users = (0..<100).map { User.ID("u\($0)")! }
            let place = ChatPlace(id: chat, number: Chat.Number(1), tenant: test.tenant, token: test.token)
            let added = try await test.backend.tenantLog.apply(
                users.map { .member(MemberChange(chat: place, user: $0, role: .member)) }, at: TestBackend.time)
            #expect(added.count == 100)
            var watched = test.backend
            let bus = CountingBus(test.backend.bus)
            watched.bus = bus
            let clock = TestClock()
            let receipts = Receipts(backend: watched, time: Timekeeper(clock))
            func note(_ user: User.ID, _ number: Int64) {
                receipts.note(ReadReceipt(user: user, number: number), in: chat, epoch: watched.epoch())
            }
            note(users[0], 1)
            try await clock.waitForSleepers(1)
            #expect(bus.told == [[.read(ReadReceipt(user: users[0], number: 1))]])
            for number in (1...50 as ClosedRange<Int64>).reversed() { for user in users { note(user, number) } }
            #expect(bus.told.count == 1)
            clock.advance(by: Receipts.pause)
            try await clock.waitForSleepers(1)
            #expect(bus.told.count == 2)
            #expect(Set(bus.told[1]) == Set(users.map { .read(ReadReceipt(user: $0, number: 50)) }))
            // Nothing is kept of who says no more.
            clock.advance(by: Receipts.pause)
            try await eventually("it ends") { receipts.chatCount == 0 }
            #expect(bus.told.count == 2)
        }
    }
}

/// Keeps what was published of what passes.
private final class CountingBus: MessageBus {
    private let bus: any MessageBus
    private let signals = Mutex<[[Signal]]>([])

    init(_ bus: any MessageBus) { self.bus = bus }

    var told: [[Signal]] { signals.withLock(\.self) }

    func publish(_ signals: [Signal], in chat: Chat.ID) { self.signals.withLock { $0.append(signals) } }

    var hearing: BusHearing { bus.hearing }
    func listen(_ listener: @escaping @Sendable (BusEvent) -> Void) { bus.listen(listener) }
    func subscribe(to chat: Chat.ID) async -> Bool { await bus.subscribe(to: chat) }
    func unsubscribe(from chat: Chat.ID) async { await bus.unsubscribe(from: chat) }
    func publish(revisions: [Chat.ID: Int64]) { bus.publish(revisions: revisions) }
    func publish(online users: [PresentUser]) { bus.publish(online: users) }
    func revoke(_ principal: Principal, isBlocked: Bool) { bus.revoke(principal, isBlocked: isBlocked) }
    func change(_ tenant: Tenant.ID) { bus.change(tenant) }
    func publish(_ change: MembersChanged) { bus.publish(change) }
}
