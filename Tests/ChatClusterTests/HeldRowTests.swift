import ChatCore
import Metrics
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster

/// A row that one transaction has locked delays only the creates that need it.
@Suite(.timeLimit(.minutes(2))) struct HeldRowTests {
    /// Two tenants with a chat each, a writer as a server has it, and a console.
    private func run(
        _ body: (TestCluster, _ other: NewMessage, ChatWriter, _ console: MySQLConnection) async throws -> Void
    ) async throws {
        let server = try await MariaDBServer.start()
        try await TestCluster.run(TestCluster.configuration(mysql: server.url())) { test in
            let token = Tenant.Token.random()
            _ = try await test.store.apply([.create(name: "other", token: token)], at: TestCluster.time)
            let tenant = try #require(try await test.store.id(of: token))
            let number = try await test.store.append([NewChat(tenant: tenant)], at: TestCluster.time)[0].get().number
            let chat = try #require(try await test.store.id(of: number, in: tenant))
            var limits = CommitLimits()
            limits.batchesInFlight = ClusterConfiguration.batchesInFlight
            limits.deadline = .seconds(30)
            let writer = ChatWriter(
                name: "messages", limits: limits, logger: TestCluster.logger, metrics: NOOPMetricsHandler.instance
            ) { try await test.store.apply($0, at: TestCluster.time, within: $1) }
            let console = try await MySQLConnection.connect(test.configuration.mysql)
            // Each chat's last row bounds the locks on what comes after it.
            try await test.send(1)
            let first = NewMessage(tenant: tenant, chat: chat, body: "first")
            _ = try await test.store.append([first], at: TestCluster.time)[0].get()
            try await body(test, NewMessage(tenant: tenant, chat: chat, body: "m"), writer, console)
            await console.close()
            #expect(try await test.verify(mends: true).problems == [])
            #expect(try await test.verify().isClean)
        }
    }

    @Test(arguments: [
        "SELECT * FROM chats WHERE id = ? FOR UPDATE",
        "SELECT * FROM messages WHERE chat_id = ? FOR UPDATE",
        "SELECT * FROM application_counts WHERE application_id = (SELECT application_id FROM chats WHERE id = ?) FOR UPDATE",
    ])
    func othersInTheSameBatchGoOn(_ statement: String) async throws {
        try await run { test, other, writer, console in
            let chat = test.chat.rawValue
            try await console.perform { console in
                try console.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                try console.run("START TRANSACTION")
                _ = try console.rows(statement, [.integer(chat)]) { _ in 0 }
                // Those stripes that are not there yet, too.
                guard statement.contains("application_counts") else { return }
                for stripe in 0..<64 {
                    try console.run(
                        """
                        INSERT INTO application_counts VALUES (\(test.tenant.rawValue), \(stripe), 0, 0)
                        ON DUPLICATE KEY UPDATE messages = messages + 0
                        """)
                }
            }
            let held = (0..<5).map { NewMessage(tenant: test.tenant, chat: test.chat, body: "held \($0)") }
            try await withThrowingTaskGroup(of: Int64.self) { tasks in
                for new in held { tasks.addTask { try await writer.send(new).number.rawValue } }
                // In the same batches, beside them and after them.
                for _ in 0..<4 {
                    try await withThrowingTaskGroup(of: Void.self) { others in
                        for _ in 0..<20 { others.addTask { _ = try await writer.send(other) } }
                        try await others.waitForAll()
                    }
                }
                #expect(
                    try await test.sql("SELECT COUNT(*) FROM messages WHERE chat_id = \(other.chat.rawValue)") == [[81]]
                )
                #expect(try await test.storedNumbers() == [1])
                try await console.perform { try $0.run("ROLLBACK") }
                var numbers: Set<Int64> = []
                for try await number in tasks { numbers.insert(number) }
                // Each try had the same numbers.
                #expect(numbers == [2, 3, 4, 5, 6])
            }
        }
    }

    /// A process that froze within its transaction keeps its stripe locked.
    @Test func anotherStripeIsDrawn() async throws {
        try await run { test, _, writer, console in
            let new = NewMessage(tenant: test.tenant, chat: test.chat, body: "m")
            try await console.perform { console in
                try console.run("START TRANSACTION")
                for stripe in 0..<31 {
                    try console.run(
                        """
                        INSERT INTO application_counts VALUES (\(test.tenant.rawValue), \(stripe), 0, 0)
                        ON DUPLICATE KEY UPDATE messages = messages + 0
                        """)
                }
            }
            for _ in 0..<20 { _ = try await writer.send(new) }
            try await console.perform { try $0.run("ROLLBACK") }
            #expect(try await test.store.count(in: test.chat) == 21)
        }
    }

    @Test func aStripeThatIsHeldIsPassedOver() {
        let stripes = CountStripes()
        stripes.avoid(0..<30)
        #expect((0..<500).allSatisfy { _ in stripes.draw() >= 30 })
    }

    /// Batches of any size are stored by few statements, of few sizes.
    @Test func statementsHaveFewSizes() {
        for count in 0...600 {
            let sizes = Array(0..<count).statements(within: 1 << 20).map(\.count)
            #expect(sizes.reduce(0, +) == count && sizes.allSatisfy(rowCounts.contains))
            #expect(count > 256 || sizes.count <= 4)
        }
    }
}

extension ChatWriter {
    fileprivate func send(_ new: NewMessage) async throws -> AppendedMessage {
        switch try await submit(.message(new)) {
        case .message(let appended): appended
        }
    }
}
