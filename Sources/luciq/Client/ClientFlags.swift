import ArgumentParser
import ChatCore
import Foundation
import LuciqClient

/// The flags of the server and the chat, for every client command.
struct ClientFlags: ParsableArguments {
    static let tokenHelp = """
        TOKEN is the application's token or id, @FILE for one that a file holds, or - for one that is the first line of standard \
        input. Without it, LUCIQ_TOKEN has the token, or @FILE. CHAT is the chat's number. Where a key is needed, LUCIQ_KEY has it, \
        or @FILE.
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
    /// From the environment.
    let key: AccessKey?
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
        let server = url ?? environment["LUCIQ_URL"] ?? ServerAddress.standard
        do {
            address = try ChatAddress(url: server, token: source.read(), chat: chat)
            key = try AccessKey.inEnvironment(environment)
            self.rest = Array(rest)
        } catch let invalid as ServerAddress.Invalid {
            throw ExitStatus.usage(invalid.sentence)
        } catch let failure as TokenSource.Failure {
            throw ExitStatus.usage(failure.sentence)
        }
    }
}

extension ChatCredentials {
    init(_ key: AccessKey?) { self = key.map { .key($0.text) } ?? .none }
}

extension AccessKey {
    /// The key in `LUCIQ_KEY`, or in the file that it names with an @; else the first one of `LUCIQ_ADMIN_KEY`.
    ///
    /// - Returns: nil if neither is set.
    /// - Throws: an exit code, after printing the problem.
    static func inEnvironment(_ environment: [String: String]) throws -> AccessKey? {
        let text: String
        if let value = environment["LUCIQ_KEY"], !value.isEmpty {
            let source = TokenSource(value)
            guard source != .standardInput else {
                throw ExitStatus.usage("LUCIQ_KEY must be a key, or @ and the name of its file.")
            }
            do {
                text = try source.read()
            } catch {
                throw ExitStatus.usage(error.sentence.replacing("TOKEN", with: "LUCIQ_KEY"))
            }
        } else if let value = environment["LUCIQ_ADMIN_KEY"], !value.isEmpty {
            text = value.split(separator: ",").first.map { $0.trimmingCharacters(in: .whitespaces) } ?? ""
        } else {
            return nil
        }
        guard let key = AccessKey(text) else {
            throw ExitStatus.usage("LUCIQ_KEY must be a key, lq_app_… or lq_adm_…, without a mistake in it.")
        }
        return key
    }
}
