import Testing

@testable import ChatCore

/// What passes in a chat, for those who are there.
struct SignalWindowTests {
    private let ann = User.ID("ann")!
    private let ben = User.ID("ben")!

    @Test func aReaderTakesWhatIsNew() {
        var window = SignalWindow()
        window.receive(.typing(ann), now: .zero)
        #expect(window.count == 0)  // Nobody was there.
        window.join(1, hasTyping: true, hasReads: true)
        #expect(!window.hasNews(for: 1) && window.take(1) == [])
        window.receive(.typing(ann), now: .zero)
        window.receive(read(ben, 4), now: .zero)
        window.receive(read(ben, 5), now: .zero)
        window.join(2, hasTyping: true, hasReads: true)
        #expect(window.hasNews(for: 1) && !window.hasNews(for: 2))
        #expect(window.take(1) == [.typing(ann), read(ben, 5)])
        #expect(!window.hasNews(for: 1) && window.take(1) == [])
        #expect(window.take(3) == [] && !window.hasNews(for: 3))
    }

    /// Who reads one kind is not woken by the other.
    @Test func aReaderTakesWhatItAskedFor() {
        var window = SignalWindow()
        window.join(1, hasTyping: true, hasReads: false)
        window.join(2, hasTyping: false, hasReads: true)
        window.receive(.typing(ann), now: .zero)
        #expect(window.hasNews(for: 1) && !window.hasNews(for: 2))
        #expect(window.take(1) == [.typing(ann)] && window.take(2) == [])
        window.receive(read(ben, 4), now: .zero)
        #expect(!window.hasNews(for: 1) && window.hasNews(for: 2))
        #expect(window.take(1) == [] && window.take(2) == [read(ben, 4)])
        // The bus repeats it. After a lower one, which is the user's business, the same is news.
        window.receive(read(ben, 4), now: .zero)
        #expect(!window.hasNews(for: 2))
        for number in [3, 4] as [Int64] { window.receive(read(ben, number), now: .zero) }
        #expect(window.take(2) == [read(ben, 4)])
    }

    /// Who does not keep up still gets the last one of each member, however many there were.
    @Test func theLastReadOfEachIsKept() {
        var window = SignalWindow()
        window.join(1, hasTyping: false, hasReads: true)
        let users = (0..<ChatScope.mostReceipts).map { User.ID("u\($0)")! }
        for number in 1...20 as ClosedRange<Int64> {
            for user in users { window.receive(read(user, number), now: .zero) }
        }
        #expect(window.take(1) == users.map { read($0, 20) })
    }

    private func read(_ user: User.ID, _ number: Int64) -> Signal { .read(ReadReceipt(user: user, number: number)) }

    /// Once in three seconds; again after the user's message, which ends it.
    @Test func typingIsToldNowAndThen() {
        var window = SignalWindow()
        window.join(1, hasTyping: true, hasReads: false)
        for second in 0..<7 { window.receive(.typing(ann), now: .seconds(second)) }
        #expect(window.head == 3)  // At 0, 3 and 6.
        window.receive(.typing(ben), now: .seconds(6))
        window.end(typingOf: ann)
        #expect(window.take(1) == [.typing(ben)])
        window.receive(.typing(ann), now: .seconds(6))
        #expect(window.take(1) == [.typing(ann)])
    }

    @Test func itIsBounded() {
        var window = SignalWindow()
        window.join(1, hasTyping: true, hasReads: true)
        for number in 0..<5000 {
            window.receive(.typing(User.ID("u\(number)")!), now: .milliseconds(number))
            window.receive(read(User.ID("u\(number)")!, 1), now: .milliseconds(number))
        }
        #expect(window.count == 164 && window.take(1).count == 164)
        window.leave(1)
        #expect(window.count == 0)
    }

    @Test func aProcessTellsNowAndThen() {
        let pace = TypingPace(time: .continuous)
        let (one, two) = (Chat.ID(1), Chat.ID(2))
        #expect(pace.mayTell(of: ann, in: one) && !pace.mayTell(of: ann, in: one))
        #expect(pace.mayTell(of: ann, in: two) && pace.mayTell(of: ben, in: one))
    }
}
