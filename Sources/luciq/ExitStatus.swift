import ArgumentParser
import ChatCore

/// The exit of a command that fails: one sentence on standard error, and a code of sysexits.h.
struct ExitStatus: Equatable {
    /// The command was used incorrectly.
    static let usage = ExitStatus(code: ExitCode(64))
    /// The text to store was refused.
    static let refused = ExitStatus(code: ExitCode(65))
    /// Something this command needs is not available: an address, a file, a lock.
    static let unavailable = ExitStatus(code: ExitCode(69))
    /// An unexpected error, for which there is no other code.
    static let failure = ExitStatus(code: .failure)
    /// The shutdown took too long, and the watchdog ended the process.
    static let overdue = ExitStatus(code: ExitCode(70))
    /// Its output could not be written.
    static let inputOutput = ExitStatus(code: ExitCode(74))
    /// A retry may succeed later.
    static let tryLater = ExitStatus(code: ExitCode(75))
    /// The configuration is wrong.
    static let configuration = ExitStatus(code: ExitCode(78))

    let code: ExitCode

    /// Prints the problem, and returns the exit code.
    static func problem(_ problem: StoreProblem) -> ExitCode {
        (problem.isConfiguration ? configuration : unavailable)(problem.description)
    }

    func callAsFunction(_ sentence: String) -> ExitCode {
        // After the log's lines, but without waiting for ever for its reader.
        LogQueue.standardError.append("luciq: \(sentence)\n")
        LogQueue.standardError.flush()
        return code
    }
}
