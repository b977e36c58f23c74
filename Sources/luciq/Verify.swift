import ArgumentParser
import ChatCore
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

    func run() async throws {
        try await database.withKeeper { keeper in
            let bar = ProgressBar(of: "messages")
            let report = try await keeper.verify(mends: mend) { bar.update($0, of: $1) }
            bar.finish()
            if json { try printJSON(report) } else { show(report) }
            if !report.isClean { throw ExitCode(1) }
        }
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
