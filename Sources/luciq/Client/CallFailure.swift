/// Why a call to a server did not give what it was made for.
struct CallFailure: Error, Equatable {
    /// What another try would find.
    enum Outlook: Equatable {
        /// It may succeed. `asked` is how long the server wants to be left alone.
        case passing(asked: Duration? = nil)
        /// The same again: this text is not taken.
        case refused
        /// The same again.
        case final
    }

    /// One sentence.
    let sentence: String
    let outlook: Outlook
    /// Whether what was asked for may have happened all the same.
    var mayHaveHappened = false

    var isPassing: Bool { if case .passing = outlook { true } else { false } }

    /// How a command ends for it.
    var exitStatus: ExitStatus {
        switch outlook {
        case .passing: .tryLater
        case .refused: .refused
        case .final: .unavailable
        }
    }
}
