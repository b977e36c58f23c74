import ChatCore
import Foundation
import RedisClient

/// sidekiq-cron's keys of one job.
struct CronKeys: Sendable {
    /// HASH: the job's definition, and when it was enqueued last.
    let job: String
    /// ZSET of the done ticks: the score is the second, the member the tick in ISO 8601. The process that adds one
    /// enqueues it.
    let enqueued: String
    /// LIST of the latest job ids.
    let history: String

    /// SET of the names of our disabled jobs: they stay disabled when their hashes are gone, as after
    /// `Sidekiq::Cron::Job.destroy_all!`.
    static let disabled = "luciq:cron:disabled"

    init(_ name: String, format: CronFormat) {
        let key = format.key(name)
        job = key
        enqueued = key + ":enqueued"
        history = key + ":jid_history"
    }
}

/// The fields of a job's hash.
struct CronEntry: Sendable {
    static let fields = ["name", "klass", "cron", "description", "status", "last_enqueue_time", "message"]

    let name: String
    let job: String
    let expression: String
    let description: String
    let isEnabled: Bool
    let lastRun: Timestamp?
    /// The message to enqueue, without an id: JSON.
    let message: [UInt8]

    /// The queue in the message; a foreign message may be anything.
    var queue: String { (try? JobPayload(message))?.queue ?? JobOptions().queue }

    /// - Parameter reply: HMGET's, of `fields`. Nil if there is no such hash.
    init?(_ reply: RedisValue) {
        guard let values = reply.array, values.count == Self.fields.count, let expression = values[2].string else {
            return nil
        }
        self.expression = expression
        name = values[0].string ?? ""
        job = values[1].string ?? ""
        description = values[3].string ?? ""
        // The same rule as in sidekiq-cron.
        isEnabled = (values[4].string ?? "enabled").isSame("enabled")
        lastRun = values[5].string.flatMap { Timestamp(cron: $0) }
        message = values[6].bytes ?? []
    }
}

extension Timestamp {
    /// `2026-11-23T02:00:00Z`: a tick as a member of `enqueued`.
    var cronTick: String { rfc3339.prefix(19) + "Z" }

    /// A tick's score, as Ruby writes it: `1795399200.0`.
    var cronScore: String { "\(wholeSeconds).0" }

    /// `2026-11-23 02:00:07 +0000`: sidekiq-cron's format of the last enqueue time.
    var cronTime: String { "\(rfc3339.prefix(10)) \(rfc3339.dropFirst(11).prefix(8)) +0000" }

    /// Reads `cronTime`, and the web page's format: `2026-11-23 02:00:07 UTC`.
    init?(cron text: String) {
        guard
            let match = text.wholeMatch(
                of: /(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)? ?(?:UTC|Z|([+-])(\d\d):?(\d\d))/),
            let date = try? Date("\(match.1)T\(match.2)Z", strategy: .iso8601)  // Nil for a month 13.
        else { return nil }
        var seconds = Int64(date.timeIntervalSince1970)
        if let sign = match.3, let hours = match.4.flatMap({ Int64($0) }), let minutes = match.5.flatMap({ Int64($0) })
        {
            seconds -= (sign == "-" ? -1 : 1) * (hours * 3600 + minutes * 60)
        }
        self.init(wholeSeconds: seconds)
    }
}
