import ChatCore
import Foundation
import LuciqClient
import TestSupport
import Testing

@testable import luciq

/// Where `luciq tail` and `luciq send` have their TOKEN, CHAT and TEXT from.
@Suite(.timeLimit(.minutes(5))) struct TokenTests {
    private static let token = ChatAddressTests.token
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func file(_ name: String, _ text: String) throws -> String {
        try text.write(toFile: folder.file(name), atomically: false, encoding: .utf8)
        return folder.file(name)
    }

    private func words(_ words: [String], token: String? = nil) throws -> [String] {
        let target = try ClientTarget(words, url: nil, environment: token.map { ["LUCIQ_TOKEN": $0] } ?? [:])
        return [target.address.application, String(target.address.chat)] + target.rest
    }

    @Test func theTokenIsFound() throws {
        let path = try file("token", Self.token + "\r\n\n")
        let other = String(repeating: "f", count: 32)
        #expect(try words([Self.token, "7"]) == [Self.token, "7"])
        #expect(try words([Self.token, "7", "x"], token: other) == [Self.token, "7", "x"])
        #expect(try words(["@" + path, "7", "x"], token: other) == [Self.token, "7", "x"])
        #expect(try words(["7"], token: Self.token) == [Self.token, "7"])
        #expect(try words(["7", "12"], token: Self.token + "\n") == [Self.token, "7", "12"])
        #expect(try words(["7", Self.token], token: "@" + path) == [Self.token, "7", Self.token])
    }

    /// None of the sentences holds what was read.
    @Test func whatIsNoTokenIsSaid() async throws {
        let empty = try file("empty", "")
        let wrong = try file("wrong", "s3cret")
        let large = try file("large", String(repeating: "0", count: 5000))
        let cases: [(arguments: [String], variable: String, sentence: String)] = [
            ([], "", "TOKEN and CHAT are missing. TOKEN may be in LUCIQ_TOKEN; --help tells more."),
            (["7"], "", "CHAT is missing. TOKEN comes before it, or is in LUCIQ_TOKEN."),
            ([], Self.token, "CHAT is missing."),
            (["@" + empty, "7"], "", "The token's file \(empty) is empty."),
            (
                ["@" + wrong, "7"], "",
                "TOKEN must be the 32 hex digits, in lower case, that the application was given, or its id."
            ),
            (
                ["@" + large, "7"], "",
                "TOKEN must be the 32 hex digits, in lower case, that the application was given, or its id."
            ),
            (["@/nowhere", "7"], "", "TOKEN cannot be read from /nowhere: No such file or directory."),
            (["7"], "@" + folder.path, "TOKEN cannot be read from \(folder.path): Is a directory."),
            (["-", "7"], "", "Standard input must begin with a line that is TOKEN."),
            (["7"], "-", "LUCIQ_TOKEN must be a token, or @ and the name of its file."),
            (["s3cret", "7"], Self.token, "CHAT must be a chat's number, from 1."),
        ]
        for (arguments, variable, sentence) in cases {
            let result = try await LuciqProcess.run(
                ["tail"] + arguments, in: folder, environment: ["LUCIQ_TOKEN": variable])
            #expect(result.code == 64, "\(arguments)")
            #expect(result.errors == "luciq: \(sentence)\n", "\(arguments)")
        }
    }

    private static let dashes: [(arguments: [String], separated: [String]?)] = [
        (["send", "T", "1", "-dash"], ["send", "T", "1", "--", "-dash"]),
        (["send", "T", "1", "--dash"], ["send", "T", "1", "--", "--dash"]),
        (["send", "T", "1", "-5"], ["send", "T", "1", "--", "-5"]),
        (["send", "T", "1", "-dash", "--patience", "3"], ["send", "T", "1", "--patience", "3", "--", "-dash"]),
        (
            ["send", "--url", "-u", "T", "--lines", "1", "-x"],
            ["send", "--url", "-u", "T", "--lines", "1", "--", "-x"]
        ),
        (["send", "T", "1", "--help"], nil), (["send", "T", "1", "-h"], nil), (["send", "T", "1", "--lines"], nil),
        (["send", "T", "1", "--", "-dash"], nil), (["send", "T", "-1"], nil), (["send", "-x", "T", "1"], nil),
        (["send", "T", "1", "text", "-x"], nil), (["send", "T", "1", "-"], nil), (["tail", "T", "1", "-x"], nil),
    ]

    @Test(arguments: dashes)
    func aTextMayBeginWithADash(_ arguments: [String], _ separated: [String]?) {
        #expect(Send.separatingText(in: arguments, environment: [:]) == separated ?? arguments)
    }

    @Test func aTextMayBeginWithADashWithoutToken() {
        let environment = ["LUCIQ_TOKEN": Self.token]
        #expect(Send.separatingText(in: ["send", "1", "-x"], environment: environment) == ["send", "1", "--", "-x"])
        let arguments = ["send", Self.token, "1", "-x"]
        #expect(
            Send.separatingText(in: arguments, environment: environment) == ["send", Self.token, "1", "--", "-x"])
        #expect(
            Send.separatingText(in: ["send", "@f", "-x"], environment: environment) == ["send", "@f", "-x"])
    }

    @Test func toARealServer() async throws {
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        let token = String(chat.split(separator: "/")[1])
        let path = try file("token", token + "\n")
        var environment = ["LUCIQ_URL": "http://127.0.0.1:\(client.port)"]
        func send(_ arguments: String..., input: String? = nil) async throws -> String {
            let (code, output, errors) = try await LuciqProcess.run(
                ["send"] + arguments, in: folder, environment: environment, input: input)
            return code == 0 ? output : errors
        }
        #expect(try await send(token, "1", "-dash") == "1\n")
        #expect(try await send("@" + path, "1", "--two words") == "2\n")
        #expect(try await send("-", "1", input: token + "\nthree\nlines\n") == "3\n")
        #expect(try await send("-", "1", "--lines", input: token + "\r\nfour\nfive\n") == "4\n5\n")
        environment["LUCIQ_TOKEN"] = token
        #expect(try await send("1", "six") == "6\n")
        #expect(try await send("1", "-h").contains("USAGE: luciq send"))
        #expect(try await send(token, "1", "--help").contains("USAGE: luciq send"))
        #expect(try await send("1", "a", "b") == "luciq: TEXT must be one argument: put it in quotes.\n")
        let bodies = try await client.get(chat + "/messages").list.map { $0["body"] as? String }
        #expect(bodies == ["-dash", "--two words", "three\nlines", "four", "five", "six"])
        server.signal(SIGKILL)
    }
}
