import ArgumentParser

@main
struct Luciq: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "luciq",
        abstract: "Luciq Chat: a multi-tenant chat backend.",
        version: version,
        subcommands: commands + testCommands,
        defaultSubcommand: nil
    )

    private static let commands: [any ParsableCommand.Type] = [
        Serve.self, WorkerCommand.self, Jobs.self, DB.self, Verify.self, Search.self, Tail.self, Send.self,
        Apps.self, Keys.self, TokenKeys.self, Users.self, Members.self, Token.self,
    ]

    #if DEBUG
        private static let testCommands: [any ParsableCommand.Type] = [Hang.self]
    #else
        private static let testCommands: [any ParsableCommand.Type] = []
    #endif

    static func main() async {
        StandardStreams.keepOpen()
        let arguments = Array(CommandLine.arguments.dropFirst())
        ArgumentSecrets.wipe()
        await main(Send.separatingText(in: arguments))
    }
}
