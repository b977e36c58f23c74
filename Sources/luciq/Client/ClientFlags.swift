import ArgumentParser
import Foundation

/// Which chat, of which server; for every command that is a client.
struct ClientFlags: ParsableArguments {
    @Argument(help: "The application's token.")
    var token: String

    @Argument(help: "The chat's number.")
    var chat: String

    @Option(
        help: ArgumentHelp(
            "The server, http or https. Default: http://127.0.0.1:3000. Environment: LUCIQ_URL.", valueName: "url"))
    var url: String?

    func address() throws -> ChatAddress {
        let variable = ProcessInfo.processInfo.environment["LUCIQ_URL"].flatMap { $0.isEmpty ? nil : $0 }
        do throws(ChatAddress.Invalid) {
            return try ChatAddress(url: url ?? variable ?? "http://127.0.0.1:3000", token: token, chat: chat)
        } catch {
            throw ExitStatus.usage(error.sentence)
        }
    }
}
