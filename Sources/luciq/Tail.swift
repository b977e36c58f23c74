import ArgumentParser
import ChatCore
import Foundation
import LuciqClient

struct Tail: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Follow a chat: a line a message, as they come.",
        usage: "luciq tail [<options>] [TOKEN] CHAT",
        discussion: """
            \(ClientFlags.tokenHelp)

            A line is the message's number, its time by this machine's clock, its sender if there is one, and its text; \
            what a terminal would obey is shown as a sign, a line break as ↵. With --json it is the message as the \
            server gives it.

            With --changes edits and deletions are lines, too, after the message's own: its number, ~ and its text as it is \
            now, or its number and ×. With --json such a line is {"number":…,"parts":…}.

            A lost connection is made again, and goes on where it was lost: every message comes once, in order. A \
            server that is away is waited for. Ends with 130 on Ctrl-C, with 0 when the reader of its output has had \
            enough (luciq tail … | head), with 69 when there is no such chat, with 64 for a bad URL, TOKEN or CHAT.
            """
    )

    @OptionGroup var client: ClientFlags

    @Option(
        help:
            "Begin after this message, or after a cursor such as 43.17; 0 for all that there is. Default: with the next one."
    )
    var after: String?

    @Flag(help: "Print edits and deletions, too.") var changes = false

    @Flag(help: "Print a JSON object a line.") var json = false

    // The server writes at least a comment every 15 seconds.
    @Option(help: .hidden) var silence = 40

    func run() async throws {
        let target = try client.target()
        guard target.rest.isEmpty else { throw ExitStatus.usage("There is an argument too many behind CHAT.") }
        let start = after.map { Cursor($0[...]) }
        guard start != .some(nil) else { throw ExitStatus.usage("--after must be a message's number, or 0.") }
        Interrupt.install()
        StandardOutput.ignoreBrokenPipes()
        StandardOutput.endWithItsReader()
        do {
            let chat = try ChatClient(target.address, credentials: ChatCredentials(target.key))
            try await follow(chat, after: (start ?? nil)?.description)
        } catch StandardOutput.Failure.closed {
            return
        } catch StandardOutput.Failure.error(let reason) {
            throw ExitStatus.inputOutput("The output cannot be written: \(reason).")
        } catch let failure as CallFailure {
            throw failure.exit
        }
    }

    /// Never returns; throws the error that ends it.
    private func follow(_ chat: ChatClient, after start: String?) async throws {
        var following = Following(after: start, hasChanges: changes, isJSON: json)
        let updates = chat.updates(
            from: start.map { .after($0) } ?? .next, hasChanges: changes, silence: .seconds(silence)
        ).makeAsyncIterator()
        // All that has come at once is one write.
        while let batch = try await updates.batch() {
            var lines = ""
            for update in batch {
                let (text, notice) = following.take(update)
                lines += text
                Notice.tell(notice)
            }
            if !lines.isEmpty { try StandardOutput.write(lines) }
        }
    }
}
