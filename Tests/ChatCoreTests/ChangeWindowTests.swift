import Testing

@testable import ChatCore

/// What a chat's readers share of its changes.
struct ChangeWindowTests {
    private func message(_ number: Int64, _ revision: Int64, _ body: String = "x") -> Message {
        var message = Message(number: Message.Number(number), body: body, createdAt: Timestamp(microseconds: 1))
        message.revision = revision
        return message
    }

    private func window(_ head: Int64 = 0) -> ChangeWindow {
        var limits = StreamLimits()
        limits.page = .init(messages: 3, bytes: 1000)
        return ChangeWindow(head: head, known: head, limits: limits)
    }

    private func revisions(_ taken: ChangeWindow.Taken) -> [Int64]? {
        if case .events(let events, _, _) = taken { events.map(\.revision) } else { nil }
    }

    /// What the bus tells of without an omission needs no read.
    @Test func theNextChangesNeedNoRead() {
        var window = window()
        window.join(1, after: nil)
        window.receive([message(4, 1), message(2, 2)], reached: 9)
        #expect(window.head == 2 && window.nextRead(reached: 9) == nil)
        // One is missing; and one is of a message that is not there yet.
        window.receive([message(4, 4)], reached: 9)
        #expect(window.head == 2 && window.nextRead(reached: 9) != nil)
        var other = self.window()
        other.receive([message(10, 1)], reached: 9)
        #expect(other.head == 0 && other.nextRead(reached: 9) != nil)
        #expect(revisions(window.take(1, at: 9, in: .all)) == [1, 2])
    }

    /// A change waits until its message has gone out, and those after it wait with it.
    @Test func aChangeWaitsForItsMessage() {
        var window = window()
        window.join(1, after: nil)
        window.see(2)
        #expect(window.startRead(now: .zero, reached: 4) == 0)
        let items = [5, 3].enumerated().map { index, number in
            ChangedItem(kind: .message, number: Int64(number), user: nil, revision: Int64(index + 1))
        }
        let events = [message(5, 1), message(3, 2)].map { ChangeEvent(revision: $0.revision, thing: .message($0)) }
        let early = window.finish(items, events, reached: 4, now: .zero)
        #expect(early.messages.isEmpty && early.waitsFor == 5 && window.head == 0)
        #expect(window.nextRead(reached: 4) == nil && window.nextRead(reached: 5) != nil)
        #expect(window.startRead(now: .zero, reached: 5) == 0)
        #expect(window.finish(items, events, reached: 5, now: .zero).waitsFor == nil && window.head == 2)
        // The same for each reader.
        #expect(revisions(window.take(1, at: 4, in: .all)) == nil)
        #expect(revisions(window.take(1, at: 5, in: .all)) == [1, 2])
        #expect(!window.hasNews(for: 1))
    }

    /// Of each thing the last change is kept: a deleted text does not wait for anybody.
    @Test func theLastChangeOfAThingIsKept() {
        var window = window()
        window.join(1, after: nil)
        window.receive([message(1, 1, "secret")], reached: 9)
        window.receive([message(2, 2)], reached: 9)
        window.receive([message(1, 3, "")], reached: 9)
        #expect(window.count == 2)
        guard case .events(let events, let last, _) = window.take(1, at: 9, in: .all) else {
            Issue.record("there is nothing")
            return
        }
        #expect(events.map(\.revision) == [2, 3] && last == 3)
        #expect(!"\(events)".contains("secret"))
    }

    /// A page ends; what is not there for a reader is passed over; and who is behind the window reads for itself.
    @Test func pages() {
        var window = window(10)
        #expect(window.join(1, after: nil) == 10 && window.join(2, after: 10) == 10 && window.join(3, after: 4) == 4)
        window.receive((11...15).map { message($0, $0) }, reached: 99)
        #expect(revisions(window.take(1, at: 99, in: .all)) == [11, 12, 13])
        #expect(revisions(window.take(1, at: 99, in: .all)) == [14, 15])
        let some = NumberSpan(first: 13, last: 13)
        #expect(revisions(window.take(2, at: 99, in: some)) == [13])
        #expect(window.position(of: 2) == 15)
        guard case .behind(4, goal: 15) = window.take(3, at: 99, in: .all) else {
            Issue.record("it is not behind")
            return
        }
        window.move(3, to: 15, base: 15)
        #expect(!window.hasNews(for: 3))
        window.move(3, to: 12, base: 12)
        #expect(window.position(of: 3) == 15)
        #expect(window.position(of: 4) == nil && !window.hasNews(for: 4))
    }

    /// Without readers nothing is kept, and with one that takes nothing not without end.
    @Test func itIsBounded() {
        var window = window()
        window.receive([message(1, 1)], reached: 9999)
        #expect(window.count == 0 && window.floor == 1)
        window.join(1, after: nil)
        for revision in 2...2000 as ClosedRange<Int64> {
            window.receive([message(revision, revision, String(repeating: "x", count: 2000))], reached: 9999)
        }
        #expect(window.bytes <= 256 << 10 && window.count > 50)
        guard case .behind(1, goal: 2000) = window.take(1, at: 9999, in: .all) else {
            Issue.record("it is not behind")
            return
        }
        window.leave(1)
        window.receive([message(1, 2001)], reached: 9999)
        #expect(window.count == 0 && window.bytes == 0)
    }

    /// A reader that has heard of more, from another process, waits until that is read.
    @Test func aReaderMayBeAhead() {
        var window = window(3)
        window.join(1, after: 5)
        window.see(5)
        #expect(window.isAhead(1) && !window.hasNews(for: 1) && window.nextRead(reached: 9) != nil)
        window.receive([message(1, 4), message(2, 5)], reached: 9)
        #expect(!window.isAhead(1) && !window.hasNews(for: 1))
        window.receive([message(1, 6)], reached: 9)
        #expect(revisions(window.take(1, at: 9, in: .all)) == [6])
    }

    /// A store that fails or lags is asked again, after a while.
    @Test func aReadThatFindsNothing() {
        var window = window()
        window.see(1)
        #expect(window.startRead(now: .zero, reached: 9) == 0)
        #expect(window.startRead(now: .zero, reached: 9) == nil)
        _ = window.finish(nil, [], reached: 9, now: .zero)
        #expect(window.startRead(now: .zero, reached: 9) == nil)
        let next = window.nextRead(reached: 9)
        #expect(next ?? .zero > .zero)
        #expect(window.startRead(now: next ?? .zero, reached: 9) == 0)
        _ = window.finish([], [], reached: 9, now: next ?? .zero)
        #expect(window.head == 0 && window.nextRead(reached: 9) ?? .zero > next ?? .zero)
    }
}
