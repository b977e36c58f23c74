import ArgumentParser
import Foundation
import LuciqClient

struct Send: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send a message, or a message a line; print their numbers.",
        usage: "luciq send [<options>] [TOKEN] CHAT [TEXT]",
        discussion: """
            \(ClientFlags.tokenHelp)

            Without TEXT, all of standard input is one message, without the line break at its end. With --lines, and at a \
            terminal, each line is a message, sent as soon as it is there, in order; blank lines are none. A message \
            has 1 to 65535 bytes of UTF-8. Behind TOKEN and CHAT, an argument that begins with a dash is TEXT unless it is \
            one of the options below; behind -- it always is.

            A server that is away is tried again, for as long as --patience says; each message is stored once all the \
            same. Ends with 65 when a message is refused, and with 75 when the server was away too long: what comes \
            after it is not sent. Ends with 69 when there is no such chat, with 64 for a bad URL, TOKEN or CHAT.
            """
    )

    @OptionGroup var client: ClientFlags

    @Flag(help: "Each line of standard input is a message.") var lines = false

    @Option(help: ArgumentHelp("How long to try, for each message.", valueName: "seconds"))
    var patience = 60

    @Option(help: ArgumentHelp("The user who says it, by the application's own id.", valueName: "user"))
    var sender: String?

    func run() async throws {
        let target = try client.target()
        let text = target.rest.first
        guard target.rest.count <= 1 else {
            throw ExitStatus.usage("TEXT must be one argument: put it in quotes.")
        }
        guard text == nil || !lines else { throw ExitStatus.usage("--lines is for standard input; leave out TEXT.") }
        guard (1...86_400).contains(patience) else {
            throw ExitStatus.usage("--patience must be a number from 1 to 86400.")
        }
        Interrupt.install()
        StandardOutput.ignoreBrokenPipes()
        do {
            let chat = try ChatClient(target.address, credentials: ChatCredentials(target.key))
            if let text { try await send(text, to: chat) } else { try await sendInput(to: chat) }
        } catch StandardOutput.Failure.error(let reason) {
            throw ExitStatus.inputOutput("The message was sent, but its number cannot be written: \(reason).")
        } catch let failure as StandardInput.Failure {
            throw ExitStatus.inputOutput(failure.sentence)
        } catch let invalid as TextInput.Invalid {
            throw ExitStatus.refused(invalid.sentence)
        } catch let failure as CallFailure {
            throw failure.exit
        }
    }

    private func sendInput(to chat: ChatClient) async throws {
        let isTyped = isatty(STDIN_FILENO) != 0
        if isTyped { Notice.tell("A line is a message. Ctrl-D ends.") }
        var input = TextInput(isLines: lines || isTyped)
        while let bytes = try StandardInput.read() {
            for text in try input.read(bytes) {
                do {
                    try await send(text, to: chat)
                } catch let failure as CallFailure where isTyped && failure.outlook == .refused {
                    // A person at the terminal sees the error, and types on.
                    Notice.tell(failure.words)
                }
            }
        }
        if let text = try input.end() { try await send(text, to: chat) }
    }

    private func send(_ text: String, to chat: ChatClient) async throws {
        guard text.utf8.count <= TextInput.longest else { throw TextInput.Invalid.tooLong }
        let message = try await chat.send(
            text, sender: sender, key: "luciq-send-" + ChatClient.newKey(), patience: .seconds(patience)
        ) { Notice.tell("\($0.words) Trying again.") }
        try report(message.number)
    }

    private func report(_ number: Int64) throws {
        do throws(StandardOutput.Failure) {
            try StandardOutput.write("\(number)\n")
        } catch {
            // Keep sending even if the reader of the numbers leaves.
            guard error == .closed else { throw error }
        }
    }
}

extension Send {
    /// Puts `--` before a TEXT that begins with a dash, so that it is not parsed as options.
    ///
    /// - Parameter arguments: the whole command line.
    static func separatingText(
        in arguments: [String], environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> [String] {
        guard arguments.first == "send" else { return arguments }
        var places = environment["LUCIQ_TOKEN", default: ""].isEmpty ? 2 : 1
        var isFirst = true
        var index = 1
        while index < arguments.count {
            let argument = arguments[index]
            switch argument {
            case "--": return arguments
            case "--url", "--patience", "--sender": index += 1
            case "--lines", "--help", "-h", "--version": break
            case _ where ["--url=", "--patience=", "--sender="].contains { argument.hasPrefix($0) }: break
            case _ where !argument.hasPrefix("-") || argument == "-":
                if isFirst, places == 1, TokenSource.isToken(argument) { places = 2 }
                isFirst = false
                places -= 1
            case _ where places == 0:
                var separated = arguments
                separated.remove(at: index)
                return separated + ["--", argument]
            default: return arguments
            }
            index += 1
        }
        return arguments
    }
}
