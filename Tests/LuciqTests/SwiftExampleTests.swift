import Foundation
import TestSupport
import Testing

/// The program of docs/swift.md does what it says there.
@Suite(.timeLimit(.minutes(2))) struct SwiftExampleTests {
    private static let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

    @Test func isWhatTheDocumentShows() throws {
        let document = try String(contentsOf: Self.here.appendingPathComponent("../../docs/swift.md"), encoding: .utf8)
        let program = try String(contentsOf: Self.here.appendingPathComponent("SwiftExample.swift"), encoding: .utf8)
        #expect(document.contains("```swift\n\(program)```\n"))
    }

    @Test func echoes() async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let path = try await client.makeChat()
        let application = String(path.split(separator: "/")[1])
        let made = try await client.post(
            "/applications/\(application)/keys", json: #"{"name":"echo","scopes":["read","write"]}"#)
        let key = try #require(made.json["key"] as? String)
        func bodies() async throws -> [String] {
            try await client.get(path + "/messages?limit=100").list.compactMap { $0["body"] as? String }
        }
        _ = try await client.post(path + "/messages", json: #"{"body":"before"}"#)
        let echo = Task {
            try await LuciqTests.echo(url: "http://127.0.0.1:\(client.port)", application: application, key: key)
        }
        // It may begin after the first of them.
        var said = 0
        try await eventually("an answer") {
            if try await bodies().contains("You said: hello \(said)") { return true }
            said += 1
            _ = try await client.post(path + "/messages", json: "{\"body\":\"hello \(said)\"}")
            return false
        }
        #expect(try await !bodies().contains("You said: before"))
        echo.cancel()
        // Cancelled while it sends, it says so; else it ends by itself.
        _ = await echo.result
        server.signal(SIGKILL)
    }
}
