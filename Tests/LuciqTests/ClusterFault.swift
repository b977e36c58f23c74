import Foundation
import TestSupport
import Testing

/// A fault in the middle of a load that ends again, several times.
struct Fault: Sendable, CustomTestStringConvertible {
    struct Scene: Sendable {
        let cluster: Cluster
        let redis: RedisServer
        let load: Load
        /// From 0.
        let round: Int

        var mariadb: MariaDBServer { cluster.mariadb }
    }

    let name: String
    var nodes = 2
    var rounds = 3
    /// How long a server retries, in seconds. The writers wait longer than that, so that they get its answer.
    var requestTimeout = 2
    var patience = 3
    /// Enough that the load goes on between the rounds, however fast the servers are.
    var messagesPerWriter = 40
    let strike: @Sendable (Scene) async throws -> Void

    init(_ name: String, rounds: Int = 3, strike: @escaping @Sendable (Scene) async throws -> Void) {
        self.name = name
        self.rounds = rounds
        self.strike = strike
    }

    var testDescription: String { name }

    static let all = redis + mariadb + processes

    private static let redis = [
        Fault("FLUSHALL") { _ = try await $0.redis.cli("FLUSHALL") },
        Fault("connections to Redis killed", rounds: 6) {
            _ = try await $0.redis.cli("CLIENT", "KILL", "TYPE", "normal")
        },
        Fault("Redis killed and restarted empty") { scene in
            scene.redis.kill()
            try await scene.load.see(answers: 100)
            try await scene.redis.restart(empty: true)
        },
        Fault("Redis restored from an older snapshot") { scene in
            _ = try await scene.redis.cli("SAVE")
            try await scene.load.see(answers: 300)
            scene.redis.kill()
            // From the file as it is.
            try await scene.redis.restart(empty: false)
        },
        Fault("Redis frozen") { scene in
            scene.redis.freeze()
            try await scene.load.see(answers: 100)
            scene.redis.thaw()
        },
        Fault("Redis down for good", rounds: 1) { $0.redis.kill() },
    ]

    private static let mariadb = [
        Fault("MariaDB killed and restarted") { scene in
            scene.mariadb.kill()
            try await scene.mariadb.restart()
        },
        Fault("MariaDB stopped and started") { try await $0.mariadb.restart() },
        Fault("MariaDB frozen") { scene in
            scene.mariadb.freeze()
            try await scene.load.see(failures: 20)
            scene.mariadb.thaw()
        },
        Fault("connections to MariaDB killed", rounds: 8) { try await $0.kill("CONNECTION") },
        Fault("statements killed", rounds: 8) { try await $0.kill("QUERY") },
        Fault("no connection free") { scene in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<10 { group.addTask { await scene.mariadb.occupyConnection() } }
                try await eventually("others have ten connections") {
                    try await scene.mariadb.sql(
                        "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'other'") == "10"
                }
                // Less than ten is not possible.
                let kills = scene.cluster.nodes.map { "KILL CONNECTION USER \($0.user);" }.joined()
                _ = try await scene.mariadb.sql("SET GLOBAL max_connections = 10; \(kills)")
                try await scene.load.see(failures: 20)
                try await eventually("the administrator's connection is free for a moment") {
                    // The servers want it too.
                    (try? await scene.mariadb.sql("SET GLOBAL max_connections = 151; KILL CONNECTION USER other"))
                        != nil
                }
            }
        },
        Fault("a read-only database") { scene in
            _ = try await scene.mariadb.sql("SET GLOBAL read_only = 1")
            try await scene.load.see(failures: 20)
            _ = try await scene.mariadb.sql("SET GLOBAL read_only = 0")
        },
    ]

    private static let processes = [killed, frozen, frozenInTransaction, frozenWithNumbers]

    private static var killed: Fault {
        var fault = Fault("a server killed") { scene in
            let process = scene.cluster.nodes[scene.round].process
            process.signal(SIGKILL)
            await process.wait()
        }
        fault.nodes = 4
        return fault
    }

    /// At any moment.
    private static var frozen: Fault {
        Fault("a server frozen until its holes were closed") { scene in
            let node = scene.cluster.nodes[0]
            node.process.signal(SIGSTOP)
            if try await !scene.cluster.mend().isAll {
                // It is frozen within a transaction. The database ends the transaction after a minute of silence.
                _ = try await scene.mariadb.sql("KILL CONNECTION USER \(node.user)")
                #expect(try await scene.cluster.mend().isAll)
            }
            node.process.signal(SIGCONT)
        }
    }

    /// Within a transaction that has stored its rows and is not committed.
    private static var frozenInTransaction: Fault {
        Fault("a server frozen within a transaction") { scene in
            let node = scene.cluster.nodes[0]
            try await withThrowingTaskGroup(of: Void.self) { group in
                // The last thing that an append does is to count.
                group.addTask {
                    // It is killed.
                    _ = try? await scene.mariadb.sql(
                        "BEGIN; SELECT COUNT(*) FROM application_counts FOR UPDATE; DO SLEEP(60)")
                }
                try await eventually("it waits for a lock") {
                    try await scene.mariadb.sql(
                        """
                        SELECT COUNT(*) > 0 FROM information_schema.processlist
                        WHERE user = '\(node.user)' AND info LIKE 'INSERT INTO application_counts%' AND time_ms > 200
                        """) == "1"
                }
                node.process.signal(SIGSTOP)
                let holder = try await scene.mariadb.sql(
                    "SELECT id FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%'")
                _ = try await scene.mariadb.sql("KILL CONNECTION \(holder)")
            }
            // The other servers continue, although the frozen one keeps its locks until the database ends its silent
            // connections.
            try await scene.load.see(answers: 100)
            _ = try await scene.mariadb.sql("KILL CONNECTION USER \(node.user)")
            #expect(try await scene.cluster.mend().isAll)
            node.process.signal(SIGCONT)
        }
    }

    /// The server freezes with numbers taken and no transaction; it resumes after others have closed its holes. Its
    /// clients wait for that, so that only the numbers reveal that it is late.
    private static var frozenWithNumbers: Fault {
        var fault = Fault("a server frozen with numbers in hand") { scene in
            let node = scene.cluster.nodes[0]
            let before = node.process.collisions
            var mended = 0
            // Numbers with no higher one stored leave no hole, and an append that had to wait checks its numbers before
            // it uses them: in that case, freeze once more.
            for _ in 0..<16 where node.process.collisions == before {
                // Appends that have their numbers wait for rows, and then the database takes no writes: they keep the numbers
                // and try again, with no transaction.
                let areWaiting = try await scene.mariadb.whileChatsAreLocked {
                    var looks = 50
                    while looks > 0, try await scene.unstored() < 4 {
                        looks -= 1
                        try await Task.sleep(for: .milliseconds(100))
                    }
                    if looks == 0 { return false }
                    _ = try await scene.mariadb.sql("SET GLOBAL read_only = 1")
                    return true
                }
                // An append that waits for locked rows returns its numbers after a second; a slow machine may look at
                // the wrong moment.
                guard areWaiting else { continue }
                try await eventually("no transaction is open") {
                    try await scene.mariadb.sql(
                        """
                        SELECT COUNT(*) FROM information_schema.innodb_trx
                        JOIN information_schema.processlist ON id = trx_mysql_thread_id WHERE user = '\(node.user)'
                        """) == "0"
                }
                node.process.signal(SIGSTOP)
                _ = try await scene.mariadb.sql("SET GLOBAL read_only = 0")
                mended += try await scene.cluster.mend().count
                node.process.signal(SIGCONT)
                // Its clients have waited for it, so its late appends come before theirs.
                try await scene.load.see(answers: 64)
            }
            #expect(mended > 0)
            #expect(node.process.collisions > before, "the late insert meets the fence")
        }
        fault.requestTimeout = 30
        fault.patience = 40
        // Between two tries the servers store what they can.
        fault.messagesPerWriter = 240
        fault.rounds = 1
        return fault
    }
}

