import ArgumentParser
import ChatCore
import Foundation

/// How a command ends when it cannot do its work: one sentence on standard error, and a code of sysexits.h.
struct ExitStatus: Equatable {
    /// The command was not called as it must be.
    static let usage = ExitStatus(code: ExitCode(64))
    /// What it was given to store is not taken.
    static let refused = ExitStatus(code: ExitCode(65))
    /// Something this command needs is not available: an address, a file, a lock.
    static let unavailable = ExitStatus(code: ExitCode(69))
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
        FileHandle.standardError.write(Data("luciq: \(sentence)\n".utf8))
        return code
    }
}
