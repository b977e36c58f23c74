import ArgumentParser
import ChatCore
import ChatSQLite
import Foundation

struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Walk the whole store and say whether everything is as promised.",
        discussion: """
            Numbers are dense from 1 and unique, counts equal the rows, nothing is an orphan. The server may be running. \
            Exits with 1 when anything is off.
            """
    )

    @OptionGroup var database: DatabaseFlags
    @Flag(help: "Print one JSON object.") var json = false

    func run() async throws {
        let path = try await database.existingPath()
        try await reportingProblems {
            let store = try SQLiteStore(path: path, readOnly: true)
            defer { try? store.close() }  // Nothing was written.
            guard try await store.status().pending.isEmpty else {
                throw ExitStatus.unavailable("\(path) is not up to date. Mend it with luciq db migrate.")
            }
            let bar = ProgressBar(of: "messages")
            let report = try await store.verify { bar.update($0, of: $1) }
            bar.finish()
            if json { try printJSON(report) } else { show(report) }
            if !report.isClean { throw ExitCode(1) }
        }
    }

    private func show(_ report: StoreReport) {
        print("applications: \(report.applications)\nchats:        \(report.chats)\nmessages:     \(report.messages)")
        if report.isClean { return print("Everything is as promised.") }
        for problem in report.problems { print("- \(problem)") }
        let hidden = report.problemCount - Int64(report.problems.count)
        if hidden > 0 { print("- and \(hidden) more") }
        print("\(report.problemCount) problems.")
    }
}
