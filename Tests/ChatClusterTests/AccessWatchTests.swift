import Metrics
import MySQLClient
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// Changes of access reach the other processes without Redis, by the table `access_changes`; and databases of before.
@Suite(.timeLimit(.minutes(3))) struct AccessWatchTests {
    private static let serverKey = AccessKey.random(.admin)

    /// Two processes on one database, as `luciq serve` runs them.
    private func run(
        redis: [String], interval: Duration = .milliseconds(100),
        _ body: @Sendable ([ChatService], ClusterConfiguration) async throws -> Void
    ) async throws {
        let mysql = try await SharedServers.freshDatabase()
        var services: [ChatService] = []
        var configuration = try await TestCluster.configuration(mysql: mysql, redis: redis[0])
        for url in redis {
            configuration = try await TestCluster.configuration(mysql: mysql, redis: url)
            configuration.migrates = true
            configuration.accessInterval = interval
            let backend = try await Backend.cluster(configuration, logger: TestCluster.logger)
            services.append(
                ChatService(
                    backend: backend, policy: AccessPolicy(adminKeys: [Self.serverKey], isOpen: true),
                    logger: TestCluster.logger, metrics: NOOPMetricsHandler.instance))
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: services.flatMap(\.services), logger: TestCluster.logger)
        )
        try await withThrowingTaskGroup(of: Void.self) { [services, configuration] tasks in
            tasks.addTask { try await group.run() }
            let result: Result<Void, any Error>
            do { result = .success(try await body(services, configuration)) } catch { result = .failure(error) }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            try result.get()
        }
    }

    /// A key and the token, known to the second process and open there, are revoked on the first.
    private func expectRevocations(_ services: [ChatService], during outage: () async throws -> Void) async throws {
        let new = try await services[0].createTenant(name: "a")
        let byToken = Credentials(application: new.token.text[...])
        let owner = try await services[0].access(byToken).tenant
        let (revoked, kept) = (
            try await owner.createKey(name: "a", scopes: .all).shown,
            try await owner.createKey(name: "b", scopes: .all).shown
        )
        func credentials(_ key: AccessKey) -> Credentials {
            Credentials(application: new.publicID.text[...], authorization: .key(key))
        }
        let ended = Mutex<[String]>([])
        var openings: [Opening] = []
        for (name, shown) in [("revoked", credentials(revoked)), ("kept", credentials(kept)), ("token", byToken)] {
            let opening = try await services[1].access(shown).open()
            opening.whenRevoked { ended.withLock { $0.append(name) } }
            openings.append(opening)
        }
        let signing = try await owner.createTokenKey().key
        guard case .secret(let secret) = signing.material else { throw ChatError.notFound }
        func user(_ name: String) -> Credentials {
            let now = WallClock.system.now()
            let token = UserToken.sign(
                for: User.ID(name)!, audience: new.publicID.text, issuedAt: now, expiresAt: now.adding(.seconds(600)),
                keyID: signing.id, secret: secret)
            return Credentials(application: new.publicID.text[...], authorization: .userToken(token))
        }
        for name in ["blocked", "revoked user", "user"] {
            let opening = try await services[1].access(user(name)).open()
            opening.whenRevoked { ended.withLock { $0.append(name) } }
            openings.append(opening)
        }
        try await outage()
        _ = try await owner.block(User.ID("blocked")!)
        try await eventually("a user ends") { ended.withLock(\.self) == ["blocked"] }
        await #expect(throws: ChatError.userBlocked) { try await services[1].access(user("blocked")) }
        _ = try await owner.revokeTokens(of: User.ID("revoked user")!)
        try await eventually("the next ends") { ended.withLock(\.self) == ["blocked", "revoked user"] }
        await #expect(throws: ChatError.unauthorized(.userToken(.revoked))) {
            try await services[1].access(user("revoked user"))
        }
        _ = try await owner.endTokenKey(signing.id, .revoked)
        try await eventually("the last ends") { ended.withLock(\.self) == ["blocked", "revoked user", "user"] }
        await #expect(throws: ChatError.unauthorized(.userToken(.revoked))) {
            try await services[1].access(user("user"))
        }
        ended.withLock { $0 = [] }
        _ = try await owner.revokeKey(revoked.id.text[...])
        try await eventually("the key ends") { ended.withLock(\.self) == ["revoked"] }
        await #expect(throws: ChatError.unauthorized(.revoked)) { try await services[1].access(credentials(revoked)) }
        _ = try await owner.update(pathToken: .identifier)
        try await eventually("the token ends") { ended.withLock(\.self) == ["revoked", "token"] }
        await #expect(throws: ChatError.unauthorized(.required)) { try await services[1].access(byToken) }
        // The kept key's application is suspended, and its token replaced.
        let admin = try await services[0].access(
            Credentials(application: new.publicID.text[...], authorization: .key(Self.serverKey))
        ).tenant
        _ = try await admin.suspend()
        try await eventually("the key ends") { ended.withLock(\.self) == ["revoked", "token", "kept"] }
        await #expect(throws: ChatError.suspended) { try await services[1].access(credentials(kept)) }
        _ = try await admin.resume()
        try await eventually("it is back") { (try? await services[1].access(credentials(kept))) != nil }
        _ = try await admin.update(pathToken: .credential)
        try await eventually("the token is back") { (try? await services[1].access(byToken)) != nil }
        let old = try await services[1].access(byToken).open()
        old.whenRevoked { ended.withLock { $0.append("old") } }
        let current = try await admin.rotate(overlap: 0).token
        try await eventually("the old token ends") { ended.withLock(\.self) == ["revoked", "token", "kept", "old"] }
        await #expect(throws: ChatError.notFound) { try await services[1].access(byToken) }
        #expect(
            try await services[1].access(Credentials(application: current.text[...])).principal == .pathToken(current))
        withExtendedLifetime(old) {}
        // Looking again ends nothing else.
        let again = try await services[1].access(credentials(kept)).open()
        again.whenRevoked { ended.withLock { $0.append("again") } }
        await services[1].authenticator.review(owner.id)
        #expect(ended.withLock(\.self) == ["revoked", "token", "kept", "old"])
        withExtendedLifetime((openings, again)) {}
    }

    @Test func withoutRedis() async throws {
        try await run(redis: [TestDatabase.deadRedis, TestDatabase.deadRedis]) { services, _ in
            try await expectRevocations(services) {}
        }
    }

    /// With the interval of the product. Redis loses all that it has and its connections, and does not come back.
    @Test func whenRedisIsWiped() async throws {
        let redis = try await RedisServer.start()
        try await run(redis: [redis.url(), redis.url()], interval: .seconds(4)) { services, _ in
            try await expectRevocations(services) {
                _ = try await redis.cli("FLUSHALL")
                await redis.stop()
            }
        }
    }

    /// A publisher without Redis publishes nothing; the other process, which has it, cannot know.
    @Test func fromAProcessWithoutRedis() async throws {
        let redis = try await RedisServer.start()
        try await run(redis: [TestDatabase.deadRedis, redis.url()]) { services, _ in
            try await expectRevocations(services) {}
        }
    }

    /// Applications of servers of before, which do not know the column.
    @Test func applicationsOfBeforeGetPublicIDs() async throws {
        let configuration = try await TestCluster.configuration()
        let keeper = MySQLKeeper(configuration, logger: TestCluster.logger)
        _ = try await keeper.migrate()
        @Sendable func insert(_ count: Int) async throws {
            try await TestDatabase.perform(configuration) { connection in
                for _ in 0..<count {
                    try connection.execute(
                        "INSERT INTO applications (name, token, created_at, updated_at) VALUES ('a', ?, NOW(6), NOW(6))",
                        [.text(Tenant.Token.random().text)])
                }
            }
        }
        func distinct() async throws -> [Int64] {
            try await TestDatabase.integers(
                configuration,
                "SELECT COUNT(DISTINCT public_id) FROM applications UNION ALL SELECT COUNT(*) FROM applications")
        }
        try await insert(250)
        #expect(try await distinct() == [0, 250])
        #expect(try await keeper.migrate() == [])
        #expect(try await distinct() == [250, 250])
        // Later ones get theirs when they are shown.
        try await insert(3)
        let store = try await MySQLStore(configuration, logger: TestCluster.logger)
        try await store.run { store in
            let all = try #require(try await store.tenants(after: nil, limit: 1000))
            #expect(all.tenants.count == 253 && Set(all.tenants.map(\.publicID)).count == 253 && !all.hasMore)
            #expect(try await store.tenants(after: nil, limit: 1000)?.tenants == all.tenants)
            let last = try #require(all.tenants.last)
            #expect(try await store.tenant(last.id) == last)
        }
        #expect(try await distinct() == [253, 253])
        // A Rails application beside us does not show the new columns.
        let columns = try await TestDatabase.integers(
            configuration, "SELECT COUNT(*) FROM (SELECT * FROM applications LIMIT 1) AS a WHERE a.id > 0")
        #expect(columns == [1])
        await #expect(throws: MySQLError.self) {
            try await TestDatabase.perform(configuration) { connection in
                try connection.rows("SELECT public_id FROM (SELECT * FROM applications) AS a") { $0.text(0) }
            }
        }
    }

    @Test func theTableIsBounded() async throws {
        try await TestCluster.run { test in
            try await test.sql(
                "INSERT INTO access_changes SELECT UTC_TIMESTAMP(6) - INTERVAL 2 DAY, seq, 1, NULL, NULL FROM seq_1_to_150"
            )
            func count() async throws -> Int64? {
                try await test.sql("SELECT COUNT(*) FROM access_changes").first?.first
            }
            for expected in [51, 2, 3] as [Int64] {
                _ = try await test.store.apply([.update(test.tenant, pathToken: .off)], at: TestCluster.time)
                #expect(try await count() == expected)
            }
        }
    }

    /// However many changes there are, each is told once, also one that is committed late; and nothing else is forgotten.
    @Test func aCrowdOfChangesIsToldOnce() async throws {
        try await TestCluster.run { test in
            let told = Mutex<[String: Int]>([:])
            test.store.bus.listen { event in
                let name =
                    switch event {
                    case .members(let change): change.user.map { "member \($0)" } ?? "chat \(change.chat.rawValue)"
                    case .changed(.some(.user(_, let user))): "user \(user)"
                    case .tenantChanged(let tenant): "application \(tenant.rawValue)"
                    default: "everything"
                    }
                told.withLock { $0[name, default: 0] += 1 }
            }
            let watch = AccessWatch(store: test.store, interval: .milliseconds(20), logger: TestCluster.logger)
            let watching = Task { try await watch.run() }
            defer { watching.cancel() }
            try await test.sql(
                """
                INSERT INTO member_changes (changed_at, id, application_id, chat_id, chat_number, user_id)
                SELECT UTC_TIMESTAMP(6), seq, 1, 1, 1, CONCAT('m', seq) FROM seq_1_to_5000
                """)
            try await test.sql(
                """
                INSERT INTO access_changes (changed_at, id, application_id, user_id)
                SELECT UTC_TIMESTAMP(6), seq, 1, CONCAT('u', seq) FROM seq_1_to_3000
                """)
            try await eventually("all are told") { told.withLock { $0.count } == 8000 }
            // A transaction that took half a minute; and an application and a chat as a whole.
            let late = "UTC_TIMESTAMP(6) - INTERVAL 30 SECOND"
            try await test.sql(
                """
                INSERT INTO member_changes
                SELECT \(late), 9999, 1, 2, 2, NULL UNION SELECT \(late), 9998, 1, 1, 1, 'late'
                """)
            try await test.sql("INSERT INTO access_changes SELECT \(late), 9999, 7, NULL, NULL")
            try await eventually("the late ones are told") { told.withLock { $0.count } == 8003 }
            // After some more reads.
            try await test.sql("INSERT INTO access_changes SELECT UTC_TIMESTAMP(6), 10000, 8, NULL, NULL")
            try await eventually("the last one is told") { told.withLock { $0["application 8"] } == 1 }
            let others = told.withLock { $0.filter { $0.value != 1 } }
            #expect(others == [:])
            #expect(told.withLock { $0["everything"] } == nil)
        }
    }
}
