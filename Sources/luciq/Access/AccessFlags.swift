import ArgumentParser
import ChatCore
import ChatHTTP
import Foundation
import LuciqClient
import NIOHTTP1

/// The flags of the server, for the commands that look after applications and what is in them.
struct AccessFlags: ParsableArguments {
    static let keyHelp = """
        Asks a running server, as HTTP clients do. LUCIQ_KEY, or else LUCIQ_ADMIN_KEY, has the key that allows it, or @FILE \
        for one that a file holds.
        """

    @Option(
        help: ArgumentHelp(
            "The server, http or https. Default: http://127.0.0.1:3000. Environment: LUCIQ_URL.", valueName: "url"))
    var url: String?

    @Flag(help: "Print the server's answer, as JSON.") var json = false

    /// Calls the API, and prints the answer.
    func show<Answer: Decodable>(
        _ method: HTTPMethod, _ path: String, _ body: some Encodable, member: String? = nil, missing: String,
        _ text: (Answer) -> String
    ) async throws {
        try await show(method, path, JSONText(encoding: body), member: member, missing: missing, text)
    }

    /// Calls the API, and prints the answer.
    ///
    /// - Parameters:
    ///   - member: the only one that is of interest, for JSON.
    ///   - missing: what there is not after a 404.
    ///   - text: the answer for people.
    func show<Answer: Decodable>(
        _ method: HTTPMethod, _ path: String, _ body: JSONText? = nil, member: String? = nil, missing: String,
        _ text: (Answer) -> String
    ) async throws {
        try await withServer { server in
            if json {
                let answer = try await server.call(method, path, body, missing: missing)
                return print((member.map { answer[$0] } ?? answer).printable)
            }
            print(text(try await server.call(method, path, body, missing: missing, as: Answer.self)))
        }
    }

    /// Reads a list, and prints it as a table.
    ///
    /// - Parameters:
    ///   - isWhole: whether to read all its pages.
    ///   - empty: what to say of an empty list.
    ///   - columns: their titles.
    ///   - cells: those of an item.
    func list<Item: Decodable>(
        _ path: String, isWhole: Bool = true, missing: String, empty: String, _ columns: [String],
        _ cells: (Item) -> [String]
    ) async throws {
        try await withServer { server in
            if json {
                return print(
                    JSONText.array(try await server.list(path, isWhole: isWhole, missing: missing)).printable)
            }
            let items = try await server.list(path, isWhole: isWhole, missing: missing, of: Item.self)
            guard !items.isEmpty else { return print(empty) }
            var table = Table(columns)
            for item in items { table.add(cells(item)) }
            print(table.text())
        }
    }

    /// Calls the server, and turns a failure into an exit code.
    private func withServer(_ body: (AccessClient) async throws -> Void) async throws {
        let environment = ProcessInfo.processInfo.environment.filter { !$0.value.isEmpty }
        do {
            let address = try ServerAddress(url: url ?? environment["LUCIQ_URL"] ?? ServerAddress.standard)
            let key = try AccessKey.inEnvironment(environment)
            try await body(AccessClient(server: ServerClient(address, credentials: ChatCredentials(key))))
        } catch let invalid as ServerAddress.Invalid {
            throw ExitStatus.usage(invalid.sentence)
        } catch let failure as CallFailure {
            throw failure.exit
        }
    }
}

/// An application and the server that has it: what most of these commands begin with.
struct ApplicationFlags: ParsableArguments {
    static let missing = "such application"

    @Argument(help: "The application's id, or its token.") var app: ApplicationName
    @OptionGroup var server: AccessFlags

    /// The path of something of the application, which begins with a slash.
    func path(_ rest: String = "") -> String { "/applications/\(app.text)\(rest)" }
}

/// The name of an application among the arguments: its id or its token.
struct ApplicationName: ExpressibleByArgument {
    let text: String

    init?(argument: String) {
        guard let name = Tenant.Name(argument[...]) else { return nil }
        text = name.text
    }
}

/// The id of a user among the arguments.
struct UserName: ExpressibleByArgument {
    let text: String

    init?(argument: String) {
        guard let id = User.ID(argument) else { return nil }
        text = id.text
    }

    /// For a path.
    var encoded: String { text.percentEncoded }
}

extension JSONText {
    fileprivate var printable: String { lines.map(\.printableJSON).joined(separator: "\n") }
}
