import Cryptography
import Foundation
import Logging
import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// Deletions of applications, on both backends.
@Suite(.timeLimit(.minutes(3))) struct RemovalTests {
    /// The parts of a deletion, by hand.
    private final class Bench: Sendable {
        let test: TestBackend
        /// The clock's time is that, or the system's if that is later.
        let now = Mutex(WallClock.system.now())
        let limits: RemovalLimits

        init(_ test: TestBackend, _ limits: RemovalLimits) {
            self.test = test
            self.limits = limits
        }

        var removals: any TenantRemovals { test.backend.removals }

        func remover() -> Remover {
            Remover(
                test.backend.removals, generations: test.backend.generations, engine: nil, limits: limits,
                clock: WallClock { [self] in max(now.withLock(\.self), WallClock.system.now()) },
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        }

        /// Steps until there is nothing to do.
        func run() async throws {
            var state = Remover.State()
            let remover = remover()
            for _ in 0..<10_000 {
                if await remover.step(&state) == limits.pause {
                    #expect(!state.hasFailed)
                    return
                }
            }
            Issue.record("It does not end")
        }

        func report() async throws -> DeletedReport {
            let report = Mutex(DeletedReport())
            try await test.keeper.withRemovals { store in
                let found = try await RemovalVerifier(store).verify(nil)
                report.withLock { $0 = found }
            }
            return report.withLock(\.self)
        }
    }

    private func withBench(_ kind: BackendKind, _ body: (Bench) async throws -> Void) async throws {
        try await TestBackend.run(kind) { test in
            var limits = RemovalLimits()
            limits.rows = 7
            limits.settling = .zero
            limits.patience = .zero
            limits.pause = .seconds(77)
            try await body(Bench(test, limits))
        }
    }

    /// A tenant with rows in every table that belongs to one.
    private func fill(_ test: TestBackend, _ tenant: Tenant.ID, chats: Int = 3) async throws -> [Chat.ID] {
        var made: [Chat.ID] = []
        var members: [TenantChange] = []
        for number in 1...chats {
            let key = try IdempotencyKey("chat \(number)", content: "x".utf8)
            let chat = try await test.backend.newChatLog.append(
                [NewChat(tenant: tenant, key: key)], at: TestBackend.time)[0].get()
            let id = try #require(try await test.backend.chats.id(of: chat.number, in: tenant))
            made.append(id)
            let place = ChatPlace(id: id, number: chat.number, tenant: tenant)
            members.append(.member(MemberChange(chat: place, user: try #require(User.ID("u1")), role: .member)))
            let messages = try (1...20).map { index in
                NewMessage(
                    tenant: tenant, chat: id,
                    content: MessageContent(
                        body: "message \(index)", thread: index == 20 ? Message.Number(1) : nil),
                    key: try IdempotencyKey("\(index)", content: "x".utf8))
            }
            for result in try await test.backend.chatLog.append(messages, at: TestBackend.time) { _ = try result.get() }
            let block = SearchBlock(
                chat: id, span: 1...2, count: 2, oldestAt: TestBackend.time, newestAt: TestBackend.time, numbers: [],
                times: [2, 0], folded: Array("x\0x\0".utf8))
            #expect(try await test.backend.searchIndex.store(block, at: SearchHead()))
            #expect(try await test.backend.readers.advance(LogReader.Name("reader"), in: id, from: 0, to: 3))
            let edits =
                [Int64(5), 6].map { number in
                    MessageChange(
                        chat: place, number: Message.Number(number),
                        action: number == 5 ? .edit(MessagePatch(body: "edited")) : .delete)
                }
                + [
                    .react(Reaction(try #require(Reaction.Name("x")), by: try #require(User.ID("u1")))),
                    .pin(.pin(by: nil)),
                ].map { MessageChange(chat: place, number: Message.Number(7), action: $0) }
            for result in try await test.backend.changes.revise(edits, at: TestBackend.time) { _ = try result.get() }
            let mark = ReadMark(chat: place, user: try #require(User.ID("u1")), number: 3)
            #expect(try await test.backend.reads.mark([mark], within: .seconds(60))[0].get().number == 3)
        }
        let shown = AccessKey.random(.application)
        let stored = ApplicationKey(
            id: shown.id, tenant: tenant, name: "k", digest: shown.digest, scopes: .read, createdAt: TestBackend.time,
            expiresAt: nil)
        _ = try await test.backend.tenantLog.apply(
            [
                .addKey(stored), .revokeKey(stored.id, of: tenant), .update(tenant, pathToken: .credential),
                .audited(
                    .users(.block(try #require(User.ID("u1"))), of: tenant), AuditRecord(.blockUser, by: nil)),
                .users(
                    .addKey(
                        StoredTokenKey(
                            key: try #require(UserTokenKey(id: .random(), .secret(.random()))),
                            createdAt: TestBackend.time)), of: tenant),
            ] + members, at: TestBackend.time)
        return made
    }

    private func makeTenant(_ test: TestBackend) async throws -> (
        id: Tenant.ID, publicID: Tenant.PublicID, token: Tenant.Token
    ) {
        let (token, publicID) = (Tenant.Token.random(), Tenant.PublicID.random())
        _ = try await test.backend.tenantLog.apply(
            [
                .audited(
                    .create(name: "b", token: token, publicID: publicID), AuditRecord(.createApplication, by: nil))
            ], at: TestBackend.time)
        return (try #require(try await test.backend.tenants.id(of: token)), publicID, token)
    }

    /// How many owners of rows there are in each table of the list.
    private func owners(_ test: TestBackend) async throws -> [String: [Int64]] {
        var all: [String: [Int64]] = [:]
        for table in test.backend.removals.ownedTables {
            for kind in table.kinds {
                all["\(table.name) \(kind)"] = try await test.backend.removals.owners(
                    kind, in: table, after: 0, limit: 1000)
            }
        }
        return all
    }

    @Test(arguments: BackendKind.allCases)
    func everythingGoesAndNothingElse(_ kind: BackendKind) async throws {
        try await withBench(kind) { bench in
            let test = bench.test
            let kept = try await fill(test, test.tenant)
            let before = try await owners(test)
            let doomed = try await makeTenant(test)
            let chats = try await fill(test, doomed.id, chats: 5)
            let full = try await owners(test)
            for (table, owners) in before {
                // Void numbers are recorded when there are some, and their runs when they are long.
                if table.hasPrefix("void_runs") || table.hasPrefix("message_voids") { continue }
                #expect(full[table]?.count ?? 0 > owners.count, "\(table) has rows of the application")
            }
            let now = bench.now.withLock(\.self)
            _ = try await test.backend.tenantLog.apply(
                [.suspend(doomed.id, deletesAt: now.adding(.seconds(60)))], at: now)
            // Not yet.
            try await bench.run()
            #expect(try await owners(test) == full)
            #expect(try await bench.report().isClean)
            #expect(try await test.backend.tenants.tenant(doomed.id) != nil)

            bench.now.withLock { $0 = now.adding(.seconds(61)) }
            if kind == .cluster {
                // The database's clock has not come so far, and decides as well.
                try await bench.run()
                #expect(try await owners(test) == full)
                _ = try await test.backend.tenantLog.apply([.resume(doomed.id)], at: now)
                _ = try await test.backend.tenantLog.apply([.suspend(doomed.id, deletesAt: now)], at: now)
            }
            try await bench.run()
            #expect(try await owners(test) == before)
            let report = try await bench.report()
            #expect(report.isClean && report.unfinished == 0, "\(report.problems)")
            #expect(report.tables == test.backend.removals.ownedTables.count && report.owners > 0)
            for name in [Tenant.Name.token(doomed.token), .publicID(doomed.publicID)] {
                #expect(try await test.backend.tenants.identity(of: name) == nil)
            }
            // The others are whole.
            // The block was made up.
            for chat in kept { while try await test.backend.searchIndex.dropBlocks(of: chat) {} }
            let whole = try await test.verify()
            #expect(whole.isClean, "\(whole.problems)")
            for chat in kept { #expect(try await test.list(chat).items.count == 20) }
            // The audit stays, and says what became of it.
            let actions = try await test.backend.audits.audit(of: doomed.publicID, page: Page()).items.map(\.action)
            #expect(actions == ["application.create", "user.block", "application.remove"])
            // Nothing gets its ids.
            let next = try await makeTenant(test)
            let chat = try await test.makeChat(in: next.id)
            #expect(next.id.rawValue > doomed.id.rawValue)
            #expect(chat.rawValue > chats.map(\.rawValue).max() ?? .max)
        }
    }

    /// From the beginning of its deletion on, nothing finds the application or changes it, and it cannot be taken back.
    @Test(arguments: BackendKind.allCases)
    func whatHasBegunIsOver(_ kind: BackendKind) async throws {
        try await withBench(kind) { bench in
            let (test, now) = (bench.test, bench.now.withLock(\.self))
            let doomed = try await makeTenant(test)
            _ = try await fill(test, doomed.id)
            #expect(try await !bench.removals.beginRemoval(of: doomed.id, at: now))
            _ = try await test.backend.tenantLog.apply([.suspend(doomed.id, deletesAt: now)], at: now)
            #expect(try await bench.removals.dueRemoval(at: now)?.tenant == doomed.id)
            #expect(try await bench.removals.beginRemoval(of: doomed.id, at: now))
            #expect(try await !bench.removals.beginRemoval(of: doomed.id, at: now))
            #expect(try await bench.removals.dueRemoval(at: now) == nil)
            #expect(try await test.backend.tenants.identity(of: .token(doomed.token)) == nil)
            #expect(try await test.backend.tenants.tenant(doomed.id) == nil)
            #expect(try await test.backend.tenants.tenants(after: nil, limit: 9)?.tenants.map(\.name) == ["test"])
            for change in [
                TenantChange.resume(doomed.id), .suspend(doomed.id), .update(doomed.id, name: "x"),
                .rotate(doomed.id, to: .random(), oldUntil: now),
            ] {
                let record = AuditRecord(.updateApplication, by: nil)
                let results = try await test.backend.tenantLog.apply([change, .audited(change, record)], at: now)
                #expect(results.map { (try? $0.get()) == nil } == [true, true], "\(change)")
            }
            let report = try await bench.report()
            #expect(!report.isClean && report.unfinished == 1 && report.problemCount == 1)
            try await bench.run()
            #expect(try await bench.report().isClean)
        }
    }

    /// Each step may be the last one of its process; a new one goes on, and steps stay small.
    @Test(arguments: BackendKind.allCases)
    func anyStepMayBeTheLast(_ kind: BackendKind) async throws {
        try await withBench(kind) { bench in
            let (test, now) = (bench.test, bench.now.withLock(\.self))
            let before = try await owners(test)
            let doomed = try await makeTenant(test)
            _ = try await fill(test, doomed.id)
            _ = try await test.backend.tenantLog.apply([.suspend(doomed.id, deletesAt: now)], at: now)
            var steps = 0
            while true {
                // A process that has just started.
                var state = Remover.State()
                if await bench.remover().step(&state) == bench.limits.pause { break }
                #expect(!state.hasFailed)
                steps += 1
                if steps.isMultiple(of: 5) {
                    let report = try await test.verify()
                    #expect(report.isClean, "after \(steps): \(report.problems)")
                }
                try #require(steps < 1000)
            }
            // 60 messages and as many keys, seven at a time.
            #expect(steps > 15)
            let left = try await owners(test)
            // What recorded the change itself is short-lived.
            for (table, owners) in before where !table.hasPrefix("access_changes") {
                #expect(left[table] == owners, "\(table)")
            }
            #expect(try await bench.report().isClean)
        }
    }

    /// Rows and keys that come late, or that something else has left, are found, and go with the next deletion.
    @Test(arguments: BackendKind.allCases)
    func strays(_ kind: BackendKind) async throws {
        try await withBench(kind) { bench in
            let (test, now) = (bench.test, bench.now.withLock(\.self))
            let doomed = try await makeTenant(test)
            let chats = try await fill(test, doomed.id)
            let chat = try #require(chats.first)
            _ = try await test.backend.tenantLog.apply([.suspend(doomed.id, deletesAt: now)], at: now)
            #expect(try await bench.removals.beginRemoval(of: doomed.id, at: now))
            while try await bench.removals.removeSome(limit: 1000, at: now) != nil {}
            #expect(try await bench.removals.removals().map { $0.emptiedAt != nil } == [true])
            // Nobody can write to it any more.
            let late = NewMessage(tenant: doomed.id, chat: chat, body: "late")
            #expect(try await test.backend.chatLog.append([late], at: now) == [.failure(.notFound)])
            #expect(
                try await test.backend.newChatLog.append([NewChat(tenant: doomed.id)], at: now) == [.failure(.notFound)]
            )
            let place = ChatPlace(id: chat, number: Chat.Number(1), tenant: doomed.id)
            let mark = ReadMark(chat: place, user: try #require(User.ID("u1")), number: 1)
            #expect(try await test.backend.reads.mark([mark], within: .seconds(60)) == [.failure(.notFound)])
            let block = SearchBlock(
                chat: chat, span: 1...2, count: 2, oldestAt: now, newestAt: now, numbers: [], times: [2, 0],
                folded: Array("x\0x\0".utf8))
            #expect(try await !test.backend.searchIndex.store(block, at: SearchHead()))
            if kind == .cluster {
                // Without a foreign key, a reader may still write its cursor.
                #expect(try await test.backend.readers.advance(LogReader.Name("late"), in: chat, from: 0, to: 1))
                let found = try await bench.report()
                #expect(found.problems.contains { $0.hasPrefix("log_cursors") && $0.contains("\(chat.rawValue)") })
            } else {
                #expect(try await !test.backend.readers.advance(LogReader.Name("late"), in: chat, from: 0, to: 1))
            }
            try await bench.run()
            let report = try await bench.report()
            #expect(report.isClean, "\(report.problems)")
            #expect(try await bench.removals.removals().isEmpty)
        }
    }

    /// A clock that is right only for a moment begins nothing, unless the request said at once.
    @Test func aJumpingClockDeletesNothing() async throws {
        try await withBench(.sqlite) { bench in
            let (test, now) = (bench.test, bench.now.withLock(\.self))
            let doomed = try await makeTenant(test)
            _ = try await test.backend.tenantLog.apply(
                [.suspend(doomed.id, deletesAt: now.adding(.seconds(30 * 86_400)))], at: now)
            var limits = bench.limits
            limits.patience = .seconds(600)
            let wall = Mutex(now.adding(.seconds(31 * 86_400)))
            let passed = Mutex(Duration.zero)
            let remover = Remover(
                test.backend.removals, generations: test.backend.generations, engine: nil, limits: limits,
                time: Timekeeper(now: { passed.withLock(\.self) }, sleep: { _ in }),
                clock: WallClock { wall.withLock(\.self) },
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            var state = Remover.State()
            func isThere() async throws -> Bool { try await test.backend.tenants.tenant(doomed.id) != nil }
            for (time, day) in [(0, 31), (500, 31), (599, 31), (601, 0), (602, 31), (1100, 31)] {
                passed.withLock { $0 = .seconds(time) }
                wall.withLock { $0 = now.adding(.seconds(day * 86_400)) }
                _ = await remover.step(&state)
                #expect(try await isThere(), "\(time)")
            }
            passed.withLock { $0 = .seconds(1202) }
            _ = await remover.step(&state)
            #expect(try await !isThere())
        }
    }
}
