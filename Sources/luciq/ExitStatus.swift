import ArgumentParser
import ChatCore
import Foundation

/// How a command ends when it cannot do its work: one sentence on standard error, and a code of sysexits.h.
struct ExitStatus {
    /// The configuration is wrong.
    static let configuration = ExitStatus(code: ExitCode(78))
    /// Something this command needs is not available: an address, a file, a lock.
    static let unavailable = ExitStatus(code: ExitCode(69))

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
