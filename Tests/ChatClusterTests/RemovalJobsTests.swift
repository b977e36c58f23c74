import ChatCore
import TestSupport
import Testing

@testable import ChatCluster

/// The jobs of the clock run beside a deletion.
@Suite(.timeLimit(.minutes(2))) struct RemovalJobsTests {
    /// They close gaps below other numbers with void rows. A deletion leaves none.
    @Test func theyFindNoGapsInWhatIsBeingDeleted() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(70)
            try await test.send(60)
            try await test.send(toEach: chats)
            _ = try await test.store.apply([.suspend(test.tenant, deletesAt: TestCluster.time)], at: TestCluster.time)
            let now = WallClock.system.now()
            #expect(try await test.store.beginRemoval(of: test.tenant, at: now))
            let context = test.context(grace: .zero)
            var steps = 0
            while try await test.store.removeSome(limit: 20, at: now) != nil {
                steps += 1
                // As of chats that nobody has counted yet: the jobs do not look below what is counted.
                try await test.sql("UPDATE chats SET counted_number = 0")
                try await test.sync(context)
                try await test.reconcile(context)
                for table in ["messages", "chats"] {
                    let void = try await test.sql("SELECT COUNT(*) FROM \(table) WHERE batch_id < 0")
                    #expect(void == [[0]], "\(table) after \(steps) steps")
                }
            }
            #expect(steps > 5)
            #expect(try await test.sql("SELECT COUNT(*) FROM chats") == [[0]])
        }
    }
}
