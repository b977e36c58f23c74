import ArgumentParser
import ChatCore
import ChatSearch
import Foundation

struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Walk the whole store and say whether everything is as promised.",
        discussion: """
            Numbers are dense from 1 and unique, counts equal the rows, nothing is an orphan, and the search \
            index holds what the rows do. Servers may be running. \
            Exits with 1 when anything is off and was not mended.
            """
    )

    @OptionGroup var database: DatabaseFlags
    @Flag(help: "Print one JSON object.") var json = false
    @Flag(help: "Put right what can be without losing anything: holes become void, counts follow their rows (cluster).")
    var mend = false
    @Flag(
        help: """
            Look only for what deleted applications have left: rows without an owner in every table, keys in Redis, and, \
            with ELASTICSEARCH_URL, documents of the search engine.
            """)
    var deleted = false
    @OptionGroup var engine: EngineFlags

    func run() async throws {
        guard !deleted else { return try await verifyDeleted() }
        try await database.withKeeper { keeper in
            let bar = ProgressBar(of: "messages")
            let report = try await keeper.verify(mends: mend) { bar.update($0, of: $1) }
            bar.finish()
            if json { try printJSON(report) } else { show(report) }
            if !report.isClean { throw ExitCode(1) }
        }
    }

    private func verifyDeleted() async throws {
        guard !mend else { throw ExitStatus.usage("--deleted changes nothing: leave out --mend.") }
        let engine: ElasticsearchEngine?
        do {
            engine = try Settings(
                flags: database.values.merging(self.engine.values) { $1 }, file: database.config
            ).engine()
        } catch let invalid as Settings.Invalid {
            throw ExitStatus.configuration(invalid.description)
        }
        try await database.withKeeper { keeper in
            try await keeper.withRemovals { store in
                let report: DeletedReport
                do {
                    report = try await RemovalVerifier(store).verify(engine)
                } catch let failure as SearchEngineFailure {
                    throw StoreProblem(failure.sentence)
                }
                if json { try printJSON(report) } else { show(report) }
                if !report.isClean { throw ExitCode(1) }
            }
        }
    }

    private func show(_ report: DeletedReport) {
        print("tables: \(report.tables)\nowners: \(report.owners)")
        if report.isClean { return print("Nothing is left of deleted applications.") }
        for problem in report.problems { print("- \(problem)") }
        let hidden = report.problemCount - Int64(report.problems.count)
        if hidden > 0 { print("- and \(hidden) more") }
        print("\(report.problemCount) problems.")
    }

    private func show(_ report: StoreReport) {
        print("applications: \(report.applications)\nchats:        \(report.chats)\nmessages:     \(report.messages)")
        for mended in report.mended { print("mended: \(mended)") }
        let unlisted = report.mendedCount - Int64(report.mended.count)
        if unlisted > 0 { print("mended: and \(unlisted) more") }
        if report.isClean { return print("Everything is as promised.") }
        for problem in report.problems { print("- \(problem)") }
        let hidden = report.problemCount - Int64(report.problems.count)
        if hidden > 0 { print("- and \(hidden) more") }
        print("\(report.problemCount) problems.")
    }
}
