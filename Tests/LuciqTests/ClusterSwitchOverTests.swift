import Foundation
import TestSupport
import Testing

extension ClusterTests {
    /// The primary changes while processes run; nobody restarts them, and connections are not cut.
    @Suite(.serialized) struct SwitchOver {
        /// A planned one, under load: the old primary lives on, read-only.
        @Test func nothingIsLostAndAllFollow() async throws {
            let pair = try await ReplicaPair.start()
            let redis = try await RedisServer.start()
            let cluster = try await Cluster.start(2, mariadb: pair.old, by: [pair.proxy.port], redis: redis.url())
            let folder = try TemporaryFolder()
            let (worker, health) = try await cluster.worker(in: folder, by: pair.proxy.port, redis: redis.url())
            // Its connections to the old primary, for reading and writing.
            #expect(try await health.get("/readyz").status == 200)
            let load = try await Load(on: cluster)
            try await load.endure(1) { _ in
                try await pair.fence()
                try await pair.catchUp()
                try await pair.promote()
                try await load.see(answers: 200)
            }
            // Every answered message can be read from every server, and is on the new primary.
            try await load.expectPromisesKept()
            #expect(try await pair.new.sql("SELECT COUNT(*) FROM messages WHERE batch_id > 0") == "\(load.total)")
            for node in cluster.nodes {
                let chat = try await node.client.makeChat()
                let answer = try await node.client.post(chat + "/messages", json: #"{"body":"x"}"#)
                #expect(answer.json["message_number"] as? Int == 1)
                #expect(try await node.client.get("/readyz").status == 200)
            }
            #expect(try await health.get("/readyz").status == 200)
            try await eventually("nothing is connected to the old primary") {
                try await pair.old.sql(
                    """
                    SELECT COUNT(*) FROM information_schema.processlist
                    WHERE user LIKE 'luciq%' OR user = 'root' AND host LIKE '127.0.0.1%' AND command <> 'Binlog Dump'
                    """) == "0"
            }
            // The worker writes as well.
            let enqueued = try await LuciqProcess.run(
                ["jobs", "enqueue", "Recount"], in: folder, environment: ["REDIS_URL": redis.url()])
            #expect(enqueued.code == 0, "\(enqueued.errors)")
            try await eventually("the worker has counted") {
                try await pair.new.sql("SELECT SUM(messages_count) FROM chats") == "\(load.total + 2)"
            }
            worker.signal(SIGTERM)
            #expect(await worker.wait().code == 0)
        }

        /// The old primary dies with rows that the replica did not get, and the new one gives the lost ids again: a
        /// lost token finds nothing, and above all not another tenant's data.
        @Test func lostTokensReachNobodysChats() async throws {
            let pair = try await ReplicaPair.start()
            let redis = try await RedisServer.start()
            let cluster = try await Cluster.start(
                2, mariadb: pair.old, by: [pair.proxy.port], redis: redis.url(), settings: ["REQUEST_TIMEOUT": "20"])
            let clients = cluster.nodes.map(\.client)
            let kept = try await clients[0].makeChat()
            #expect(try await clients[0].post(kept + "/messages", json: #"{"body":"kept"}"#).status == 201)
            try await pair.catchUp()
            try await pair.stopReplication()
            let lost = try await clients[0].makeChat()
            for _ in 0..<5 { _ = try await clients[0].post(lost + "/messages", json: #"{"body":"lost"}"#) }
            // Both servers have its ids in memory, and the first has a reader.
            for client in clients { #expect(try await client.get(lost + "/messages").list.count == 5) }
            let reader = try RawConnection(port: clients[0].port)
            await reader.send(Array("GET \(lost)/stream?after=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".utf8))
            let ids =
                "SELECT applications.id, chats.id FROM applications JOIN chats ON applications.id = application_id"
            let lostIDs = try await pair.old.sql(ids + " ORDER BY chats.id DESC LIMIT 1")

            pair.old.kill()
            try await pair.promote()
            var found = ""
            // The second server learns of the failover first, and its client gets the lost ids.
            try await eventually("a chat can be made", within: 40) {
                guard let chat = try? await clients[1].makeChat() else { return false }
                found = chat
                return true
            }
            #expect(try await pair.new.sql(ids + " ORDER BY chats.id DESC LIMIT 1") == lostIDs)
            // The new chat does not continue the lost chat's counter in Redis.
            for number in 1...8 {
                let answer = try await clients[1].post(found + "/messages", json: #"{"body":"found"}"#)
                #expect(answer.json["message_number"] as? Int == number)
            }
            let application = lost.split(separator: "/").prefix(2).reduce("") { $0 + "/" + $1 }
            for client in clients {
                let write = try await client.post(lost + "/messages", json: #"{"body":"late"}"#)
                #expect(write.status == 404, "\(write.text)")
                for path in ["", "/messages", "/messages/1", "/message_count", "/messages/search?q=found"] {
                    let read = try await client.get(lost + path)
                    #expect(read.status == 404, "\(path): \(read.text)")
                }
                #expect(try await client.get(application).status == 404)
                #expect(try await client.send("POST", application + "/chats").status == 404)
                #expect(try await client.send("PUT", application, json: #"{"name":"late"}"#).status == 404)
                #expect(try await client.get(kept + "/messages/1").json["body"] as? String == "kept")
                let bodies = try await client.get(found + "/messages?limit=100").list.map { $0["body"] as? String }
                #expect(bodies == Array(repeating: "found", count: 8))
            }
            // The reader was ended, and has seen its own messages only.
            var text = ""
            let until = ContinuousClock.now + .seconds(20)
            while !text.contains("going_away"), ContinuousClock.now < until {
                let bytes = try await reader.receive()
                if bytes.isEmpty { break }
                text += String(decoding: bytes, as: UTF8.self)
            }
            #expect(text.contains("lost") && !text.contains("found"), "\(text)")
            #expect(text.contains("going_away"), "\(text)")
        }

        /// No server takes writes for a while: reads go on, health says why, and connection attempts stay rare.
        @Test func aFenceIsSaidAndEnds() async throws {
            let mariadb = try await MariaDBServer.start()
            let redis = try await RedisServer.start()
            let cluster = try await Cluster.start(
                1, mariadb: mariadb, redis: redis.url(), settings: ["REQUEST_TIMEOUT": "1"])
            let client = cluster.nodes[0].client
            let chat = try await client.makeChat()
            _ = try await client.post(chat + "/messages", json: #"{"body":"x"}"#)
            _ = try await mariadb.sql("SET GLOBAL read_only = 1")
            // Health asks by itself: no create has found out yet.
            #expect(try await client.get("/readyz").status == 503)
            let connected = "SHOW GLOBAL STATUS LIKE 'Connections'"
            let before = try await mariadb.count(connected)
            for _ in 0..<3 {
                let create = try await client.post(chat + "/messages", json: #"{"body":"y"}"#)
                #expect(create.status == 503)
                #expect(create.json["code"] as? String == "unavailable")
                #expect(create.text.contains("The database cannot be written"))
                #expect(try await client.get(chat + "/messages/1").status == 200)
                let ready = try await client.get("/readyz")
                #expect(ready.status == 503)
                #expect(ready.text.contains("The database cannot be written"), "\(ready.text)")
            }
            // With the back-off there are about two a second of them, and without it a hundred.
            #expect(try await mariadb.count(connected) - before < 40)
            _ = try await mariadb.sql("SET GLOBAL read_only = 0")
            try await eventually("it is ready again") { try await client.get("/readyz").status == 200 }
            #expect(try await client.post(chat + "/messages", json: #"{"body":"z"}"#).status == 201)
            #expect(cluster.nodes[0].process.errorText.contains("The database is read-only"))
        }

        /// A process logs at its start each setting that weakens a promise, once.
        @Test func theStartSaysWhatIsWeak() async throws {
            let mariadb = try await MariaDBServer.start([
                "--max-allowed-packet=1M", "--innodb-flush-log-at-trx-commit=2",
            ])
            let redis = try await RedisServer.start()
            let cluster = try await Cluster.start(1, mariadb: mariadb, redis: redis.url())
            func count(_ words: String, _ process: LuciqProcess) -> Int {
                process.errorText.components(separatedBy: words).count - 1
            }
            let server = cluster.nodes[0].process
            #expect(count("max_allowed_packet is small", server) == 1)
            #expect(count("innodb_flush_log_at_trx_commit is not 1", server) == 1)
            // Its user has rights on its own database only; the worker's is root.
            #expect(count("not bound by read_only", server) == 0)
            let folder = try TemporaryFolder()
            let (worker, _) = try await cluster.worker(in: folder, by: mariadb.port, redis: redis.url())
            #expect(count("not bound by read_only", worker) == 1)
            #expect(count("innodb_flush_log_at_trx_commit is not 1", worker) == 1)
        }
    }
}

extension Cluster {
    /// - Parameter port: of the database, which it uses as root.
    func worker(
        in folder: TemporaryFolder, by port: Int, redis: String
    ) async throws -> (process: LuciqProcess, client: Client) {
        try await LuciqProcess.listening(
            ["worker", "--port", "0"], in: folder,
            environment: [
                "DATABASE_URL": "mysql://root:\(MariaDBServer.password)@127.0.0.1:\(port)/luciq", "REDIS_URL": redis,
            ])
    }
}

extension MariaDBServer {
    /// The number at the end of an answer.
    fileprivate func count(_ statement: String) async throws -> Int {
        Int(try await sql(statement).split { $0 == "\t" || $0 == "\n" }.last ?? "") ?? 0
    }
}
