import Foundation
import TestSupport
import Testing

@testable import luciq

@Suite(.timeLimit(.minutes(2))) struct WorkerSettingsTests {
    private static let cluster = [
        "DATABASE_URL": "mysql://u:p@127.0.0.1/db", "REDIS_URL": "redis://127.0.0.1:1",
    ]

    @Test(arguments: [
        (["worker"], [:], "A SQLite database needs no worker"),
        (["worker"], ["DATABASE_URL": "sqlite:///tmp/x.sqlite"], "A SQLite database needs no worker"),
        (["worker"], ["DATABASE_URL": "mysql://u:p@127.0.0.1/db"], "REDIS_URL must be set"),
        (
            ["worker"], ["CONCURRENCY": "0"], "CONCURRENCY (environment) must be a number from 1 to 1000."
        ),
        (["worker", "-c", "x"], [:], "CONCURRENCY (command line) must be a number from 1 to 1000."),
        (
            ["worker"], ["SIDEKIQ_FORMAT": "5"],
            "SIDEKIQ_FORMAT (environment) must be a number from 6 to 8."
        ),
        (
            ["worker", "--port", "65536"], [:],
            "WORKER_PORT (command line) must be a number from 0 to 65535."
        ),
        (["worker"], ["QUEUES": "a,b"], "QUEUES: "),
        (["worker", "-q", "a", "--queue", "a,2"], [:], "QUEUES names a twice"),
        (["worker"], ["QUEUES": "  "], "QUEUES must name a queue."),
        (["worker"], ["LOG_LEVEL": "loud"], "LOG_LEVEL (environment) must be one of"),
        (["worker"], ["SHUTDOWN_TIMEOUT": "0"], "SHUTDOWN_TIMEOUT (environment) must be a number"),
        (["jobs", "stats"], [:], "REDIS_URL must be set"),
        (["jobs", "list"], ["REDIS_URL": "http://x"], "REDIS_URL: "),
        (
            ["jobs", "dead"], ["REDIS_URL": "redis://127.0.0.1", "SIDEKIQ_FORMAT": "9"],
            "SIDEKIQ_FORMAT (environment)"
        ),
    ])
    func badSettingsAreOneSentence(
        _ arguments: [String], _ environment: [String: String], _ sentence: String
    )
        async throws
    {
        let folder = try TemporaryFolder()
        // Only the first mistake is reported, and these are checked before the database.
        let isAboutPlace =
            environment.keys.contains { $0.hasSuffix("_URL") } || sentence.contains("worker")
        let environment =
            isAboutPlace || arguments[0] == "jobs"
            ? environment : environment.merging(Self.cluster) { $1 }
        let result = try await LuciqProcess.run(arguments, in: folder, environment: environment)
        #expect(result.code == 78, "\(result.errors)")
        #expect(result.errors.hasPrefix("luciq: \(sentence)"), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
    }

    @Test func everySettingIsInHelpAndInTheDocs() async throws {
        let folder = try TemporaryFolder()
        let help = try await LuciqProcess.run(
            ["worker", "--help"], in: folder, environment: ["COLUMNS": "400"]
        ).output
        let words = help.split { $0.isWhitespace }.joined(separator: " ")
        let docs = try String(
            contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("../../docs/configuration.md"), encoding: .utf8)
        let section = try #require(docs.components(separatedBy: "## The worker's settings").last)
        func check<Value>(_ setting: Setting<Value>, shown: String? = nil) {
            let value = shown ?? "\(setting.defaultValue)"
            #expect(words.contains(setting.flag), "\(setting.flag)")
            #expect(words.contains("\(value). Environment: \(setting.variable)."), "\(setting.flag)")
            let row = section.split(separator: "\n").first { $0.contains("`\(setting.flag)`") }
            #expect(row?.contains("`\(setting.variable)`") == true, "\(setting.flag) in docs")
            #expect(row?.contains("`\(setting.key)`") == true, "\(setting.flag) in docs")
            #expect(row?.contains(value) == true, "\(setting.flag) in docs: \(value)")
        }
        check(Setup.queues)
        check(Setup.concurrency)
        check(Setup.workerTag, shown: "none")
        check(Setup.workerHost)
        check(Setup.workerPort)
        check(Setup.sidekiqFormat)
        check(Setup.sidekiqCronFormat)
        check(Setup.deadMaxJobs)
        check(Setup.deadDays)
        // And what it shares with others.
        let shared = [
            "--config", "--database-url", "--redis-url", "--database-pool", "--database-max-age", "--db-host",
            "--db-port",
            "--db-username",
            "--db-name", "--elasticsearch-url", "--elasticsearch-index", "--log-level", "--log-format",
            "--shutdown-timeout", "--version", "--help",
        ]
        let own = [
            "--queue", "--concurrency", "--tag", "--host", "--port", "--sidekiq-format", "--sidekiq-cron-format",
            "--dead-max-jobs", "--dead-days",
        ]
        #expect(Set(help.matches(of: /--[a-z-]+/).map { String($0.0) }) == Set(shared + own))
    }
}
