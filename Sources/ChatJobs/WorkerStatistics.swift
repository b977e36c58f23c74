import ChatCore
import RedisClient
import Synchronization

/// The statistics of Sidekiq's web page: counts of jobs, in all, by day, and by class and minute.
///
/// Collected here, and added to Redis at each beat. If that fails, they stay for the next beat.
final class WorkerStatistics: Sendable {
    /// The counts of one class.
    struct Counts: Sendable {
        var processed = 0
        var failed = 0
        var milliseconds: Int64 = 0
        /// Successful runs by duration, in the buckets of Sidekiq's histogram.
        var histogram: [Int: Int] = [:]
    }

    struct Gathered: Sendable {
        var processed = 0
        var failed = 0
        var byJob: [String: Counts] = [:]
    }

    private let gathered = Mutex(Gathered())

    func succeeded(_ job: String, _ elapsed: Duration) {
        let milliseconds = elapsed.milliseconds
        gathered.withLock { gathered in
            gathered.processed += 1
            gathered.byJob[job, default: Counts()].processed += 1
            gathered.byJob[job]!.milliseconds += milliseconds
            gathered.byJob[job]!.histogram[Self.bucket(milliseconds), default: 0] += 1
        }
    }

    /// - Parameter job: nil for an unknown class.
    func failed(_ job: String?) {
        gathered.withLock { gathered in
            gathered.processed += 1
            gathered.failed += 1
            guard let job else { return }
            gathered.byJob[job, default: Counts()].processed += 1
            gathered.byJob[job]!.failed += 1
        }
    }

    /// Takes all counts; give them back with `keep` if they could not be written.
    func take() -> Gathered {
        gathered.withLock { gathered in
            defer { gathered = Gathered() }
            return gathered
        }
    }

    func keep(_ old: Gathered) {
        gathered.withLock { gathered in
            gathered.processed += old.processed
            gathered.failed += old.failed
            for (job, counts) in old.byJob {
                gathered.byJob[job, default: Counts()].processed += counts.processed
                gathered.byJob[job]!.failed += counts.failed
                gathered.byJob[job]!.milliseconds += counts.milliseconds
                gathered.byJob[job]!.histogram.merge(counts.histogram, uniquingKeysWith: +)
            }
        }
    }

    /// Upper bounds of the histogram's buckets in milliseconds; the last one has none (Sidekiq 7 and 8).
    private static let bounds: [Int64] = [
        20, 30, 45, 65, 100, 150, 225, 335, 500, 750, 1100, 1700, 2500, 3800, 5750, 8500, 13_000, 20_000, 30_000,
        45_000, 65_000, 100_000, 150_000, 225_000, 335_000,
    ]

    private static func bucket(_ milliseconds: Int64) -> Int {
        bounds.firstIndex { milliseconds < $0 } ?? bounds.count
    }
}

extension WorkerStatistics.Gathered {
    /// The commands that add it to Redis.
    func commands(format: SidekiqFormat, now: Timestamp) -> [RedisCommand] {
        guard processed > 0 else { return [] }
        var commands: [RedisCommand] = []
        let day = now.rfc3339.prefix(10)
        for (name, count) in [("processed", processed), ("failed", failed)] {
            commands.append(RedisCommand("INCRBY", "stat:\(name)", "\(count)"))
            commands.append(RedisCommand("INCRBY", "stat:\(name):\(day)", "\(count)"))
            commands.append(RedisCommand("EXPIRE", "stat:\(name):\(day)", "\(5 * 365 * 24 * 3600)"))
        }
        let moment = MetricsMoment(now)
        for (key, seconds) in moment.keys(format) {
            for (job, counts) in byJob.sorted(by: { $0.key < $1.key }) {
                for (field, count) in [
                    ("p", Int64(counts.processed)), ("f", Int64(counts.failed)), ("ms", counts.milliseconds),
                ] where count > 0 || field == "ms" && counts.processed > counts.failed {
                    commands.append(RedisCommand("HINCRBY", key, "\(job)|\(field)", "\(count)"))
                }
            }
            commands.append(RedisCommand("EXPIRE", key, "\(seconds)"))
        }
        guard format != .v6 else { return commands }
        for (job, counts) in byJob where !counts.histogram.isEmpty {
            let key = "h|\(job)-\(moment.histogramSuffix)"
            let additions = counts.histogram.flatMap { ["INCRBY", "u16", "#\($0.key)", "\($0.value)"] }
            commands.append(RedisCommand(["BITFIELD", key, "OVERFLOW", "SAT"] + additions))
            commands.append(RedisCommand("EXPIRE", key, "\(8 * 3600)"))
        }
        return commands
    }
}

/// A minute in UTC, as in the names of Sidekiq's metrics.
private struct MetricsMoment {
    private let year: Substring
    private let month: Substring
    private let day: Substring
    private let hour: Int
    private let minute: Substring

    init(_ time: Timestamp) {
        let text = time.rfc3339
        func part(_ from: Int, _ count: Int) -> Substring { text.dropFirst(from).prefix(count) }
        (year, month, day, minute) = (part(0, 4), part(5, 2), part(8, 2), part(14, 2))
        hour = Int(part(11, 2)) ?? 0
    }

    /// Keys and their lifetimes in seconds.
    func keys(_ format: SidekiqFormat) -> [(String, Int)] {
        switch format {
        case .v6: []
        case .v7: [("j|\(year)\(month)\(day)|\(hour):\(Int(minute) ?? 0)", 8 * 3600)]
        case .v8:
            [
                ("j|\(year.suffix(2))\(month)\(day)|\(hour):\(minute)", 8 * 3600),
                ("j|\(year.suffix(2))\(month)\(day)|\(hour):\(minute.prefix(1))", 72 * 3600),
            ]
        }
    }

    /// Day of the month, hour and minute, without leading zeros.
    var histogramSuffix: String { "\(Int(day) ?? 0)-\(hour):\(Int(minute) ?? 0)" }
}
