import Foundation

/// The terminal on our standard streams, if any.
enum Terminal {
    static var isStandardOutput: Bool { isatty(STDOUT_FILENO) != 0 }
    static var isStandardError: Bool { isatty(STDERR_FILENO) != 0 }

    /// Prints to a terminal without waiting for it: the user may have stopped it (Ctrl-S).
    static func greet(_ text: String) {
        guard isStandardOutput else { return }
        Thread.detachNewThread { print(text) }
    }

    /// The width of standard output in characters; nil unless it is a terminal of known size.
    static var width: Int? {
        var size = winsize()
        guard isStandardOutput, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }
}

/// A progress bar on standard error; a line for every ten per cent if that is not a terminal.
final class ProgressBar: @unchecked Sendable {
    private let what: String
    private let lock = NSLock()
    private var lastTenth = -1
    private let isTerminal = Terminal.isStandardError

    /// - Parameter what: the unit: `messages`.
    init(of what: String) { self.what = what }

    func update(_ done: Int64, of total: Int64) {
        lock.withLock {
            let share = total == 0 ? 1 : min(1, Double(done) / Double(total))
            if isTerminal {
                let filled = Int(share * 40)
                let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 40 - filled)
                write("\r\(bar) \(Int(share * 100)) %  \(done) \(what)")
            } else if Int(share * 10) > lastTenth {
                lastTenth = Int(share * 10)
                write("\(Int(share * 100)) %  \(done) \(what)\n")
            }
        }
    }

    func finish() { if isTerminal { write("\n") } }

    private func write(_ text: String) { StandardStreams.tell(text) }
}
