import Testing

@testable import ChatCore

/// The messages kept for readers, and what readers get of them.
struct StreamWindowTests {
    private func window(_ messages: Int = 10, small: Int = 1, page: Int = 4) -> LiveWindow {
        var limits = StreamLimits()
        limits.window = .init(messages: messages, bytes: 10_000)
        limits.smallWindow = .init(messages: small, bytes: 10_000)
        limits.page = .init(messages: page, bytes: 1000)
        return LiveWindow(head: 10, limits: limits)
    }

    private func messages(_ numbers: ClosedRange<Int64>, bytes: Int = 1) -> [Message] {
        numbers.map {
            Message(
                number: Message.Number($0), body: String(repeating: "x", count: bytes),
                createdAt: StreamSimulation.start)
        }
    }

    private func numbers(_ taken: LiveWindow.Taken) -> [Int64]? {
        guard case .messages(let messages) = taken else { return nil }
        return messages.map(\.number.rawValue)
    }

    @Test func pagesAreBoundedInMessagesAndBytes() {
        var window = window()
        #expect(window.join(1, after: nil) == 10)
        window.append(messages(11...16), head: 16)
        #expect(numbers(window.take(1)) == [11, 12, 13, 14])
        #expect(numbers(window.take(1)) == [15, 16])
        guard case .nothing = window.take(1) else { Issue.record("there is nothing"); return }
        window.append(messages(17...18, bytes: 600) + messages(19...19, bytes: 5000), head: 19)
        for number in 17...19 as ClosedRange<Int64> { #expect(numbers(window.take(1)) == [number]) }
        #expect(window.count == 0)
    }

    /// A void head is come up to without a message, and holds nothing back.
    @Test func voidNumbersAreGonePast() {
        var window = window()
        _ = window.join(1, after: nil)
        window.append([], head: 12)
        #expect(window.hasNews(for: 1))
        guard case .nothing = window.take(1) else { Issue.record("there is nothing"); return }
        #expect(!window.hasNews(for: 1))
        window.append(messages(14...14), head: 14)
        #expect(numbers(window.take(1)) == [14])
    }

    /// After a batch larger than the window only readers that had not taken the messages before it are slow.
    @Test(arguments: [false, true]) func aBatchMayBeLargerThanTheWindow(isTight: Bool) {
        var window = window(10, small: 1)
        _ = window.join(1, after: nil)
        _ = window.join(2, after: nil)
        window.append(messages(11...12), head: 12)
        #expect(numbers(window.take(1)) == [11, 12])
        window.append(messages(13...40), head: 40, isTight: isTight)
        guard case .behind(12, goal: 40) = window.take(1) else { Issue.record("it reads from the store"); return }
        switch window.take(2) {
        case .tooSlow: #expect(!isTight)
        case .behind(10, goal: 40): #expect(isTight)
        default: Issue.record("it is behind")
        }
    }

    /// A tenant whose readers hold enough has them read from the store, and ends none of them for it.
    @Test func aReaderWithoutRoomReadsFromTheStore() {
        var window = window(10, small: 1)
        _ = window.join(1, after: nil)
        window.append(messages(11...12), head: 12)
        guard case .behind(10, goal: 12) = window.take(1, isTight: true) else { Issue.record("it is behind"); return }
        window.append(messages(13...40), head: 40)
        guard case .behind(10, goal: 40) = window.take(1) else { Issue.record("it is not too slow"); return }
        window.move(1, to: 40)
        guard case .nothing = window.take(1, isTight: true) else { Issue.record("there is nothing"); return }
        window.append(messages(41...41), head: 41)
        #expect(numbers(window.take(1)) == [41])
    }

    @Test func aCursorAboveTheHeadWaits() {
        var window = window()
        #expect(window.join(1, after: 12) == 12)
        window.append(messages(11...12), head: 12)
        #expect(!window.hasNews(for: 1))
        window.append(messages(13...13), head: 13)
        #expect(numbers(window.take(1)) == [13])
    }

    @Test func whatAReaderOnItsWayNeedsIsKept() {
        var window = window(small: 1)
        _ = window.join(1, after: nil)
        _ = window.join(2, after: 3)
        guard case .behind(3, goal: 10) = window.take(2) else { Issue.record("it is behind"); return }
        for number in 11...15 as ClosedRange<Int64> {
            window.append(messages(number...number), head: number)
            #expect(numbers(window.take(1)) == [number])
        }
        #expect(window.count == 5)
        window.move(2, to: 12)
        #expect(numbers(window.take(2)) == [13, 14, 15])
        #expect(window.count == 0)
    }

    @Test func beyondTheBoundAReaderIsTooSlow() {
        var window = window()
        _ = window.join(1, after: nil)
        for number in 11...20 as ClosedRange<Int64> { window.append(messages(number...number), head: number) }
        #expect(window.count == 10)
        window.append(messages(21...21), head: 21)
        #expect(window.count == 10)
        guard case .tooSlow = window.take(1) else { Issue.record("it is too slow"); return }
    }

    @Test func afterABurstAReaderIsBehind() {
        var window = window()
        _ = window.join(1, after: nil)
        window.append(messages(11...30), head: 30, isBurst: true)
        guard case .behind(10, goal: 30) = window.take(1) else { Issue.record("it is behind"); return }
    }

    /// When all chats together hold too much, each keeps little.
    @Test func tightMeansLittle() {
        var window = window(small: 3)
        _ = window.join(1, after: nil)
        window.append(messages(11...18), head: 18)
        #expect(window.count == 8)
        window.append(messages(19...19), head: 19, isTight: true)
        #expect(window.count == 3)
    }

    /// With many readers the window is not trimmed at every message; it still keeps at most twice what is useful.
    @Test func whatAllHaveIsDropped() {
        var window = window(1000, small: 4)
        for id in 0..<20 as Range<UInt64> { _ = window.join(id, after: nil) }
        for number in 11...200 as ClosedRange<Int64> {
            window.append(messages(number...number), head: number)
            for id in 0..<20 as Range<UInt64> { #expect(numbers(window.take(id)) == [number]) }
            #expect(window.count <= 5)
        }
    }
}
