import ChatCore
import Foundation
import TestSupport
import Testing

/// The writers' bounds: past them the answer is 503 at once, and nothing waits that was not accepted.
@Suite(.serialized, .timeLimit(.minutes(3))) struct OverloadTests {
    /// Sends `requests` while the store is at work on one: `bound` of them may wait, the others are refused.
    private func flood(
        _ endpoint: Endpoint, _ place: Place, requests: Int, bound: Int, _ server: TestServer,
        headers: @escaping @Sendable (Int) -> [String: String] = { _ in [:] }
    ) async throws {
        server.writes.hold()
        let first = Task { try await server.send(endpoint, place, headers: headers(-1)).status }
        try await server.writes.waitForHeld(1)
        let before = try server.contents()
        try await withThrowingTaskGroup(of: Answer.self) { group in
            for index in 0..<requests {
                group.addTask { try await server.send(endpoint, place, headers: headers(index)) }
            }
            var refused = 0
            while let answer = try await group.next() {
                if answer.status == 503 {
                    refused += 1
                    #expect(answer.code == "overloaded")
                    #expect(answer["Retry-After"] != nil)
                } else {
                    #expect(answer.status < 300)
                }
                guard refused == requests - bound else { continue }
                #expect(try server.contents() == before)
                refused = .min  // Once.
                server.writes.release()
            }
            #expect(refused < 0, "\(endpoint): not as many were refused as should be")
        }
        #expect(try await first.value < 300)
    }

    @Test func entriesThatWait() async throws {
        var limits = TestServer.limits
        limits.pendingEntries = 3
        try await TestServer.run(limits: limits) { server in
            for endpoint in server.endpoints where endpoint.isWrite {
                try await flood(endpoint, try await server.seed(), requests: 20, bound: 3, server)
            }
        }
    }

    /// The longest keys count with their size.
    @Test func bytesThatWait() async throws {
        let keys = { @Sendable (index: Int) -> [String: String] in
            let start = "\(index) "
            return ["Idempotency-Key": start + String(repeating: "k", count: 255 - start.utf8.count)]
        }
        var limits = TestServer.limits
        // A chat weighs its key; a message its key and the three bytes of its body.
        for (last, weight) in [("chats", 255), ("messages", 258)] {
            limits.pendingBytes = 10 * weight + weight - 1
            try await TestServer.run(limits: limits) { server in
                for endpoint in server.endpoints where endpoint.takesKey && endpoint.pattern.hasSuffix(last) {
                    let place = try await server.seed()
                    try await flood(endpoint, place, requests: 40, bound: 10, server, headers: keys)
                }
            }
        }
    }

    /// Refused requests leave nothing behind: after two thousand the queue still has its full length.
    @Test func whatIsRefusedIsForgotten() async throws {
        var limits = TestServer.limits
        limits.pendingEntries = 5
        let rounds = 10
        try await TestServer.run(limits: limits) { server in
            let place = try await server.seed()
            let before = try server.contents()
            server.writes.hold()
            let post =
                "POST /applications/\(place.token)/chats HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            let create = { @Sendable in try await server.client.send("POST", "/applications/\(place.token)/chats") }
            // One is being written, then five wait.
            var accepted = [Task { try await create() }]
            try await server.writes.waitForHeld(1)
            accepted += (0..<5).map { _ in Task { try await create() } }
            let depth = "luciq_writer_queue_depth{writer=\"chats\"}"
            try await eventually("the queue is full") { server.metric(depth) == 5 }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let connection = try RawConnection(port: server.client.port)
                        var rest: [UInt8] = []
                        for _ in 0..<rounds {
                            await connection.send(String(repeating: post, count: 25))
                            for _ in 0..<25 {
                                let answer = try await connection.receiveAnswer(rest: &rest)
                                #expect(answer?.code == "overloaded")
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(server.metric(depth) == 5)
            let refused = server.metric("luciq_writer_refused_total{writer=\"chats\",code=\"overloaded\"}")
            #expect(refused == Double(8 * rounds * 25))
            #expect(try server.contents() == before)
            server.writes.release()
            for task in accepted { #expect(try await task.value.status == 201) }
            #expect(server.metric(depth) == 0)
            try await eventually("no connection is open") { server.metric("luciq_http_connections") == 0 }
        }
    }
}
