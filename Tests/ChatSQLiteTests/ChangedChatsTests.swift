import TestSupport
import Testing

@testable import ChatCore
@testable import ChatSQLite

/// What log readers of this process have not seen, without a look at all chats.
struct ChangedChatsTests {
    private static let (ours, theirs) = (Tenant.ID(1), Tenant.ID(2))
    private static let (one, other): (LogReader.Name, LogReader.Name) = ("one", "other")

    private func batch(_ chats: Int64..., of tenant: Tenant.ID = ours) -> [ChatChange] {
        chats.map { .message(NewMessage(tenant: tenant, chat: Chat.ID($0), body: "m")) }
    }

    /// The chats of a whole sweep; nil if it visits all.
    private func sweep(_ changed: ChangedChats, _ reader: LogReader.Name, limit: Int = 100) -> [Int64]? {
        var sweep = changed.beginSweep(of: reader)
        guard !sweep.isWalk else {
            changed.finish(sweep)
            return nil
        }
        var seen: [Int64] = []
        while sweep.place != nil { seen += (changed.next(of: &sweep, limit: limit) ?? []).map(\.rawValue) }
        changed.finish(sweep)
        return seen.sorted()
    }

    private func unseen(_ changed: ChangedChats, _ reader: LogReader.Name, _ tenant: Tenant.ID = ours) -> [Int64]? {
        changed.unseen(by: reader, in: tenant)?.map(\.rawValue).sorted()
    }

    @Test func aReaderSeesWhatHasChangedSinceItsLastSweepBegan() {
        let changed = ChangedChats()
        changed.see(batch(1, 2))
        #expect(unseen(changed, Self.one) == nil)
        #expect(sweep(changed, Self.one) == nil)
        #expect(unseen(changed, Self.one) == [] && sweep(changed, Self.one) == [])
        changed.see(batch(1))
        changed.see(batch(3, of: Self.theirs))
        changed.see(batch(4, 1))
        #expect(unseen(changed, Self.one) == [1, 4] && unseen(changed, Self.one, Self.theirs) == [3])
        // What changes while it sweeps is the next one's, too.
        var first = changed.beginSweep(of: Self.one)
        changed.see(batch(5))
        #expect(changed.next(of: &first, limit: 100)?.count == 4)
        changed.finish(first)
        #expect(unseen(changed, Self.one) == [5] && unseen(changed, Self.one, Self.theirs) == [])
        // A sweep that was not finished changes nothing.
        _ = changed.beginSweep(of: Self.one)
        #expect(sweep(changed, Self.one) == [5] && sweep(changed, Self.one) == [])
    }

    @Test func aSweepComesInPages() {
        let changed = ChangedChats()
        _ = sweep(changed, Self.one)
        for chat in 1...50 as ClosedRange<Int64> { changed.see(batch(chat, chat + 100)) }
        #expect(sweep(changed, Self.one, limit: 3) == Array(1...50) + Array(101...150))
    }

    /// A reader that is still in its first sweep, of all chats, misses nothing that others have seen meanwhile.
    @Test func readersDoNotTakeFromEachOther() {
        let changed = ChangedChats()
        _ = sweep(changed, Self.one)
        let walk = changed.beginSweep(of: Self.other)
        #expect(walk.isWalk)
        changed.see(batch(7))
        #expect(sweep(changed, Self.one) == [7] && sweep(changed, Self.one) == [])
        changed.finish(walk)
        #expect(unseen(changed, Self.other) == [7] && sweep(changed, Self.other) == [7])
        changed.see(batch(8))
        changed.forget(Self.other)
        #expect(sweep(changed, Self.one) == [8] && unseen(changed, Self.other) == nil)
    }

    /// A reader that is too far behind visits all chats again.
    @Test func whatIsKeptIsBounded() {
        let changed = ChangedChats(most: 10)
        _ = sweep(changed, Self.one)
        changed.see(batch(1))
        var current = changed.beginSweep(of: Self.one)
        for chat in 2...12 as ClosedRange<Int64> { changed.see(batch(chat)) }
        #expect(changed.next(of: &current, limit: 100) == nil && unseen(changed, Self.one) == nil)
        #expect(sweep(changed, Self.one) == nil)
        changed.see(batch(1))
        #expect(sweep(changed, Self.one) == [1])
    }

    /// The sweep of a store that was opened again visits all chats, and the next one only what has changed.
    @Test func sweepsOfAStore() async throws {
        let test = try await TestStore()
        let chats = [try await test.makeChat(), try await test.makeChat()]
        for chat in chats { try await test.send(["m"], to: chat) }
        func visited() async throws -> Set<Chat.ID> {
            var (sweep, seen) = (try await test.store.beginSweep(of: Self.one), Set<Chat.ID>())
            while let chats = try await test.store.nextChats(of: &sweep) { seen.formUnion(chats) }
            try await test.store.finish(sweep)
            return seen
        }
        #expect(try await visited() == Set(chats))
        #expect(try await visited() == [])
        try await test.send(["m"], to: chats[1])
        #expect(try await visited() == [chats[1]])
        // A cursor that another sweep has moved otherwise is looked at again.
        try await test.store.advance(Self.one, [LogMove(chats[0], from: 5, to: 6), LogMove(chats[1], from: 0, to: 2)])
        #expect(try await visited() == [chats[0]])
    }
}
