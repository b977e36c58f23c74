import Foundation
import Logging
import ServiceLifecycle
import TestSupport
import Testing

@testable import MySQLClient

@Suite(.timeLimit(.minutes(3)))
struct PoolTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test func sharesFewConnections() async throws {
        let server = try await MariaDBServer.shared()
        let pool = MySQLPool(server.configuration, size: 4, logger: logger)
        let ids = try await withThrowingTaskGroup(of: Int64.self) { group in
            for _ in 0..<200 {
                group.addTask {
                    try await pool.withConnection { try $0.first("SELECT CONNECTION_ID()") { $0.integer(0) } ?? 0 }
                }
            }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect((1...4).contains(ids.count))
        #expect((1...4).contains(pool.open))
        #expect(pool.idle == pool.open)
        await pool.close()
        await pool.close()
        #expect(pool.open == 0)
        #expect(await kind { try await pool.withConnection { _ in } } == .closed)
    }

    @Test func boundsAndDeadlines() async throws {
        let server = try await MariaDBServer.shared()
        let pool = MySQLPool(server.configuration, size: 1, waiting: 1, logger: logger)
        // Holds the pool's only connection until it is let go.
        let gate = try await MySQLConnection.connect(server.configuration)
        try await gate.run("DO GET_LOCK('boundsAndDeadlines', 0)")
        let holder = Task {
            try await pool.withConnection { try $0.run("DO GET_LOCK('boundsAndDeadlines', 50)") }
        }
        try await eventually("it is lent") { pool.open == 1 && pool.idle == 0 && pool.waiting == 0 }
        async let late = kind { try await pool.withConnection(timeout: .milliseconds(200)) { _ in } }
        try await eventually("one waits") { pool.waiting == 1 }
        // One caller more than may wait is refused at once; a waiting one at its deadline.
        #expect(await kind { try await pool.withConnection { _ in } } == .poolExhausted)
        #expect(await late == .poolExhausted)

        let cancelled = Task { try await pool.withConnection { _ in } }
        try await eventually("one waits") { pool.waiting == 1 }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        #expect(pool.waiting == 0)
        await gate.close()
        try await pool.withConnection { try $0.run("DO 1") }
        try await holder.value
        await pool.close()
    }

    @Test func whatComesBackBadIsNotLentAgain() async throws {
        struct Oops: Error {}
        let server = try await MariaDBServer.shared()
        let pool = MySQLPool(server.configuration, size: 1, logger: logger)
        func id() async throws -> Int64? {
            try await pool.withConnection { try $0.first("SELECT CONNECTION_ID()") { $0.integer(0) } }
        }
        let first = try await id()
        await #expect(throws: Oops.self) { try await pool.withConnection { _ in throw Oops() } }
        #expect(try await id() == first)
        try await pool.withConnection { try $0.run("BEGIN") }
        let second = try await id()
        #expect(second != first)
        #expect(await kind { try await pool.withConnection { try $0.run("KILL CONNECTION_ID()") } } == .connectionLost)
        let third = try await id()
        #expect(third != second)
        try await pool.withConnection { $0.close() }
        #expect(try await id() != third)
        await pool.close()
    }

    @Test func idleConnectionsThatDiedAreNoticed() async throws {
        let server = try await MariaDBServer.start()
        var limits = MySQLPoolLimits(size: 4, waiting: 10)
        limits.checkAfter = .zero
        let pool = MySQLPool(server.configuration, limits: limits, acquireTimeout: .seconds(5), logger: logger)
        try await withThrowingTaskGroup { group in
            for _ in 0..<4 {
                group.addTask { try await pool.withConnection { try $0.run("SELECT SLEEP(0.2)") } }
            }
            try await group.waitForAll()
        }
        #expect(pool.idle == 4)
        server.kill()
        #expect(await kind { try await pool.withConnection { try $0.ping() } } == .cannotConnect)
        #expect(pool.open == 0)
        for _ in 0..<1000 {
            #expect(await kind { try await pool.withConnection { try $0.ping() } } == .cannotConnect)
        }
        try await server.restart()
        try await eventually("the server is there again") {
            await kind { try await pool.withConnection { try $0.ping() } } == nil
        }
        // Restarted while all connections were idle: no caller notices.
        server.kill()
        try await server.restart()
        try await pool.withConnection { try $0.run("DO 1") }
        await pool.close()
    }

    @Test func frozenServerHoldsNobodyLongerThanTheDeadline() async throws {
        let server = try await MariaDBServer.start()
        var limits = MySQLPoolLimits(size: 2, waiting: 10)
        limits.checkAfter = .zero
        var configuration = server.configuration
        configuration.readTimeout = .seconds(3)
        configuration.connectTimeout = .seconds(3)
        let pool = MySQLPool(configuration, limits: limits, acquireTimeout: .seconds(5), logger: logger)
        try await pool.withConnection { try $0.ping() }
        server.freeze()
        #expect(
            await kind { try await pool.withConnection(timeout: .milliseconds(300)) { try $0.ping() } }
                == .poolExhausted)
        server.thaw()
        try await eventually("the server is there again") {
            await kind { try await pool.withConnection { try $0.ping() } } == nil
        }
        await pool.close()
    }

    @Test func moreThanTheServerAllows() async throws {
        let server = try await MariaDBServer.start(["--max-connections=10"])
        let pool = MySQLPool(server.configuration, size: 20, acquireTimeout: .seconds(50), logger: logger)
        try await withThrowingTaskGroup { group in
            for _ in 0..<60 {
                group.addTask { try await pool.withConnection { try $0.run("SELECT SLEEP(0.05)") } }
            }
            try await group.waitForAll()
        }
        #expect(pool.open <= 11)
        await pool.close()
    }

    @Test func asAService() async throws {
        let server = try await MariaDBServer.shared()
        let pool = MySQLPool(server.configuration, size: 2, logger: logger)
        let group = ServiceGroup(services: [pool], logger: logger)
        let running = Task { try await group.run() }
        let held = Task {
            try await pool.withConnection { try $0.run("SELECT SLEEP(0.5)") }
        }
        try await eventually("nobody waits") { pool.open == 1 && pool.waiting == 0 }
        await group.triggerGracefulShutdown()
        try await running.value
        // The lent connection could finish its work.
        try await held.value
        #expect(pool.open == 0)
    }
}
