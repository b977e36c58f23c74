import ChatCore
import Foundation
import GRDB
import TestSupport
import Testing

/// Applications are deleted by the program as a user runs it, which is killed in the middle.
@Suite(.timeLimit(.minutes(5))) struct DeletionTests {
    private let folder: TemporaryFolder
    private let serverKey = AccessKey.random(.admin).text

    init() throws { folder = try TemporaryFolder() }

    /// An application and its chat, by the server's key.
    private func makeApplication(_ client: Client) async throws -> (path: String, id: String) {
        let bearer = ["Authorization": "Bearer \(serverKey)"]
        let created = try await client.send("POST", "/applications", json: #"{"name":"a"}"#, headers: bearer)
        let id = try #require(created.json["id"] as? String)
        for _ in 0..<3 {
            #expect(try await client.send("POST", "/applications/\(id)/chats", headers: bearer).status == 201)
        }
        let sent = try await client.send(
            "POST", "/applications/\(id)/chats/1/messages", json: #"{"body":"kept"}"#, headers: bearer)
        #expect(sent.status == 201)
        return ("/applications/\(id)", id)
    }

    @Test func killedInTheMiddleEmbedded() async throws {
        var environment = ["LUCIQ_ADMIN_KEY": serverKey, "DELETE_AFTER_DAYS": "0"]
        environment["DATABASE_URL"] = "sqlite://" + folder.file("test.sqlite")
        var (server, client) = try await LuciqProcess.serve(in: folder, environment: environment)
        let (doomed, kept) = (try await makeApplication(client), try await makeApplication(client))
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
        // Many more than one step deletes.
        let file = try DatabaseQueue(path: folder.file("test.sqlite"))
        try await file.write { db in
            try db.execute(
                sql: """
                    WITH RECURSIVE numbers (number) AS (SELECT 2 UNION ALL SELECT number + 1 FROM numbers WHERE number < 600000)
                    INSERT INTO messages (chat_id, number, body, created_at) SELECT 1, number, 'x', 1 FROM numbers;
                    UPDATE chats SET messages_count = 600000, last_message_number = 600000 WHERE id = 1;
                    UPDATE applications SET messages_count = 600000 WHERE id = 1;
                    """)
        }
        func messages() async throws -> Int {
            try await file.read { try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM messages") ?? 0 }
        }
        #expect(try await LuciqProcess.run(["verify", "--deleted"], in: folder, environment: environment).code == 0)
        (server, client) = try await LuciqProcess.serve(in: folder, environment: environment)
        let bearer = ["Authorization": "Bearer \(serverKey)"]
        #expect(try await client.send("DELETE", doomed.path, headers: bearer).status == 202)
        for _ in 0..<3 {
            let before = try await messages()
            try await eventually("it goes on", within: 60) { try await messages() < before }
            server.signal(SIGKILL)
            await server.wait()
            #expect(try await messages() > 1)
            let unfinished = try await LuciqProcess.run(
                ["verify", "--deleted", "--json"], in: folder, environment: environment)
            #expect(unfinished.code == 1 && unfinished.output.contains(doomed.id), "\(unfinished)")
            (server, client) = try await LuciqProcess.serve(in: folder, environment: environment)
        }
        try await check(server, client, doomed.id, kept.path, environment)
        #expect(try await messages() == 2)
        #expect(try await LuciqProcess.run(["verify"], in: folder, environment: environment).code == 0)
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
    }

    @Test func killedInTheMiddleInACluster() async throws {
        let place = try await WorkerPlace.make()
        let environment = place.environment.merging([
            "LUCIQ_ADMIN_KEY": serverKey, "DELETE_AFTER_DAYS": "0",
        ]) { $1 }
        let (server, client) = try await LuciqProcess.serve(in: place.folder, environment: environment)
        let (doomed, kept) = (try await makeApplication(client), try await makeApplication(client))
        _ = try await place.sql(
            """
            INSERT INTO messages (chat_id, number, body, created_at, updated_at)
            SELECT (SELECT MIN(id) FROM chats), seq, 'x', NOW(6), NOW(6) FROM seq_2_to_80000;
            UPDATE application_counts SET messages = 80000
            WHERE application_id = (SELECT MIN(id) FROM applications) AND messages > 0
            """)
        func messages() async throws -> Int { Int(try await place.sql("SELECT COUNT(*) FROM messages")) ?? -1 }
        let bearer = ["Authorization": "Bearer \(serverKey)"]
        #expect(try await client.send("DELETE", doomed.path, headers: bearer).status == 202)
        var (worker, _) = try await place.worker()
        for _ in 0..<2 {
            let before = try await messages()
            try await eventually("it goes on", within: 60) { try await messages() < before }
            worker.signal(SIGKILL)
            await worker.wait()
            #expect(try await messages() > 1)
            (worker, _) = try await place.worker()
        }
        // Two of them take turns.
        let (second, _) = try await place.worker(["--tag", "second"])
        try await check(server, client, doomed.id, kept.path, environment)
        #expect(try await messages() == 2)
        #expect(try await place.luciq("verify").code == 0)
        for process in [worker, second, server] {
            process.signal(SIGTERM)
            #expect(await process.wait().code == 0)
        }
    }

    /// Nothing is left but the audit, and the other application is whole.
    private func check(
        _ server: LuciqProcess, _ client: Client, _ doomed: String, _ kept: String, _ environment: [String: String]
    ) async throws {
        let bearer = ["Authorization": "Bearer \(serverKey)"]
        try await eventually("nothing is left", within: 240) {
            try await LuciqProcess.run(["verify", "--deleted"], in: folder, environment: environment).code == 0
        }
        #expect(try await client.get("/applications/\(doomed)", headers: bearer).status == 404)
        let audit = try await client.get("/applications/\(doomed)/audit", headers: bearer)
        #expect(
            audit.list.map { $0["action"] as? String } == [
                "application.create", "application.delete", "application.remove",
            ])
        #expect(try await client.get("\(kept)/chats/1/messages/1", headers: bearer).json["body"] as? String == "kept")
        let next = try await client.send(
            "POST", "\(kept)/chats/1/messages", json: #"{"body":"x"}"#, headers: bearer)
        #expect(next.json["message_number"] as? Int == 2)
    }
}
