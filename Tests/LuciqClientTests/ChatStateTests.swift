import Foundation
import Testing

@testable import LuciqClient

/// The rule for clients, case by case.
@Suite struct ChatStateTests {
    /// `#expect` cannot call what changes a value.
    @dynamicMemberLookup private final class Held {
        private var state: ChatState

        init(_ state: ChatState = ChatState()) { self.state = state }

        subscript<Value>(dynamicMember path: KeyPath<ChatState, Value>) -> Value { state[keyPath: path] }
        subscript(_ number: Int64) -> ChatMessage? { state[number] }
        @discardableResult func apply(_ event: ChatEvent) -> ChatState.Outcome { state.apply(event) }
        func apply(_ update: ChatUpdate) { state.apply(update) }
        func merge(_ page: ChatPage) -> Bool { state.merge(page) }
        func load(_ page: ChatPage) { state.load(page) }
        func trim(to most: Int) { state.trim(to: most) }
    }

    private func event(_ type: String, _ json: String, id: String = "") throws -> ChatEvent {
        try #require(ChatEvent(ServerSentEvent(type: type, data: json, id: id)))
    }

    private func message(_ number: Int, _ more: String = "", id: String? = nil) throws -> ChatEvent {
        try event(
            "message", "{\"number\":\(number),\"body\":\"m\(number)\",\"created_at\":\"t\"\(more)}",
            id: id ?? "\(number).0")
    }

    private func change(_ number: Int, _ parts: String, id: String) throws -> ChatEvent {
        try event("message.changed", "{\"number\":\(number),\"parts\":{\(parts)}}", id: id)
    }

    private func page(_ numbers: ClosedRange<Int>, cursor: String, hasOlder: Bool, before: Int64? = nil) throws
        -> ChatPage
    {
        let messages = try numbers.map { number in
            guard case .message(let message) = try message(number).content else { throw CancellationError() }
            return message
        }
        return ChatPage(messages: messages, cursor: cursor, hasOlder: hasOlder, before: before)
    }

    @Test func aPartIsTakenUnlessItIsOlder() throws {
        let state = Held()
        #expect(try state.apply(message(1)) == .added)
        #expect(try state.apply(change(1, #""content":{"rev":5,"body":"five"}"#, id: "1.5")) == .changed)
        #expect(try state.apply(change(1, #""content":{"rev":4,"body":"four"}"#, id: "1.5")) == .nothing)
        #expect(state[1]?.body == "five" && state[1]?.revision == 5)
        // The same again is taken: it may have what the first did not tell.
        #expect(try state.apply(change(1, #""content":{"rev":5,"metadata":{"a":1}}"#, id: "1.5")) == .changed)
        #expect(state[1]?.body == "five" && state[1]?.metadata == ["a": 1])
        // Parts have revisions of their own.
        let summary = #"[{"name":"👍","count":1,"users":["u1"],"clipped":false}]"#
        #expect(try state.apply(change(1, "\"reactions\":{\"rev\":3,\"summary\":\(summary)}", id: "1.5")) == .changed)
        #expect(state[1]?.reactions.map(\.name) == ["👍"] && state[1]?.revision == 5)
        // A message that comes again is older than what is held.
        #expect(try state.apply(message(1)) == .nothing)
        #expect(state[1]?.body == "five" && state.messages.count == 1)
    }

