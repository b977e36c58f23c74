import ChatCore
import Foundation
import TestSupport
import Testing

/// Clients that disconnect at the worst moment: no other client notices, and nothing is left of them.
@Suite(.serialized, .timeLimit(.minutes(3))) struct GoneClientTests {
    /// The server has forgotten its connections, counted no 500 (as after each test) and goes on.
    private func expectNoTrace(_ server: TestServer) async throws {
        try await eventually("no connection is open") { server.metric("luciq_http_connections") == 0 }
        #expect(try await server.client.get("/readyz").status == 200)
        let errors = server.log.lines.filter { $0.hasPrefix("error ") || $0.hasPrefix("warning ") }
        #expect(errors == [])
    }

    private func head(_ endpoint: Endpoint, _ place: Place, length: Int) -> String {
        "\(endpoint.method) \(endpoint.path(place)) HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + endpoint.headers.map { "\($0): \($1)\r\n" }.joined() + "Content-Length: \(length)\r\n\r\n"
    }

    enum Goodbye: CaseIterable { case halfClose, close, reset }

    /// A whole JSON object, in a body that should have been longer: it was cut off, so it is not the request.
    @Test(arguments: Goodbye.allCases)
    func aBodyThatIsCutOffStoresNothing(_ goodbye: Goodbye) async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            let before = try server.contents()
            for endpoint in server.endpoints {
                // The others are complete with their heads.
                guard let json = endpoint.json else { continue }
                for sent in [json, ""] {
                    let connection = try RawConnection(port: server.client.port)
                    await connection.send(head(endpoint, place, length: json.utf8.count + 10) + sent)
                    // The server has the request before the connection ends.
                    try await eventually("connected") { server.metric("luciq_http_connections") >= 1 }
                    switch goodbye {
                    case .halfClose:
                        connection.finish()
                        var rest: [UInt8] = []
                        let answer = try await connection.receiveAnswer(rest: &rest)
                        #expect(answer == nil || answer?.status == 400, "\(endpoint): \(answer?.text ?? "")")
                        #expect(try await connection.receiveAll() == [])
                    case .close: break
                    case .reset: connection.endWithReset()
                    }
                }
            }
            try await expectNoTrace(server)
            #expect(try server.contents() == before)
        }
    }

    /// An accepted request is stored, whether or not its client is still there.
    @Test func aResetWhileTheStoreIsAtWork() async throws {
        try await TestServer.run { server in
            for endpoint in server.endpoints where endpoint.isChange {
                let place = try await server.seed()
                let before = try server.contents()
                server.writes.hold()
                do {
                    let json = endpoint.json ?? ""
                    let connection = try RawConnection(port: server.client.port)
                    await connection.send(head(endpoint, place, length: json.utf8.count) + json)
                    try await server.writes.waitForHeld(1)
                    connection.endWithReset()
                }
                #expect(try await server.client.get("/livez").status == 200)
                server.writes.release()
                try await eventually("\(endpoint) is stored") { try server.contents() != before }
            }
            try await expectNoTrace(server)
        }
    }

    @Test func aResetInTheMiddleOfALargeAnswer() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let body = String(repeating: "x", count: 65_000)
            for _ in 0..<20 { _ = try await server.client.post(chat + "/messages", json: "{\"body\":\"\(body)\"}") }
            for round in 0..<20 {
                let connection = try RawConnection(port: server.client.port)
                let get = "GET \(chat)/messages HTTP/1.1\r\nHost: x\r\n\r\n"
                // Some have more answers to come that nobody will read.
                await connection.send(String(repeating: get, count: 1 + round % 3 * 4))
                #expect(try await !connection.receive().isEmpty)
                connection.endWithReset()
            }
            try await expectNoTrace(server)
            #expect(try await server.client.get(chat + "/messages?limit=5").list.count == 5)
        }
    }

    @Test(arguments: Goodbye.allCases)
    func searchesOfClientsThatLeftAreForgotten(_ goodbye: Goodbye) async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            let tenant = try await server.tenant(of: place)
            let held = Gate()
            held.hold()
            let running = Task {
                try await server.service.scans.pass(tenant, from: .unspecified) { try await held.pass() }
            }
            try await held.waitForHeld(1)
            let count = 50
            do {
                let connections = try (0..<count).map { _ in try RawConnection(port: server.client.port) }
                for connection in connections {
                    await connection.send(
                        "GET /applications/\(place.token)/chats/1/messages/search?q=x HTTP/1.1\r\nHost: x\r\n\r\n")
                }
                try await eventually("they wait") { server.service.scans.waiting == count }
                for connection in connections {
                    switch goodbye {
                    case .halfClose:
                        connection.finish()
                        var rest: [UInt8] = []
                        #expect(try await connection.receiveAnswer(rest: &rest)?.status == 422)
                    case .close: break
                    case .reset: connection.endWithReset()
                    }
                }
            }
            // The running search still holds its place.
            try await eventually("none waits") { server.service.scans.waiting == 0 }
            held.release()
            try await running.value
            try await expectNoTrace(server)
        }
    }
}
