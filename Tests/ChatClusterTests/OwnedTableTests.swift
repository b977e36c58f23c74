import ChatCore
import MySQLClient
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// The list that deletions go by, against the schema, and Redis' keys.
@Suite(.timeLimit(.minutes(1))) struct OwnedTableTests {
    /// A table with a column for an owner belongs on the list, or its rows would stay.
    @Test func everyTableWithAnOwnerIsOnTheList() async throws {
        try await TestCluster.run { test in
            let owned = try await test.store.read { connection in
                try connection.rows(
                    """
                    SELECT DISTINCT table_name FROM information_schema.columns
                    WHERE table_schema = DATABASE() AND column_name IN ('application_id', 'chat_id', 'scope_id')
                    """
                ) { $0.text(0) }
            }
            // Each row of `removals` is a deletion under way, and goes with its end.
            #expect(Set(owned).subtracting(["removals"]) == Set(OwnedTable.cluster.map(\.name)))
        }
    }

    /// Else each step of a deletion would scan the table.
    @Test func theOwnersAreIndexed() async throws {
        try await TestCluster.run { test in
            for table in OwnedTable.cluster where table.isIndexed {
                let columns =
                    switch table.owner {
                    case .application: ["application_id"]
                    case .chat: ["chat_id"]
                    case .scope: ["scope", "scope_id"]
                    }
                for (place, column) in columns.enumerated() {
                    let indexes = try await test.sql(
                        """
                        SELECT COUNT(*) FROM information_schema.statistics
                        WHERE table_schema = DATABASE() AND table_name = ? AND seq_in_index = ? AND column_name = ?
                        """, [.text(table.name), .integer(Int64(place + 1)), .text(column)])
                    #expect(indexes[0][0] > 0, "\(table.name).\(column)")
                }
            }
        }
    }

    /// The keys go with their chats, and those that Redis did not delete then are found at the end.
    @Test func keysOfRedisGo() async throws {
        try await TestCluster.run { test in
            try await test.send(5)
            _ = try await test.store.append([NewChat(tenant: test.tenant)], at: TestCluster.time)
            let chat = test.chat.rawValue
            let keys = [
                RedisKey.messagesCount(of: chat), NumberedTable.messages.numberKey(chat),
                NumberedTable.chats.numberKey(test.tenant.rawValue),
            ]
            func present() async throws -> Set<String> {
                var present: Set<String> = []
                for key in keys + ["chat:77777:message_number", "chat:x:message_number", "other"] {
                    if try await test.redis("EXISTS", key).integer == 1 { present.insert(key) }
                }
                return present
            }
            func strays(deletes: Bool) async throws -> Set<String> {
                var (found, cursor): (Set<String>, String?) = ([], nil)
                repeat {
                    let part = try await test.store.strayKeys(from: cursor, deletes: deletes)
                    found.formUnion(part.keys)
                    cursor = part.next
                } while cursor != nil
                return found
            }
            try await eventually("the count is there") { try await present() == Set(keys) }
            // Somebody else's, and one whose chat is gone.
            _ = try await test.redis("SET", "chat:x:message_number", "1")
            _ = try await test.redis("SET", "other", "1")
            #expect(try await strays(deletes: true) == [])
            _ = try await test.redis("SET", "chat:77777:message_number", "1")
            #expect(try await strays(deletes: false) == ["chat:77777:message_number"])
            #expect(try await strays(deletes: true) == ["chat:77777:message_number"])
            #expect(try await strays(deletes: false) == [])

            let now = WallClock.system.now()
            _ = try await test.store.apply([.suspend(test.tenant, deletesAt: TestCluster.time)], at: TestCluster.time)
            #expect(try await test.store.beginRemoval(of: test.tenant, at: now))
            while try await test.store.removeSome(limit: 100, at: now) != nil {}
            #expect(try await present() == ["chat:x:message_number", "other"])
        }
    }
}
