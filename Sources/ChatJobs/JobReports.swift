package import ChatCore
import RedisClient

/// The state of a queue.
package struct QueueReport: Sendable {
    package let name: String
    package let size: Int
    /// How long the oldest job has waited.
    package let latency: Duration

    static func read(_ name: String, _ redis: RedisClient, now: Timestamp) async throws(RedisError) -> QueueReport {
        let key = SidekiqKey.queue(name)
        let replies = await redis.send([RedisCommand("LLEN", key), RedisCommand("LINDEX", key, "-1")])
        let size = try replies[0].get().integer ?? 0
        var latency = Duration.zero
        // A malformed job has no age.
        if case .text(let bytes) = try replies[1].get(), let payload = try? JobPayload(bytes),
            let since = payload.time("enqueued_at") ?? payload.time("created_at")
        {
            latency = max(.zero, .microseconds(now.microseconds - since.microseconds))
        }
        return QueueReport(name: name, size: Int(size), latency: latency)
    }
}

/// A process as it last described itself: ours or one in Ruby.
package struct ProcessReport: Sendable {
    package let identity: String
    package let hostname: String
    package let pid: Int
    package let tag: String
    package let queues: [String]
    package let concurrency: Int
    package let busy: Int
    package let isQuiet: Bool
    package let startedAt: Timestamp?
    /// The time of its last heartbeat.
    package let beat: Timestamp?
    package let residentKilobytes: Int
    package let roundTripMicroseconds: Int
    /// Whether it is a worker of this program, and not a Ruby process.
    package let isOurs: Bool

    /// - Parameter hash: alternating names and values, the answer to HGETALL.
    init(identity: String, hash: [RedisValue]) {
        var fields: [String: RedisValue] = [:]
        for index in stride(from: 0, to: hash.count - 1, by: 2) {
            fields[hash[index].string ?? ""] = hash[index + 1]
        }
        func number(_ name: String) -> Int { Int(fields[name]?.integer ?? 0) }
        let info = fields["info"]?.bytes.flatMap { try? JobPayload($0) }  // Unreadable parts stay blank.
        self.identity = identity
        hostname = info?.string("hostname") ?? ""
        pid = Int(info?.integer("pid") ?? 0)
        tag = info?.string("tag") ?? ""
        isOurs = info?.string("version") == WorkerInfo.version
        queues = info?.raw("queues").map(JSONText.readStrings) ?? []
        // Sidekiq 8.1.2 and later have it beside `info`; earlier versions have it inside.
        concurrency = Int(fields["concurrency"]?.integer ?? info?.integer("concurrency") ?? 0)
        startedAt = info?.time("started_at")
        busy = number("busy")
        isQuiet = fields["quiet"]?.string == "true"
        beat = fields["beat"]?.string.flatMap { Timestamp(sidekiq: $0) }
        residentKilobytes = number("rss")
        roundTripMicroseconds = number("rtt_us")
    }
}

/// A job that a process runs, as of its last beat.
package struct WorkReport: Sendable {
    package let identity: String
    package let tid: String
    package let queue: String
    package let job: String
    package let jid: String
    package let since: Timestamp

    init?(identity: String, tid: String, json: [UInt8]) {
        guard let work = try? JobPayload(json) else { return nil }  // Perhaps another kind of process.
        // Up to Sidekiq 6 the payload is an object here, and not a text.
        let text = work.string("payload").map { Array($0.utf8) } ?? work.raw("payload").map { Array($0) }
        let payload = text.flatMap { try? JobPayload($0) }
        self.identity = identity
        self.tid = tid
        queue = work.string("queue") ?? ""
        job = payload.map { (try? JobCall($0).job) ?? $0.job ?? "" } ?? ""
        jid = payload?.jid ?? ""
        since = Timestamp(microseconds: min(max(work.integer("run_at") ?? 0, 0), 253_402_300_799) * 1_000_000)
    }
}

/// Sidekiq's counters, and sizes.
package struct JobStatistics: Sendable {
    package let processed: Int
    package let failed: Int
    package let enqueued: Int
    package let scheduled: Int
    package let retries: Int
    package let dead: Int
    package let processes: Int
    package let busy: Int
}
