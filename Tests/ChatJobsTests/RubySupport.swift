import ChatCore
import ChatJobs
import Foundation
import Logging
import Metrics
import RedisClient
import TestSupport
import Testing

/// Sidekiq in Ruby (Debian's: 6.4, with sidekiq-cron 1.8) and ours, on a Redis database of the test's own.
struct RubyBench: Sendable {
    let url: String
    let redis: RedisClient
    var queue: JobQueue { JobQueue(redis: redis, format: .v6) }

    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Ruby/"

    /// Runs Ruby code with Sidekiq loaded.
    ///
    /// - Returns: what it printed.
    @discardableResult
    func ruby(_ code: String) async throws -> String {
        try await runProgram(
            ["ruby", "-r", Self.folder + "setup.rb", "-"], input: code, environment: ["REDIS_URL": url], within: 60)
    }

    /// Checks the value of Ruby code, as JSON.
    func expect(
        _ code: String, is wanted: String, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let value = try await rubyValue(code)
        #expect(value == wanted, sourceLocation: sourceLocation)
    }

    /// - Returns: the value of Ruby code, as JSON.
    func rubyValue(_ code: String) async throws -> String {
        try await ruby("puts Sidekiq.dump_json(begin; \(code)\nend)")
    }

    /// Starts a program of the folder, which sees the same Redis.
    func start(_ command: [String], environment: [String: String] = [:]) throws -> RubyProcess {
        try RubyProcess(command, environment: environment.merging(["REDIS_URL": url]) { $1 })
    }

    /// Runs a Ruby worker for as long as `body` does; it is known by then.
    func withRubyWorker(withCron: Bool = false, _ body: (RubyProcess) async throws -> Void) async throws {
        let before = try await call("SCARD", "processes").integer ?? 0
        let process = try start(
            ["sidekiq", "-e", "test", "-c", "3", "-r", Self.folder + "jobs.rb"],
            environment: withCron ? ["WITH_CRON": "1"] : [:])
        try await eventually("the Ruby worker is there", within: 30) {
            if !process.isRunning { throw RubyFailure("The Ruby worker ended:\n\(process.output)") }
            return try await call("SCARD", "processes").integer ?? 0 > before
        }
        try await body(process)
        await process.stop()
    }

    func web() async throws -> RubyWeb {
        let process = try start(["ruby", Self.folder + "web.rb"])
        try await process.process.prints("Listening on ")
        guard let port = process.output.firstMatch(of: /Listening on (\d+)\./).flatMap({ Int($0.1) }) else {
            throw RubyFailure("It does not say on which port it listens:\n\(process.output)")
        }
        return RubyWeb(process: process, port: port)
    }

    /// Runs one of our workers while `body` runs, or until it is stopped.
    func withWorker(
        _ jobs: [any Job], log: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        _ body: (Worker) async throws -> Void
    ) async throws {
        var configuration = WorkerConfiguration()
        configuration.format = .v6
        configuration.concurrency = 3
        configuration.averagePoll = .milliseconds(200)
        configuration.intervals.beat = .milliseconds(200)
        configuration.tag = "ours"
        let worker = Worker(
            configuration, jobs: JobRegistry(jobs), redis: redis, logger: log, metrics: NOOPMetricsHandler.instance)
        let running = Task { try await worker.run() }
        do {
            try await eventually("our worker is there") {
                try await call("SISMEMBER", "processes", worker.identity).integer == 1
            }
            try await body(worker)
        } catch {
            running.cancel()
            throw error
        }
        worker.stop()
        try await running.value
    }

    @discardableResult
    func call(_ arguments: String...) async throws -> RedisValue { try await redis.send(RedisCommand(arguments)) }

    func list(_ key: String) async throws -> [String] {
        try await call("LRANGE", key, "0", "-1").array?.map { $0.string ?? "" } ?? []
    }
}

func withRuby(_ body: (RubyBench) async throws -> Void) async throws {
    let url = try await SharedServers.freshRedisDatabase()
    // These tests do not test how fast a busy machine answers.
    try await withCronRedis(url + "?command-timeout=10") { redis in try await body(RubyBench(url: url, redis: redis)) }
}

/// An error of the Ruby program.
struct RubyFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A Ruby program that runs beside the test, and its log.
final class RubyProcess: Sendable {
    let process: ServerProcess
    private let folder: TemporaryFolder

    init(_ command: [String], environment: [String: String]) throws {
        folder = try TemporaryFolder()
        process = try ServerProcess(command, log: folder.file("log"), environment: environment)
    }

    var isRunning: Bool { process.isRunning }
    var output: String { process.output }

    func stop() async { await process.stop() }
}
