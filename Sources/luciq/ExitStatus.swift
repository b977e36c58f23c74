import ArgumentParser
import ChatCore

/// How a command ends when it cannot do its work: one sentence on standard error, and a code of sysexits.h.
struct ExitStatus: Equatable {
    /// The command was not called as it must be.
    static let usage = ExitStatus(code: ExitCode(64))
    /// What it was given to store is not taken.
    static let refused = ExitStatus(code: ExitCode(65))
    /// Something this command needs is not available: an address, a file, a lock.
    static let unavailable = ExitStatus(code: ExitCode(69))
    /// What should not be: an error that no other code is for.
    static let failure = ExitStatus(code: .failure)
    /// The shutdown took longer than it may, and the watchdog ended the process.
    static let overdue = ExitStatus(code: ExitCode(70))
    /// Its output could not be written.
    static let inputOutput = ExitStatus(code: ExitCode(74))
    /// It may succeed later.
    static let tryLater = ExitStatus(code: ExitCode(75))
    /// The configuration is wrong.
    static let configuration = ExitStatus(code: ExitCode(78))

    let code: ExitCode

    /// Says the problem, and how the command ends.
    static func problem(_ problem: StoreProblem) -> ExitCode {
        (problem.isConfiguration ? configuration : unavailable)(problem.description)
    }

    func callAsFunction(_ sentence: String) -> ExitCode {
        // After what the log has said, and without waiting for ever for its reader.
        LogQueue.standardError.append("luciq: \(sentence)\n")
        LogQueue.standardError.flush()
        return code
    }
}
