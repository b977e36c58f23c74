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
        window.join(1)
        #expect(!window.hasNews(for: 1) && window.take(1) == [])
        window.receive(.typing(ann), now: .zero)
        window.receive(.read(ben, Message.Number(4)), now: .zero)
        window.receive(.read(ben, Message.Number(5)), now: .zero)
        window.join(2)
        #expect(window.hasNews(for: 1) && !window.hasNews(for: 2))
        #expect(window.take(1) == [.typing(ann), .read(ben, Message.Number(5))])
        #expect(!window.hasNews(for: 1) && window.take(1) == [])
        #expect(window.take(3) == [] && !window.hasNews(for: 3))
    }

    /// Once in three seconds; again after the user's message, which ends it.
    @Test func typingIsToldNowAndThen() {
        var window = SignalWindow()
        window.join(1)
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
        window.join(1)
        for number in 0..<5000 {
            window.receive(.typing(User.ID("u\(number)")!), now: .milliseconds(number))
            window.receive(.read(User.ID("u\(number)")!, Message.Number(1)), now: .milliseconds(number))
        }
        #expect(window.count == 64 && window.take(1).count == 64)
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
