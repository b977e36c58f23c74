import Foundation
import Synchronization
import TestSupport
import Testing

/// The executable under load from many writers.
@Suite(.serialized, .timeLimit(.minutes(5))) struct LoadTests {
    private final class Count: Sendable {
        private let value = Mutex(0)

        var now: Int { value.withLock(\.self) }
        func increment() { value.withLock { $0 += 1 } }
    }

    /// Sends messages on one connection until no answer comes.
    ///
    /// - Returns: what was answered with a 201, by number.
    private func sendUntilItEnds(
        _ name: String, to chat: String, _ client: Client, counting count: Count
    ) async throws -> [Int: String] {
        var mine: [Int: String] = [:]
        var rest: [UInt8] = []
        let connection = try RawConnection(port: client.port)
        for index in 0..<100_000 {
            let body = "\(name) \(index)"
            let json = "{\"body\":\"\(body)\"}"
            await connection.send(
                "POST \(chat)/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    + "Content-Length: \(json.utf8.count)\r\n\r\n" + json)
            guard let answer = try await connection.receiveAnswer(rest: &rest) else { return mine }
            if answer.status == 201, let number = answer.json["message_number"] as? Int {
                mine[number] = body
                count.increment()
            } else {
                #expect(answer.status == 503 && answer.json["code"] as? String == "shutting_down", "\(answer.text)")
            }
            if answer["Connection"] == "close" { return mine }
        }
        return mine
    }

    @Test func sigtermUnderLoadKeepsEveryAnswer() async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        let count = Count()
        let answered = try await withThrowingTaskGroup(of: [Int: String].self) { group in
            for sender in 0..<64 {
                group.addTask {
                    try await sendUntilItEnds("s\(sender)", to: chat, client, counting: count)
                }
            }
            try await eventually("1000 are answered") { count.now >= 1000 }
            server.signal(SIGTERM)
            return try await group.reduce(into: [Int: String]()) { all, mine in
                for (number, body) in mine {
                    #expect(all[number] == nil, "number \(number) was given twice")
                    all[number] = body
                }
            }
        }
        #expect(await server.wait().code == 0)
        #expect(server.errorText.contains("\"message\":\"stopped\""))
        #expect(!server.errorText.contains("\"status\":500"))

        let verify = try await LuciqProcess.run(
            ["verify", "--database-url", "sqlite://" + folder.file("test.sqlite")], in: folder)
        #expect(verify.code == 0, "\(verify.output)")
        let (again, second) = try await LuciqProcess.serve(in: folder)
        var stored: [Int: String] = [:]
        var next: String? = chat + "/messages?limit=1000"
        while let path = next {
            let page = try await second.get(path)
            for message in page.list { stored[message["number"] as? Int ?? 0] = message["body"] as? String }
            next = page.link("next")
        }
        for (number, body) in answered { #expect(stored[number] == body, "message \(number)") }
        again.signal(SIGKILL)
    }

    /// Another process may read at any moment: it disturbs nothing and sees a consistent store.
    @Test func statusAndVerifyWhileAServerWrites() async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        let url = ["DATABASE_URL": "sqlite://" + folder.file("test.sqlite")]
        let count = Count()
        let answered = try await withThrowingTaskGroup(of: [Int: String].self) { group in
            for sender in 0..<8 {
                group.addTask {
                    try await sendUntilItEnds("s\(sender)", to: chat, client, counting: count)
                }
            }
            var seen = 0
            for _ in 0..<5 {
                let before = count.now
                try await eventually("writing goes on") { count.now > before }
                let status = try await LuciqProcess.run(["db", "status", "--json"], in: folder, environment: url)
                #expect(status.code == 0, "\(status.errors)")
                let report = try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any]
                let messages = report?["messages"] as? Int ?? 0
                #expect(messages > seen && messages >= before)
                seen = messages
                let verify = try await LuciqProcess.run(["verify"], in: folder, environment: url)
                #expect(verify.code == 0, "\(verify.output)")
            }
            server.signal(SIGTERM)
            return try await group.reduce(into: [Int: String]()) { all, mine in all.merge(mine) { old, _ in old } }
        }
        #expect(await server.wait().code == 0)
        #expect(answered.count == count.now)
        #expect(!server.errorText.contains("\"level\":\"error\""), "\(server.errorText.suffix(2000))")
    }
}
