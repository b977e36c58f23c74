import Foundation
import TestSupport
import Testing

/// `luciq worker`, as a user runs it.
@Suite(.timeLimit(.minutes(3))) struct WorkerTests {
    @Test func performsWhatIsEnqueued() async throws {
        let place = try await WorkerPlace.make()
        let (server, api) = try await place.serve()
        let chat = try await api.makeChat()
        for _ in 0..<3 { _ = try await api.post(chat + "/messages", json: #"{"body":"x"}"#) }
        #expect(try await place.sql("SELECT messages_count FROM chats") == "0")

        let (worker, health) = try await place.worker()
        #expect(try await health.get("/livez").status == 200)
        #expect(try await health.get("/readyz").status == 200)
        #expect(try await health.get("/applications/x").status == 404)
        let enqueued = try await place.json("jobs", "enqueue", "SyncChatCounts") as? [String: Any]
        #expect((enqueued?["jid"] as? String)?.count == 24)
        try await eventually("the column has the count") {
            try await place.sql("SELECT messages_count FROM chats") == "3"
        }
        try await eventually("it is counted") { try await place.stats()["processed"] as? Int ?? 0 > 0 }
        let metrics = PrometheusText(try await health.get("/metrics").text)
        #expect(metrics.problems == [])
        #expect(metrics["luciq_jobs_total", ["job": "SyncChatCounts", "outcome": "succeeded"]] ?? 0 > 0)
        #expect(metrics["luciq_build_info", ["version": "0.1.0"]] == 1)
        #expect(metrics["luciq_mysql_connections", ["pool": "reads"]] ?? 0 > 0)
        for client in ["store", "worker"] {
            #expect(metrics["luciq_redis_up", ["client": client]] == 1)
            #expect(metrics["luciq_redis_connects_total", ["client": client]] == 1)
        }

        for process in [worker, server] {
            process.signal(SIGTERM)
            #expect(await process.wait().code == 0, "\(process.errorText)")
        }
        #expect(try await place.redis("SCARD", "processes") == "0")
    }

    @Test func quietTakesNoMoreAndStays() async throws {
        let place = try await WorkerPlace.make()
        let (worker, health) = try await place.worker()
        try await eventually("it says that it is quiet", within: 30) {
            worker.signal(SIGTSTP)
            return try await place.isQuiet()
        }
        // Not suspended, because it answers.
        #expect(try await health.get("/livez").status == 200)
        _ = try await place.json("jobs", "enqueue", "Recount")
        // Another worker takes the job; a quiet worker takes none.
        let (other, _) = try await place.worker(["--tag", "other"])
        try await eventually("the other has done it") {
            try await place.redis("LLEN", "queue:default") == "0"
        }
        #expect(!worker.errorText.contains("Recount"))
        for process in [worker, other] {
            process.signal(SIGTERM)
            #expect(await process.wait().code == 0)
        }
    }

    @Test func aDumpGoesToTheLog() async throws {
        let place = try await WorkerPlace.make()
        let (worker, health) = try await place.worker()
        try await eventually("it logs what it does") {
            // The signal is ignored until the worker has installed its handlers.
            worker.signal(SIGTTIN)
            return worker.errorText.contains("Jobs running")
        }
        #expect(try await health.get("/livez").status == 200)
        worker.signal(SIGINT)
        #expect(await worker.wait().code == 0)
    }

    @Test func readinessFollowsRedis() async throws {
        let redis = try await RedisServer.start()
        let place = try await WorkerPlace.make(redis: redis.url())
        let (worker, health) = try await place.worker()
        redis.kill()
        try await eventually("it is not ready") { try await health.get("/readyz").status == 503 }
        #expect(try await health.get("/livez").status == 200)
        try await redis.restart(empty: true)
        try await eventually("it is ready again") { try await health.get("/readyz").status == 200 }
        try await eventually("it is registered again", within: 40) {
            try await redis.cli("SCARD", "processes") == "1"
        }
        worker.signal(SIGTERM)
        #expect(await worker.wait().code == 0)
    }

    /// A terminated worker with Redis gone does not hang.
    @Test func stopsWithoutRedis() async throws {
        let redis = try await RedisServer.start()
        let place = try await WorkerPlace.make(redis: redis.url())
        let (worker, _) = try await place.worker(["--shutdown-timeout", "3"])
        redis.kill()
        worker.signal(SIGTERM)
        try await eventually("it ends", within: 25) { !worker.isRunning }
        #expect(await worker.wait().code == 0)
    }
}

extension WorkerPlace {
    fileprivate func isQuiet() async throws -> Bool {
        let processes = try await stats()["processes"] as? [[String: Any]] ?? []
        return processes.contains { $0["isQuiet"] as? Bool == true }
    }
}
