import TestSupport
import Testing

@testable import ChatHTTP

/// A token that names as many chats as fit into it.
@Suite(.timeLimit(.minutes(1))) struct TokenChatsTests {
    @Test func itCostsAFewQueries() async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            _ = try await server.client.post(site.owner + "/chats/2/messages", json: #"{"body":"x"}"#)
            let headers = ["Authorization": "Bearer \(try site.token("u1", chats: Array(2...741)))"]
            // The user is stored, and known.
            _ = try await server.client.get(site.path + "/users/me", headers: headers)
            for (path, found) in [
                ("/chats", 1), ("/chats?after=741", 0), ("/users/me/chats", 0), ("/messages/search?q=x", 1),
            ] {
                let before = reads(server)
                let answer = try await server.client.get(site.path + path, headers: headers)
                #expect(answer.status == 200 && answer.list.count == found, "\(path): \(answer.text)")
                // 64 chats each, and what the search reads itself.
                #expect((1...20).contains(reads(server) - before), "\(path)")
            }
        }
    }

    private func reads(_ server: TestServer) -> Double {
        let lines = server.metrics.text().split(separator: "\n")
        return lines.filter { $0.hasPrefix("luciq_store_read_seconds_count") }
            .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0, +)
    }
}
