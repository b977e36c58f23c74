/// Why a call to a server failed.
struct CallFailure: Error, Equatable {
    /// What a retry can expect.
    enum Outlook: Equatable {
        /// It may succeed. `asked` is the pause that the server has asked for.
        case passing(asked: Duration? = nil)
        /// It fails again: the text is refused.
        case refused
        /// It fails again.
        case final
    }

    /// One sentence.
    let sentence: String
    let outlook: Outlook
    /// Whether the request may have taken effect nevertheless.
    var mayHaveHappened = false

    var isPassing: Bool { if case .passing = outlook { true } else { false } }

    /// The command's exit code.
    var exitStatus: ExitStatus {
        switch outlook {
        case .passing: .tryLater
        case .refused: .refused
        case .final: .unavailable
        }
    }
}
