import ChatCore
import Foundation

/// Where a client gets the application's token. The token gives access to the whole application, and all users of the
/// machine can see an argument.
enum TokenSource: Equatable {
    case text(String)
    /// Given as `@path`.
    case file(String)
    /// Given as `-`: the first line.
    case standardInput

    /// The token's source cannot be read. The sentence does not contain the token.
    struct Failure: Error, Equatable {
        let sentence: String
    }

    /// The most bytes that are read of a file.
    private static let longest = 4096

    init(_ argument: String) {
        switch argument {
        case "-": self = .standardInput
        case _ where argument.hasPrefix("@"): self = .file(String(argument.dropFirst()))
        default: self = .text(argument)
        }
    }

    /// Whether an argument can only be TOKEN: a chat's number has none of these forms.
    static func isToken(_ argument: String) -> Bool {
        TokenSource(argument) != .text(argument) || Tenant.Token(argument) != nil
    }

    /// The token without surrounding spaces and line breaks.
    func read() throws(Failure) -> String {
        let text: String
        switch self {
        case .text(let token): text = token
        case .file(let path): text = try Self.read(path)
        case .standardInput: text = try Self.readLine()
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func read(_ path: String) throws(Failure) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable(path) }
        defer { close(descriptor) }
        let bytes = try bytes(of: descriptor, named: path) { _ in false }
        guard !bytes.isEmpty else { throw Failure(sentence: "The token's file \(path.printable) is empty.") }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Reads byte by byte, because the message follows.
    private static func readLine() throws(Failure) -> String {
        let line = try bytes(of: STDIN_FILENO, named: "standard input", at: 1) { $0 == UInt8(ascii: "\n") }
        guard !line.isEmpty else { throw Failure(sentence: "Standard input must begin with a line that is TOKEN.") }
        return String(decoding: line, as: UTF8.self)
    }

    private static func bytes(
        of descriptor: CInt, named name: String, at once: Int = longest, until isEnd: (UInt8) -> Bool
    ) throws(Failure) -> [UInt8] {
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: once)
        while all.count < longest {
            let count = Foundation.read(descriptor, &piece, once)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw unreadable(name) }
            all += piece[..<count]
            if count == 0 || isEnd(all[all.count - 1]) { break }
        }
        return all
    }

    private static func unreadable(_ name: String) -> Failure {
        Failure(sentence: "TOKEN cannot be read from \(name.printable): \(String(cString: strerror(errno))).")
    }
}
