import ChatCore
import MySQLClient
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// Epochs of cursors in a cluster: a restored database begins one that it never had.
@Suite(.timeLimit(.minutes(3))) struct CursorEpochTests {
    @Test func anEpochIsNeverBegunTwice() async throws {
        let configuration = try await TestCluster.configuration()
        let keeper = MySQLKeeper(configuration, logger: TestCluster.logger)
        _ = try await keeper.migrate()
        func epoch() async throws -> Int64 {
            let backend = try await Backend.cluster(configuration, logger: TestCluster.logger)
            try backend.close()
            return backend.cursorEpoch
        }
        #expect(try await epoch() == 0)
        #expect(try await keeper.newEpoch(above: 0) == 2)
        #expect(try await epoch() == 2)
        #expect(try await keeper.status().epoch == 2)
        // A backup of before comes back: Redis remembers.
        let connection = try await MySQLConnection.connect(configuration.mysql)
        try await connection.perform { _ = try $0.execute("UPDATE deployment SET epoch = 0") }
        #expect(try await keeper.newEpoch(above: 0) == 3)
        // And where Redis was emptied, who knows says it.
        try await connection.perform { _ = try $0.execute("UPDATE deployment SET epoch = 0") }
        try await configuration.withRedis(logger: TestCluster.logger) { _ = try await $0.send(RedisCommand("FLUSHDB")) }
        #expect(try await keeper.newEpoch(above: 3) == 4)
        await connection.close()
    }

    /// `luciq verify` asks for a new epoch when rows are gone that servers had stored; a deletion is none of that.
    @Test func lostRowsAreNoticed() async throws {
        try await TestCluster.run { test in
            let keeper = MySQLKeeper(test.configuration, logger: TestCluster.logger)
            func problems() async throws -> [String] {
                try await keeper.verify(mends: false) { _, _ in }.problems.filter { $0.contains("new-epoch") }
            }
            try await test.send(9)
            var memory = RowMemory(store: test.store)
            #expect(try await !memory.look() && !memory.isAhead)
            #expect(try await !memory.look())
            #expect(try await problems() == [])
            try await test.sql("DELETE FROM messages WHERE number > 5")
            #expect(try await !memory.look())
            // As a backup does it: the next row gets the id of a lost one.
            try await test.sql("ALTER TABLE messages AUTO_INCREMENT = 1")
            #expect(try await memory.look() && memory.isAhead)
            #expect(try await problems() == [RowMemory.problem])
            _ = try await keeper.newEpoch(above: 0)
            #expect(try await problems() == [])
            #expect(try await !memory.look() || !memory.isAhead)
            #expect(try await !memory.look())
        }
    }
}
