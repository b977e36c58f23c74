import Foundation
import TestSupport
import Testing

/// A shutdown waits a moment for clients that have not yet read their messages and the reason of the end.
@Suite(.timeLimit(.minutes(2))) struct StreamGoodbyeTests {
    @Test func whoIsBehindHearsWhy() async throws {
        let servers = try await StreamServers.start(1, on: .embedded)
        let chat = try await servers.client().makeChat()
        var caller = Caller(ports: servers.ports, patience: 30)
        // More than the buffers of a connection's two ends hold.
        let body = "{\"body\":\"\(String(repeating: "x", count: 60_000))\"}"
        for _ in 0..<400 {
            #expect(await caller.send("POST", chat + "/messages", to: 0, body: body)?.status == 201)
        }
        let reader = try RawConnection(port: servers.ports[0])
        await reader.send("GET \(chat)/stream?after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = try await reader.receive()
        servers[0].signal(SIGTERM)
        // Much longer than a shutdown that waits for no client, and less than the longest wait for one.
        try await Task.sleep(for: .milliseconds(700))
        let text = String(decoding: try await reader.receiveAll(), as: UTF8.self)
        #expect(text.contains("event: close\ndata: {\"code\":\"going_away\",\"reconnect\":true}\n\n"))
        #expect(text.hasSuffix("\r\n0\r\n\r\n"))
        #expect(await servers[0].wait().code == 0)
    }
}
