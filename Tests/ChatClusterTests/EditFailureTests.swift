import ChatCore
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster

/// Whatever the database does to edits in progress, each is stored once or not at all.
@Suite(.timeLimit(.minutes(3))) struct EditFailureTests {
    private func edit(_ test: TestCluster, _ chat: Chat.ID, _ chatNumber: Int64, _ number: Int64, _ body: String)
        -> MessageChange
    {
        MessageChange(
            chat: ChatPlace(id: chat, number: Chat.Number(chatNumber), tenant: test.tenant),
            number: Message.Number(number), action: .edit(MessagePatch(body: body)))
    }

    /// A row that another transaction has locked holds up its own chat alone.
    @Test(arguments: [
        "SELECT * FROM messages WHERE chat_id = ? FOR UPDATE", "SELECT * FROM chat_heads WHERE chat_id = ? FOR UPDATE",
    ])
    func aHeldRowHoldsUpItsChat(_ statement: String) async throws {
        let server = try await MariaDBServer.start()
        try await TestCluster.run(TestCluster.configuration(mysql: server.url())) { test in
            let other = try await test.anotherChat()
            try await test.send(2)
            try await test.send(2, to: other)
            let both = [edit(test, test.chat, 1, 1, "held"), edit(test, other, 2, 1, "free")]
            func revise(_ batch: [MessageChange]) async throws -> [Result<ChangedMessage, ChatError>] {
                try await test.store.revise(batch, at: TestCluster.time, within: .seconds(30))
            }
            for each in [edit(test, test.chat, 1, 2, "x"), edit(test, other, 2, 2, "x")] {
                _ = try await revise([each])[0].get()
            }
            let console = try await MySQLConnection.connect(test.configuration.mysql)
            try await console.perform { console in
                try console.run("START TRANSACTION")
                _ = try console.rows(statement, [.integer(test.chat.rawValue)]) { _ in 0 }
            }
            let results = try await revise(both)
            #expect(results[0] == .failure(.held))
            #expect(try results[1].get().message.body == "free" && results[1].get().message.revision == 2)
            try await console.perform { try $0.run("ROLLBACK") }
            #expect(try await revise([both[0]])[0].get().message.revision == 2)
            await console.close()
            #expect(try await test.verify().problems == [])
        }
    }

    /// Each kill hits the store's connections wherever they are: before, in or after their commit.
    @Test(arguments: ["CONNECTION", "QUERY"])
    func connectionsKilledDuringEdits(_ what: String) async throws {
        let server = try await MariaDBServer.start()
        try await TestCluster.run(TestCluster.configuration(mysql: server.url())) { test in
            let (writers, edits) = (4, 100)
            try await test.send(writers)
            try await withThrowingTaskGroup(of: Bool.self) { tasks in
                for writer in 1...writers {
                    tasks.addTask {
                        for step in 1...edits {
                            let change = edit(test, test.chat, 1, Int64(writer), "\(writer) \(step)")
                            let result = try await test.store.revise(
                                [change], at: TestCluster.time, within: .seconds(60))[0]
                            #expect(try result.get().message.body == "\(writer) \(step)")
                        }
                        return true
                    }
                }
                tasks.addTask {
                    while !Task.isCancelled {
                        let ids = try await server.sql(
                            """
                            SELECT id FROM information_schema.processlist
                            WHERE id <> CONNECTION_ID() AND db = 'luciq' AND (command <> 'Sleep' OR time_ms < 5)
                            """)
                        for id in ids.split(separator: "\n").prefix(2) {
                            _ = try? await server.sql("KILL \(what) \(id)")  // It may have gone meanwhile.
                        }
                    }
                    return false
                }
                var done = 0
                while let isWriter = try await tasks.next() {
                    if isWriter { done += 1 }
                    if done == writers { tasks.cancelAll() }
                }
            }
            // Each edit took one revision, and replaced the one before.
            #expect(try await test.store.revisions(of: [test.chat]) == [test.chat: Int64(writers * edits)])
            for writer in 1...writers {
                let versions = try await test.store.versions(
                    of: Message.Number(Int64(writer)), in: test.chat, page: Page(limit: 1000), since: TestCluster.time)
                #expect(versions.items.dropFirst().map(\.body) == (1..<edits).map { "\(writer) \($0)" })
            }
            #expect(try await test.verify().problems == [])
        }
    }
}