extension Fault.Scene {
    /// - Parameter what: `CONNECTION` or `QUERY`, of all servers.
    fileprivate func kill(_ what: String) async throws {
        for node in cluster.nodes { _ = try await mariadb.sql("KILL \(what) USER \(node.user)") }
    }

    /// How many numbers were taken and are not stored.
    fileprivate func unstored() async throws -> Int { try await redis.numbersGiven() - mariadb.messages() }
}

extension RedisServer {
    /// The sum of the counters of all chats.
    func numbersGiven() async throws -> Int {
        let sum = try await cli(
            "EVAL",
            """
            local sum = 0
            for _, key in ipairs(redis.call('KEYS', 'chat:*:message_number')) do sum = sum + redis.call('GET', key) end
            return sum
            """, "0")
        return Int(sum) ?? 0
    }
}

extension MariaDBServer {
    /// The messages stored, void ones too.
    func messages() async throws -> Int { Int(try await sql("SELECT COUNT(*) FROM messages")) ?? 0 }
}

extension LuciqProcess {
    /// How often the database told it that its numbers were taken.
    var collisions: Int { errorText.components(separatedBy: "Numbers already taken").count - 1 }
}

extension MariaDBServer {
    /// Another transaction locks the rows of all chats while the body runs, for 15 seconds at most.
    fileprivate func whileChatsAreLocked(_ body: () async throws -> Bool) async throws -> Bool {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // It is killed.
                _ = try? await self.sql("BEGIN; SELECT MAX(created_at) FROM chats FOR UPDATE; DO SLEEP(15)")
            }
            let holder = "SELECT id FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%'"
            try await eventually("the rows are locked") { try await sql(holder) != "" }
            let result = try await body()
            // It may have ended by itself.
            let id = try await sql(holder)
            if id != "" { _ = try await sql("KILL CONNECTION \(id)") }
            return result
        }
    }

    /// Holds a connection until it is killed.
    fileprivate func occupyConnection() async {
        // Its end is an error.
        _ = try? await runProgram(
            [
                "mariadb", "--no-defaults", "--user=other", "--host=127.0.0.1", "--port=\(port)", "--execute",
                "DO SLEEP(60)",
            ], within: 60)
    }
}
