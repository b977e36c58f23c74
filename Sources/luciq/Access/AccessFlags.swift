import ArgumentParser
import ChatCore
import Foundation
import NIOCore
import NIOHTTP1

/// The flags of the server, for the commands that look after applications and their keys.
struct AccessFlags: ParsableArguments {
    static let keyHelp = """
        Asks a running server, as HTTP clients do. LUCIQ_KEY, or else LUCIQ_ADMIN_KEY, has the key that allows it, or @FILE \
        for one that a file holds.
        """

    @Option(
        help: ArgumentHelp(
            "The server, http or https. Default: http://127.0.0.1:3000. Environment: LUCIQ_URL.", valueName: "url"))
    var url: String?

    @Flag(help: "Print JSON.") var json = false

    /// Calls the server, and turns a failure into an exit code.
    func withServer(_ body: (AccessClient) async throws -> Void) async throws {
        let environment = ProcessInfo.processInfo.environment.filter { !$0.value.isEmpty }
        do {
            let address = try ServerAddress(url: url ?? environment["LUCIQ_URL"] ?? ServerAddress.standard)
            let key = try AccessKey.inEnvironment(environment)
            try await body(AccessClient(server: ServerClient(address, key: key, silence: .seconds(15))))
        } catch let invalid as ServerAddress.Invalid {
            throw ExitStatus.usage(invalid.sentence)
        } catch let failure as CallFailure {
            throw failure.exitStatus(failure.sentence)
        }
    }
}

/// The name of an application among the arguments: its id or its token.
struct ApplicationName: ExpressibleByArgument {
    let text: String

    init?(argument: String) {
        guard let name = Tenant.Name(argument[...]) else { return nil }
        text = name.text
    }
}

/// Calls of the API for applications and their keys.
struct AccessClient {
    let server: ServerClient

    /// - Parameters:
    ///   - body: sent as JSON.
    ///   - missing: what there is not after a 404.
    /// - Returns: the parsed answer.
    func call<Answer: Decodable>(
        _ method: HTTPMethod, _ path: String, _ body: (any Encodable)? = nil, missing: String, as type: Answer.Type
    ) async throws -> Answer {
        var headers: HTTPHeaders = [:]
        var bytes: ByteBuffer?
        if let body {
            let json = try JSONEncoder().encode(body)
            headers = ["Content-Type": "application/json", "Content-Length": String(json.count)]
            bytes = ByteBuffer(bytes: json)
        }
        let answer = try await server.whole(
            server.execute(method, server.address.path + path, headers, bytes))
        guard (200...299).contains(answer.status),
            let value = try? JSONDecoder().decode(Answer.self, from: Data(answer.body))
        else { throw answer.failure(at: server.address, missing: missing) }
        return value
    }
}
