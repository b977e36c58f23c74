import ArgumentParser
import Foundation

/// The flags of the server and the chat, for every client command.
struct ClientFlags: ParsableArguments {
    static let tokenHelp = """
        TOKEN is the application's token, @FILE for one that a file holds, or - for one that is the first line of standard \
        input. Without it, LUCIQ_TOKEN has the token, or @FILE. CHAT is the chat's number.
        """

    /// One list, because the first one is optional.
    @Argument(help: .hidden)
    var words: [String] = []

    @Option(
        help: ArgumentHelp(
            "The server, http or https. Default: http://127.0.0.1:3000. Environment: LUCIQ_URL.", valueName: "url"))
    var url: String?

    func target() throws -> ClientTarget {
        try ClientTarget(words, url: url, environment: ProcessInfo.processInfo.environment)
    }
}

/// The parsed arguments of a client command.
struct ClientTarget {
    let address: ChatAddress
    /// The words after TOKEN and CHAT.
    let rest: [String]

    /// - Parameters:
    ///   - words: TOKEN (optional if `LUCIQ_TOKEN` is set), CHAT, and the rest.
    ///   - url: the server's; nil for the environment's.
    ///   - environment: empty variables count as not set.
    /// - Throws: an exit code, after printing the problem.
    init(_ words: [String], url: String?, environment: [String: String]) throws {
        let environment = environment.filter { !$0.value.isEmpty }
        var rest = words[...]
        let variable = environment["LUCIQ_TOKEN"]
        let source: TokenSource
        if let first = rest.first, variable == nil || TokenSource.isToken(first) {
            source = TokenSource(first)
            rest.removeFirst()
        } else if let variable {
            source = TokenSource(variable)
            guard source != .standardInput else {
                throw ExitStatus.usage("LUCIQ_TOKEN must be a token, or @ and the name of its file.")
            }
        } else {
            throw ExitStatus.usage("TOKEN and CHAT are missing. TOKEN may be in LUCIQ_TOKEN; --help tells more.")
        }
        guard let chat = rest.popFirst() else {
            let hint = variable == nil ? " TOKEN comes before it, or is in LUCIQ_TOKEN." : ""
            throw ExitStatus.usage("CHAT is missing.\(hint)")
        }
        let server = url ?? environment["LUCIQ_URL"] ?? "http://127.0.0.1:3000"
        do {
            address = try ChatAddress(url: server, token: source.read(), chat: chat)
            self.rest = Array(rest)
        } catch let invalid as ChatAddress.Invalid {
            throw ExitStatus.usage(invalid.sentence)
        } catch let failure as TokenSource.Failure {
            throw ExitStatus.usage(failure.sentence)
        }
    }
}
