import ArgumentParser
import LuciqClient

extension CallFailure {
    /// The sentence for a terminal, which must not obey what a server says.
    var words: String {
        let hint = code == "credentials_required" ? ": set LUCIQ_KEY or LUCIQ_ADMIN_KEY." : nil
        return (hint.map { sentence.dropLast() + $0 } ?? sentence).printable
    }

    var exitStatus: ExitStatus {
        switch outlook {
        case .passing: .tryLater
        case .refused: .refused
        case .final: .unavailable
        }
    }

    /// Prints the sentence.
    var exit: ExitCode { exitStatus(words) }
}
