import Synchronization
import Testing

@testable import ChatCore

/// What readers of a chat share.
struct StreamPageTests {
    private struct Numbers: LiveForm {
        let values: [Int64]
        var bytes: Int { values.count * 8 }
    }
    private struct Count: LiveForm {
        let value: Int
        var bytes: Int { 100 }
    }

    private func page(
        _ numbers: ClosedRange<Int64>, onHold: @escaping @Sendable (Int) -> Void = { _ in }
    ) -> LivePage {
        let messages = numbers.map {
            Message(number: Message.Number($0), body: "x", createdAt: Timestamp(microseconds: 1))
        }
        return LivePage(LiveEvents(.messages(messages), after: Cursor(numbers.lowerBound - 1)), onHold: onHold)
    }

    /// A page's encoding is held once, for as long as the page exists.
    @Test func aFormIsHeldAsLongAsThePage() {
        let held = Mutex<[Int]>([])
        do {
            let page = page(1...3) { bytes in held.withLock { $0.append(bytes) } }
            for _ in 1...2 { _ = page.form { Numbers(values: $0.messages.map(\.number.rawValue)) } }
            _ = page.form { Count(value: $0.count) }
            #expect(held.withLock(\.self) == [24, 100])
        }
        #expect(held.withLock(\.self) == [24, 100, -124])
    }

    /// Each encoding is made once, however many readers ask for it, and is never confused with another.
    @Test func aFormIsMadeOnce() {
        let page = page(1...3)
        var made = 0
        for _ in 1...3 {
            let numbers = page.form { events in
                made += 1
                return Numbers(values: events.messages.map(\.number.rawValue))
            }
            #expect(numbers.values == [1, 2, 3])
            #expect(page.form { Count(value: $0.count) }.value == 3)
        }
        #expect(made == 1)
    }

    @Test func pagesOfOtherNumbersAreNotShared() {
        let page = page(2...4)
        #expect(page.events.isSame(as: self.page(2...4).events))
        #expect(!page.events.isSame(as: self.page(2...5).events))
        #expect(!page.events.isSame(as: self.page(1...4).events))
    }
}