    @Test func whatIsLeftOutStays() throws {
        let state = Held()
        state.apply(try message(1, #","metadata":{"a":1},"sender":"ann""#))
        state.apply(try change(1, #""content":{"rev":1,"body":"b","edited_at":"e"}"#, id: "1.1"))
        #expect(state[1]?.metadata == ["a": 1] && state[1]?.editedAt == "e" && state[1]?.sender == "ann")
        // Once there were some, their absence is said.
        state.apply(try change(1, #""content":{"rev":1,"mentions":["ben"]}"#, id: "1.1"))
        #expect(state[1]?.mentions == ["ben"])
        state.apply(try change(1, #""content":{"rev":1,"mentions":[]}"#, id: "1.1"))
        #expect(state[1]?.mentions == [])
        // Null is told, and means that there is none.
        state.apply(try change(1, #""content":{"rev":2,"metadata":null}"#, id: "1.2"))
        #expect(state[1]?.metadata == nil && state[1]?.body == "b")
    }

    @Test func aDeletionTakesTheReactionsAlong() throws {
        let state = Held()
        let reactions = #""reactions":{"rev":1,"summary":[{"name":"a","count":1,"users":[],"clipped":true}]}"#
        state.apply(try message(1, "," + reactions))
        #expect(state[1]?.reactions.count == 1)
        let deleted = #""content":{"rev":2,"body":"","deleted_at":"d","deleted_by":"ann"}"#
        state.apply(try change(1, deleted, id: "1.2"))
        #expect(state[1]?.isDeleted == true && state[1]?.body == "" && state[1]?.reactions == [])
        // One that comes late brings nothing back.
        state.apply(try change(1, reactions, id: "1.2"))
        #expect(state[1]?.reactions == [] && state[1]?.reactionsRevision == 0)
    }

    @Test func theCursorIsTakenOverAfterwardsAndNeverFalls() throws {
        let state = Held()
        state.apply(try event("cursor", #"{"cursor":"41.7"}"#, id: "41.7"))
        #expect(state.cursor == "41.7" && state.head == 41 && state.first == 42 && state.messages.isEmpty)
        #expect(try state.apply(message(43, id: "43.7")) == .added)
        #expect(state.cursor == "43.7" && state.head == 43)
        for id in ["42.9", "43.6", "44", "e2.99.99", "x"] {
            state.apply(try event("later", "{}", id: id))
            #expect(state.cursor == "43.7", "\(id)")
        }
        // An event of a later server, and one that passes.
        state.apply(try event("pin.changed", "?", id: "44.8"))
        #expect(state.cursor == "44.8")
        state.apply(try event("typing", #"{"user":"u1"}"#))
        #expect(state.cursor == "44.8")
    }

    @Test func cursorsOfMessagesAloneAreKeptToo() throws {
        let state = Held(try #require(ChatState(after: "41")))
        #expect(try state.apply(message(41, id: "41")) == .nothing)
        #expect(try state.apply(message(42, id: "42")) == .added)
        #expect(state.cursor == "42" && state.messages.map(\.number) == [42])
        #expect(ChatState(after: "soon") == nil)
        for text in ["", ".", "1.", ".1", "1.2.3.4", "e.1.2", "e2", "-1", "1.-2", "+1", "9223372036854775808"] {
            #expect(ChatCursor(text) == nil, "\(text)")
        }
        #expect(ChatCursor("e2.43.17").map { [$0.epoch, $0.number, $0.revision ?? -1] } == [2, 43, 17])
    }

    /// A page that was read before a change may arrive after it.
    @Test func changesOfWhatIsNotHeldWait() throws {
        let state = Held()
        state.load(try page(8...10, cursor: "10.0", hasOlder: true))
        #expect(state.first == 8 && state.hasOlder)
        let older = try page(1...7, cursor: "10.0", hasOlder: false, before: 8)
        #expect(try state.apply(change(3, #""content":{"rev":1,"body":"three"}"#, id: "10.1")) == .changed)
        #expect(try state.apply(change(3, #""content":{"rev":0,"body":"late"}"#, id: "10.1")) == .nothing)
        #expect(state[3] == nil && state.cursor == "10.1")
        #expect(state.merge(older))
        #expect(state[3]?.body == "three" && state.messages.count == 10 && state.first == 1 && !state.hasOlder)
    }

    @Test func aPageThatDoesNotFitIsRefused() throws {
        let state = Held(ChatState(asideAtMost: 1))
        state.load(try page(8...10, cursor: "10.0", hasOlder: true))
        #expect(try !state.merge(page(1...5, cursor: "10.0", hasOlder: false, before: 6)))
        #expect(try !state.merge(page(1...7, cursor: "e2.10.0", hasOlder: false, before: 8)))
        // Of two changes one had to go: pages of before lack it.
        for (number, revision) in [(3, 1), (4, 2)] {
            state.apply(try change(number, "\"content\":{\"rev\":\(revision),\"body\":\"x\"}", id: "10.\(revision)"))
        }
        #expect(try !state.merge(page(1...7, cursor: "10.0", hasOlder: false, before: 8)))
        #expect(state.messages.map(\.number) == [8, 9, 10])
        #expect(try state.merge(page(1...7, cursor: "10.1", hasOlder: false, before: 8)))
        #expect(state[4]?.body == "x")
    }

    @Test func aListMayHaveWhatIsStillToCome() throws {
        let state = Held()
        // 42 is not stored yet.
        state.load(try page(43...43, cursor: "41.0", hasOlder: true))
        #expect(state.messages.isEmpty && state.head == 41 && state.first == 42)
        #expect(try state.apply(message(42)) == .added && state.apply(message(43)) == .added)
    }

    @Test func theOldestGoFirst() throws {
        let state = Held()
        for number in 1...5 { state.apply(try message(number)) }
        state.apply(try change(2, #""content":{"rev":1,"body":"two"}"#, id: "5.1"))
        state.trim(to: 2)
        #expect(state.messages.map(\.number) == [4, 5] && state.first == 4 && state.hasOlder)
        // What was known of them is not forgotten while a page is under way.
        #expect(try state.merge(page(1...3, cursor: "5.0", hasOlder: false, before: 4)))
        #expect(state[2]?.body == "two")
    }

    @Test func aThreadIsCounted() throws {
        let state = Held()
        state.apply(try message(1))
        state.apply(try message(2, #","thread":1,"root":{"number":1,"reply_count":1,"last_reply":2}"#))
        #expect(state[1]?.replies == .init(count: 1, last: 2) && state[2]?.root == nil)
        state.apply(try message(3, #","thread":1,"in_main":true,"root":{"number":1,"reply_count":2,"last_reply":3}"#))
        #expect(state[1]?.replies == .init(count: 2, last: 3) && state[3]?.isInMain == true)
        // What is older does not count.
        state.apply(try message(2, #","thread":1,"root":{"number":1,"reply_count":1,"last_reply":2}"#))
        #expect(state[1]?.replies?.count == 2)
        // Of two that were stored at once, each may know what the other does not.
        state.apply(try message(4, #","thread":1,"root":{"number":1,"reply_count":4,"last_reply":5}"#))
        state.apply(try message(5, #","thread":1,"root":{"number":1,"reply_count":3,"last_reply":5}"#))
        #expect(state[1]?.replies == .init(count: 4, last: 5))
    }

    @Test func theConnectionIsTold() throws {
        let state = Held()
        #expect(state.connection == .waiting)
        state.apply(.connected)
        #expect(state.connection == .live)
        let failure = CallFailure(sentence: "Away.", outlook: .passing())
        state.apply(.lost(failure, pause: .seconds(1)))
        #expect(state.connection == .lost(failure))
        state.apply(.loaded(try page(1...2, cursor: "e2.2.0", hasOlder: false)))
        #expect(state.connection == .waiting && state.messages.count == 2 && state.cursor == "e2.2.0")
    }
}
