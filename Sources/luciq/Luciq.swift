import ArgumentParser

@main
struct Luciq: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "luciq",
        abstract: "Luciq Chat: a multi-tenant chat backend.",
        version: version,
        subcommands: [
            Serve.self, WorkerCommand.self, Jobs.self, DB.self, Verify.self, Tail.self, Send.self,
        ],
        defaultSubcommand: nil
    )

    static func main() async {
        StandardStreams.keepOpen()
        let arguments = Array(CommandLine.arguments.dropFirst())
        ArgumentSecrets.wipe()
        await main(Send.separatingText(in: arguments))
    }
}
