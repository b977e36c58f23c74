import ChatHTTP
import TestSupport
import Testing

/// The other tests rely on this: whatever goes wrong, they end.
@Suite(.timeLimit(.minutes(1))) struct TestServerTests {
    private struct Stop: Error {}

    @Test func aServerThatCannotListenFailsTheTest() async throws {
        var options = TestServer.options
        options.host = "192.0.2.1"  // For documentation (RFC 5737): no machine has it.
        await #expect(throws: (any Error).self) {
            try await TestServer.run(options: options) { _ in Issue.record("it listens") }
        }
    }

    @Test func aTestThatThrowsLetsGoOfWhatItHeld() async throws {
        await #expect(throws: Stop.self) {
            try await TestServer.run { server in
                let place = try await server.seed()
                for gate in [server.reads, server.writes] { gate.hold() }
                for endpoint in server.endpoints where endpoint.isWrite && endpoint.pattern == "/applications" {
                    Task { try await server.send(endpoint, place) }
                }
                try await server.writes.waitForHeld(1)
                Task { try await server.client.get("/readyz") }
                try await server.reads.waitForHeld(1)
                throw Stop()
            }
        }
    }
}
