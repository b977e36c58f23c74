import Testing

@testable import ChatCore

/// What is told of users who are watched.
struct PresenceBoardTests {
    private typealias Event = PresenceBoard.Event

    private let ann = PresentUser(tenant: Tenant.ID(1), user: User.ID("ann")!)
    private let ben = PresentUser(tenant: Tenant.ID(1), user: User.ID("ben")!)

    /// First how each user is, also to those who come later; then changes.
    @Test func aWatchIsToldTheState() {
        var board = PresenceBoard()
        let first = board.join(1, [ann, ben])
        #expect(first.events == [] && first.unknown == [ann, ben])
        #expect(board.see(ann, true, at: 0) == [Event(watch: 1, user: ann.user, isOnline: true)])
        #expect(board.see(ann, true, at: 1) == [])
        let second = board.join(2, [ann, ben])
        #expect(second.events == [Event(watch: 2, user: ann.user, isOnline: true)] && second.unknown == [ben])
        #expect(Set(board.see(ben, false, at: 2).map(\.watch)) == [1, 2])
        #expect(Set(board.see(ann, false, at: 2).map(\.watch)) == [1, 2])
        board.leave(1, [ann, ben])
        #expect(board.see(ben, true, at: 3) == [Event(watch: 2, user: ben.user, isOnline: true)])
        board.leave(2, [ann, ben])
        #expect(board.users == [] && board.see(ann, true, at: 4) == [])
    }

    /// Once in 30 seconds, and the last state in any case.
    @Test func changesArePaced() {
        var board = PresenceBoard()
        _ = board.join(1, [ann])
        #expect(board.see(ann, false, at: 0).count == 1)
        #expect(board.see(ann, true, at: 1).map(\.isOnline) == [true])
        for second in 2...30 {
            #expect(board.see(ann, second.isMultiple(of: 2), at: second) == [], "\(second)")
            #expect(board.takeDue(now: .seconds(second)) == [])
        }
        #expect(board.see(ann, false, at: 30) == [])
        // Whoever comes meanwhile is told what the others were.
        #expect(board.join(2, [ann]).events.map(\.isOnline) == [true])
        #expect(board.takeDue(now: .seconds(31)).map(\.isOnline) == [false, false])
        #expect(board.takeDue(now: .seconds(90)) == [])
        // It came back before that was told.
        #expect(board.see(ann, true, at: 40) == [] && board.see(ann, false, at: 41) == [])
        #expect(board.takeDue(now: .seconds(90)) == [])
    }
}

extension PresenceBoard {
    fileprivate mutating func see(_ user: PresentUser, _ isOnline: Bool, at second: Int) -> [Event] {
        see([user], online: { _ in isOnline }, now: .seconds(second))
    }
}
