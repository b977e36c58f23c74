import ChatCore
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster

/// The order in which creates and changes lock: who waits for whom, and that nobody waits in a circle.
@Suite(.timeLimit(.minutes(3))) struct LockOrderTests {
    private static let users = (0..<6).map { User.ID("u\($0)")! }

    /// A private server, on which no other test takes locks.
    private func run(_ body: (TestCluster, MariaDBServer) async throws -> Void) async throws {
        let server = try await MariaDBServer.start()
        try await TestCluster.run(TestCluster.configuration(mysql: server.url())) { test in
            _ = try await test.store.apply(
                Self.users.map { .users(.add($0), of: test.tenant) }, at: TestCluster.time)
            try await body(test, server)
        }
    }

    private static func audited(_ change: TenantChange) -> TenantChange {
        .audited(change, AuditRecord(.updateUser, by: nil))
    }

    private static func message(_ test: TestCluster, in chat: Chat.ID, by user: User.ID) -> NewMessage {
        NewMessage(
            tenant: test.tenant, chat: chat, content: MessageContent(body: "m", sender: user),
            author: .user(user, tokenIssuedAt: TestCluster.time))
    }

    private static let waiting = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"

    /// What a create shares of its application stops no change of other users or of members.
    @Test func changesOfUsersShareTheApplication() async throws {
        try await run { test, server in
            let other = try await MySQLConnection.connect(test.configuration.mysql)
            let (ann, place) = (Self.users[0], ChatPlace(id: test.chat, number: Chat.Number(1), tenant: test.tenant))
            try await other.perform { other in
                try other.run("START TRANSACTION")
                try other.run("SELECT * FROM applications LOCK IN SHARE MODE")
            }
            let changes: [TenantChange] = [
                .users(.patch(ann, UserPatch(name: "Ann")), of: test.tenant),
                .users(.put(ann, name: "An", metadata: nil), of: test.tenant),
                .users(.block(ann), of: test.tenant), .users(.unblock(ann), of: test.tenant),
                .users(.revoke(ann, upTo: TestCluster.time), of: test.tenant),
                .member(MemberChange(chat: place, user: ann, role: .admin)),
                .chat(ChatUpdate(chat: place, patch: Chat.Patch(name: "n"))),
            ]
            for change in changes {
                let results = try await test.store.apply(
                    [change, Self.audited(change)], at: TestCluster.time, within: .seconds(10))
                #expect(try results[0].get() != .nothing && results[1].get() == .nothing, "\(change)")
            }
            try await other.perform { try $0.run("ROLLBACK") }
            await other.close()
        }
    }

    /// A change of a user that itself waits holds nothing that the creates of others need.
    @Test func createsWaitForNoOthersProfile() async throws {
        try await run { test, server in
            let others = (
                try await MySQLConnection.connect(test.configuration.mysql),
                try await MySQLConnection.connect(test.configuration.mysql)
            )
            try await others.0.perform { other in
                try other.run("START TRANSACTION")
                try other.run("SELECT * FROM users WHERE id = 'u0' FOR UPDATE")
            }
            async let changed = test.store.apply(
                [Self.audited(.users(.patch(Self.users[0], UserPatch(name: "Ann")), of: test.tenant))],
                at: TestCluster.time)
            try await eventually("the change waits") { try await server.sql(Self.waiting) == "1" }
            try await others.1.perform { try $0.run("SELECT * FROM applications LOCK IN SHARE MODE NOWAIT") }
            let stored = try await test.store.append(
                [Self.message(test, in: test.chat, by: Self.users[1])], at: TestCluster.time)
            #expect(try stored[0].get().number.rawValue == 1)
            try await others.0.perform { try $0.run("ROLLBACK") }
            #expect(try await changed[0].get() == .changed)
            await others.0.close()
            await others.1.close()
        }
    }

    /// Creates of users beside changes of the same users, members, chats and application, each in an order of its own.
    @Test(arguments: [true, false])
    func nobodyWaitsInACircle(_ hasNumbers: Bool) async throws {
        try await run { test, server in
            let chats = [test.chat, try await test.anotherChat(), try await test.anotherChat()]
            // Without its Redis, a store locks the chats for its numbers.
            let store = hasNumbers ? test.store : try await MySQLStore(test.configuration, logger: TestCluster.logger)
            let places = chats.indices.map {
                ChatPlace(id: chats[$0], number: Chat.Number(Int64($0 + 1)), tenant: test.tenant)
            }
            @Sendable func change(_ random: inout SeededRandom) -> TenantChange {
                let user = Self.users.randomElement(using: &random)!
                let name = "\(Int.random(in: 0...99, using: &random))"
                switch Int.random(in: 0..<5, using: &random) {
                case 0: return Self.audited(.users(.put(user, name: name, metadata: nil), of: test.tenant))
                case 1: return .users(.unblock(user), of: test.tenant)
                case 2:
                    let role = [Member.Role.admin, .member].randomElement(using: &random)!
                    let place = places.randomElement(using: &random)!
                    return Self.audited(.member(MemberChange(chat: place, user: user, role: role)))
                case 3:
                    let place = places.randomElement(using: &random)!
                    return .chat(ChatUpdate(chat: place, patch: Chat.Patch(name: name)))
                default: return .update(test.tenant, name: name)
                }
            }
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for seed in 0..<3 {
                    tasks.addTask {
                        var random = SeededRandom(seed: UInt64(seed))
                        for _ in 0..<60 {
                            let batch = (0..<8).map { _ in
                                Self.message(
                                    test, in: chats.randomElement(using: &random)!,
                                    by: Self.users.randomElement(using: &random)!)
                            }
                            for result in try await store.append(batch, at: TestCluster.time)
                            where result != .failure(.held) { _ = try result.get() }
                        }
                    }
                    tasks.addTask {
                        var random = SeededRandom(seed: UInt64(100 + seed))
                        for _ in 0..<60 {
                            let batch = (0..<5).map { _ in change(&random) }
                            for result in try await test.store.apply(batch, at: TestCluster.time) {
                                _ = try result.get()
                            }
                        }
                    }
                }
                try await tasks.waitForAll()
            }
            if !hasNumbers { for pool in [store.reads, store.writes, store.scans] { await pool.close() } }
            #expect(try await server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'") == "Innodb_deadlocks\t0")
            // The audit's ids rise as its rows were committed: none was missed by who read it meanwhile.
            #expect(try await test.sql("SELECT COUNT(*) FROM audit")[0][0] > 20)
            #expect(try await test.verify().isClean)
        }
    }

    /// A batch reads all that it needs to know of its users with one statement.
    @Test func aBatchOfUsersIsLookedAtOnce() async throws {
        let server = try await MariaDBServer.start(StatementLog.options)
        try await TestCluster.run(TestCluster.configuration(mysql: server.url())) { test in
            let log = StatementLog(server: server, database: "luciq")
            let users = (0..<60).map { User.ID("user \($0)")! }
            _ = try await test.store.apply(users.map { .users(.add($0), of: test.tenant) }, at: TestCluster.time)
            let chats = [test.chat, try await test.anotherChat(), try await test.anotherChat()]
            for count in [1, 3, 60] {
                let batch = users.prefix(count).flatMap { user in
                    chats.map { Self.message(test, in: $0, by: user) }
                }
                func append() async throws {
                    for result in try await test.store.append(batch, at: TestCluster.time) { _ = try result.get() }
                }
                // Statements are prepared, and numbers known.
                for _ in 0..<8 { try await append() }
                let cost = try await log.during { try await append() }
                let reads = cost.statements.filter { !$0.text.hasPrefix("INSERT") }
                #expect(reads.count == 1, "\(reads.map(\.text))")
                for step in reads.flatMap(\.plan) where !step.table.hasPrefix("<") {
                    #expect(["const", "range"].contains(step.access) && step.key == "PRIMARY", "\(step)")
                }
                // Each user once, and in each of the chats once; found by its key, and the next one seen.
                #expect(cost.rowsRead <= 2 * Int64(count + 3 * count) + 40)
            }
        }
    }
}
