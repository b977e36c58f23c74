import ChatCore
import RedisClient

extension JobSets {
    /// By name.
    package func queues() async throws -> [QueueReport] {
        var reports: [QueueReport] = []
        for name in try await members(SidekiqKey.queues) {
            reports.append(try await QueueReport.read(name, redis, now: clock.now()))
        }
        return reports
    }

    /// The live processes.
    package func processes() async throws -> [ProcessReport] {
        var reports: [ProcessReport] = []
        for identity in try await members(SidekiqKey.processes) {
            let hash = try await redis.send(RedisCommand("HGETALL", identity)).array ?? []
            if !hash.isEmpty { reports.append(ProcessReport(identity: identity, hash: hash)) }
        }
        return reports
    }

    /// The running jobs of all processes, in whatever format each writes them; the oldest first.
    package func work() async throws -> [WorkReport] {
        var reports: [WorkReport] = []
        for identity in try await members(SidekiqKey.processes) {
            for suffix in Set(SidekiqFormat.allCases.map(\.workSuffix)) {
                let hash = try await redis.send(RedisCommand("HGETALL", identity + suffix)).array ?? []
                for index in stride(from: 0, to: hash.count - 1, by: 2) {
                    guard let tid = hash[index].string, let json = hash[index + 1].bytes,
                        let report = WorkReport(identity: identity, tid: tid, json: json)
                    else { continue }
                    reports.append(report)
                }
            }
        }
        return reports.sorted { $0.since < $1.since }
    }

    /// Leaves an order for a process, which takes it at its next beat: TSTP (quiet), TERM (stop) or TTIN (dump).
    package func signal(_ identity: String, _ signal: String) async throws {
        let key = "\(identity)-signals"
        for reply in await redis.send([RedisCommand("LPUSH", key, signal), RedisCommand("EXPIRE", key, "60")]) {
            _ = try reply.get()
        }
    }

    package func statistics() async throws -> JobStatistics {
        func number(_ words: String...) async throws -> Int {
            Int(try await redis.send(RedisCommand(words)).integer ?? 0)
        }
        let processes = try await processes()
        var enqueued = 0
        for name in try await members(SidekiqKey.queues) {
            enqueued += try await number("LLEN", SidekiqKey.queue(name))
        }
        return JobStatistics(
            processed: try await number("GET", "stat:processed"), failed: try await number("GET", "stat:failed"),
            enqueued: enqueued, scheduled: try await size(of: .schedule), retries: try await size(of: .retry),
            dead: try await size(of: .dead), processes: processes.count, busy: processes.reduce(0) { $0 + $1.busy })
    }

    private func members(_ set: String) async throws -> [String] {
        (try await redis.send(RedisCommand("SMEMBERS", set)).array ?? []).compactMap(\.string).sorted()
    }
}
