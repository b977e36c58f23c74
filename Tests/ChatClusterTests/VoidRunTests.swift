import ChatCore
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster

/// Long runs of void numbers: readers do not see them, and no read looks at each.
@Suite(.timeLimit(.minutes(3))) struct VoidRunTests {
    private static let voids: Int64 = 50_000

    /// A chat with messages at both ends and void rows between, as an older server left them.
    private func fill(_ test: TestCluster, voids: Int64 = voids) async throws {
        try await test.send(2)
        try await test.sql(
            """
            INSERT INTO messages (chat_id, number, created_at, updated_at, batch_id)
            SELECT ?, seq + 2, NOW(6), NOW(6), -1 FROM seq_1_to_\(voids)
            """, [.integer(test.chat.rawValue)])
        try await test.sql("UPDATE chats SET void_count = \(voids) WHERE id = ?", [.integer(test.chat.rawValue)])
        #expect(try await test.send(2) == [voids + 3, voids + 4])
    }

    private func runs(_ test: TestCluster, _ table: NumberedTable = .messages) async throws -> [ClosedRange<Int64>] {
        try await test.store.scans.withConnection { connection in
            try connection.rows(
                "SELECT first_number, last_number FROM void_runs WHERE scope = ? ORDER BY scope_id, first_number",
                [.integer(table.scope.rawValue)]
            ) { $0.integer(0)...$0.integer(1) }
        }
    }

    private static let ends: [(page: Page, found: [Int64])] = [
        (Page(), [1, 2, voids + 3, voids + 4]), (Page(order: .desc), [voids + 4, voids + 3, 2, 1]),
        (Page(limit: 1, after: 2), [voids + 3]), (Page(limit: 1, before: voids + 3), [2]),
        (Page(after: 20_000), [voids + 3, voids + 4]), (Page(before: 20_000), [1, 2]),
        (Page(limit: 3), [1, 2, voids + 3]), (Page(after: 2, before: voids + 3), []),
    ]

    /// The rows that the server examines do not grow with the void rows, once a reader has met them.
    @Test func readersJumpOverThem() async throws {
        let server = try await MariaDBServer.start(StatementLog.options)
        try await TestCluster.run(try await TestCluster.configuration(mysql: server.url())) { test in
            let log = StatementLog(server: server, database: "luciq")
            try await fill(test)
            let store = test.store
            // A reader that meets an unrecorded run gets the same result, and the run is recorded.
            for (page, found) in Self.ends {
                try await test.sql("DELETE FROM void_runs")
                let items = try await store.messages(in: test.chat, page: page).items
                #expect(items.map(\.number.rawValue) == found, "\(page)")
            }
            // What was deleted while it was being recorded is recorded again by a later reader.
            try await eventually("they are recorded") {
                _ = try await store.messages(in: test.chat, page: Page())
                return try await runs(test) == [3...Self.voids + 2]
            }
            let limit = StreamLimits().page
            let reads: [(String, () async throws -> Void)] =
                Self.ends.map { page, found in
                    (
                        "\(page)",
                        {
                            let items = try await store.messages(in: test.chat, page: page).items
                            #expect(items.map(\.number.rawValue) == found, "\(page)")
                        }
                    )
                } + [
                    (
                        "search",
                        {
                            let found = try await store.search(
                                SearchQuery(SearchText("m")), in: test.chat, page: Page())
                            #expect(found.items.map(\.number.rawValue) == [1, 2, Self.voids + 3, Self.voids + 4])
                        }
                    ),
                    (
                        "catch-up",
                        {
                            var (head, pages): (Int64, Int) = (0, 0)
                            while let last = try await store.entries(in: test.chat, after: head, limit: limit).last {
                                (head, pages) = (last.last.rawValue, pages + 1)
                            }
                            #expect(head == Self.voids + 4 && pages <= 2)
                        }
                    ),
                ]
            for (name, read) in reads {
                try await read()
                let cost = try await log.during(read)
                // A search reads 1,024 rows at a time, each counted twice.
                #expect(cost.rowsRead <= (name == "search" ? 2100 : 1100), "\(name): \(cost.statements.map(\.text))")
            }
        }
    }

    @Test func theSameOfChats() async throws {
        let server = try await MariaDBServer.start(StatementLog.options)
        try await TestCluster.run(try await TestCluster.configuration(mysql: server.url())) { test in
            let log = StatementLog(server: server, database: "luciq")
            try await test.sql(
                """
                INSERT INTO chats (application_id, number, created_at, updated_at, batch_id)
                SELECT ?, seq + 1, NOW(6), NOW(6), -1 FROM seq_1_to_20000
                """, [.integer(test.tenant.rawValue)])
            #expect(try await test.store.append([NewChat(tenant: test.tenant)], at: TestCluster.time).count == 1)
            for _ in 0..<2 {
                for page in [Page(), Page(before: 20_002), Page(limit: 1, after: 1), Page(after: 7000)] {
                    let found = try await test.store.chats(in: test.tenant, page: page).items.map(\.number.rawValue)
                    #expect(found == [1, 20_002].filter { $0 > page.lowerBound && $0 < page.upperBound })
                }
                try await eventually("they are recorded") { try await runs(test, .chats) == [2...20_001] }
            }
            let cost = try await log.during {
                let page = try await test.store.chats(in: test.tenant, page: Page(after: 1))
                #expect(page.items.count == 1 && page.hasPrevious && !page.hasNext)
            }
            #expect(cost.rowsRead <= 250, "\(cost.statements.map(\.text))")
        }
    }

    /// Whichever runs are recorded or missing, a walk finds the same messages.
    @Test(arguments: 1...12)
    func aWalkFindsWhatIsThere(_ seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        var (messages, voids, last): ([Int64], [Int64], Int64) = ([], [], 0)
        while last < 2000 {
            let count = Int64.random(in: 1...(Bool.random(using: &random) ? 5 : 400), using: &random)
            let numbers = Array(last + 1...last + count)
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1: messages += numbers.prefix(60)
            case 2, 3: voids += numbers
            default: break
            }
            last += count
        }
        var recorded: [ClosedRange<Int64>] = []
        for run in voids.runs where Bool.random(using: &random) {
            let first = Int64.random(in: run, using: &random)
            let part = first...Int64.random(in: first...run.upperBound, using: &random)
            recorded.append(Bool.random(using: &random) ? run : part)
        }
        let pages = (0..<60).map { _ in
            Page(
                limit: [1, 2, 7, 100].randomElement(using: &random)!,
                after: Bool.random(using: &random) ? Int64.random(in: 0...last, using: &random) : nil,
                before: Bool.random(using: &random) ? Int64.random(in: 1...last + 1, using: &random) : nil,
                order: Bool.random(using: &random) ? .asc : .desc)
        }
        let stretches = pages.map { _ in [3, 50, 1 << 17].randomElement(using: &random)! as Int64 }
        let (rows, runs) = (messages.map { ($0, Int64(7)) } + voids.map { ($0, BatchID.void) }, recorded)
        let present = messages
        try await TestCluster.run { test in
            try await test.store.scans.withConnection { connection in
                for some in rows.statements(within: connection.facts.maxPacket) {
                    try connection.execute(
                        """
                        INSERT INTO messages (chat_id, number, body, created_at, updated_at, batch_id)
                        VALUES \(some.map { _ in "(?, ?, 'x', NOW(6), NOW(6), ?)" }.joined(separator: ", "))
                        """,
                        some.flatMap { [.integer(test.chat.rawValue), .integer($0.0), .integer($0.1)] })
                }
                for run in runs {
                    try VoidRuns(table: .messages).record(run, of: test.chat.rawValue, connection)
                }
                for (page, stretch) in zip(pages, stretches) {
                    var walk = NumberedWalk(
                        .messages, of: test.chat.rawValue, page, columns: MessageRow.columns, metVoids: { _ in })
                    walk.blindStretch = stretch
                    var found: [Int64] = []
                    try walk.run(limit: page.limit, connection) { row in
                        found.append(row.integer(0))
                        return true
                    }
                    let all = present.filter { $0 > page.lowerBound && $0 < page.upperBound }
                    let expected = page.walksUp ? Array(all.prefix(page.limit)) : all.suffix(page.limit).reversed()
                    #expect(found == expected, "\(page) by \(stretch), recorded: \(runs)")
                }
            }
        }
    }

    // MARK: Records

    @Test func aLongHoleIsVoidedInFewStatementsAndRecorded() async throws {
        let server = try await MariaDBServer.start(StatementLog.options)
        try await TestCluster.run(try await TestCluster.configuration(mysql: server.url())) { test in
            let log = StatementLog(server: server, database: "luciq")
            try await test.insert(number: 10_001)
            let cost = try await log.during { try await test.store.settle(1...10_000, in: test.chat) }
            // Three transactions: 4,096 rows are 16 statements.
            #expect(cost.statements.count { $0.text.hasPrefix("INSERT INTO messages") } < 60)
            #expect(try await runs(test) == [1...10_000])
            #expect(try await test.store.count(in: test.chat) == 1)
            // A part that was there, and one too short for a record of its own.
            try await test.insert(number: 20_000)
            try await test.store.settle(10_002...10_100, in: test.chat)
            #expect(try await runs(test) == [1...10_000])
            try await test.insert(number: 15_000)
            try await test.store.settle(10_002...19_999, in: test.chat)
            #expect(try await runs(test) == [1...10_000, 10_101...14_999, 15_001...19_999])
            #expect(try await test.verify().isClean)
        }
    }

    @Test func aHoleAmongChatsIsVoidedAndRecorded() async throws {
        try await TestCluster.run { test in
            try await test.sql(
                """
                INSERT INTO chats (application_id, number, created_at, updated_at)
                VALUES (?, 6000, NOW(6) - INTERVAL 100 SECOND, NOW(6))
                """, [.integer(test.tenant.rawValue)])
            try await test.reconcile()
            #expect(try await runs(test, .chats) == [2...5999])
            #expect(
                try await test.store.chats(in: test.tenant, page: Page()).items.map(\.number.rawValue) == [1, 6000])
            #expect(try await test.verify().isClean)
        }
    }

    @Test func whatTouchesBecomesOne() async throws {
        try await TestCluster.run { test in
            let records: [(ClosedRange<Int64>, [ClosedRange<Int64>])] = [
                (10...20, [10...20]), (30...40, [10...20, 30...40]), (12...15, [10...20, 30...40]),
                (21...25, [10...25, 30...40]), (1...9, [1...25, 30...40]), (27...29, [1...25, 27...40]),
                (26...26, [1...40]), (1...40, [1...40]), (50...60, [1...40, 50...60]), (35...70, [1...70]),
            ]
            for (numbers, expected) in records {
                try await test.store.scans.withConnection { connection in
                    try VoidRuns(table: .messages).record(numbers, of: test.chat.rawValue, connection)
                }
                #expect(try await runs(test) == expected, "after \(numbers)")
            }
        }
    }

    /// A frozen writer keeps its own number open, and no other.
    @Test func aStuckWriterKeepsItsOwnNumberOpen() async throws {
        try await TestCluster.run { test in
            try await test.reconcile()
            let insert = """
                INSERT INTO chats (application_id, number, created_at, updated_at)
                VALUES (?, ?, NOW(6) - INTERVAL 100 SECOND, NOW(6))
                """
            try await test.sql(insert, [.integer(test.tenant.rawValue), .integer(500)])
            let other = try await MySQLConnection.connect(test.configuration.mysql)
            try await other.perform { connection in
                try connection.run("START TRANSACTION")
                try connection.execute(insert, [.integer(test.tenant.rawValue), .integer(250)])
            }
            try await test.reconcile()
            let query = "SELECT number FROM chats ORDER BY number"
            #expect(try await test.sql(query).map { $0[0] } == (1...500).filter { $0 != 250 })
            try await other.perform { try $0.run("COMMIT") }
            await other.close()
            #expect(try await test.sql(query).map { $0[0] } == Array(1...500))
            let chats = try await test.store.chats(in: test.tenant, page: Page()).items
            #expect(chats.map(\.number.rawValue) == [1, 250, 500])
        }
    }
}
