import TestSupport
import Testing

/// Where a subscription over a WebSocket starts, and which cursors are refused.
@Suite(.timeLimit(.minutes(3))) struct WebSocketCursorTests {
    /// The connection goes on after each refusal. Past the end it waits for what comes after the cursor, and a second
    /// subscription changes nothing about the first.
    @Test func cursors() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let client = try await server.connect(chat)
            for after in [#""x""#, #""-1""#, "-1", "1.0", #""9223372036854775808""#, #""""#] {
                await client.send("{\"type\":\"subscribe\",\"chat\":1,\"after\":\(after)}")
                let answer = try await client.answer()
                #expect(answer["type"] as? String == "error" && answer["code"] as? String == "invalid", "\(after)")
            }
            #expect(server.metric("luciq_stream_subscriptions") == 0)

            await client.send(#"{"type":"subscribe","chat":1,"after":"2"}"#)
            let begun = try await client.answer()
            #expect(begun["type"] as? String == "subscribed" && begun["cursor"] as? String == "2")
            await client.send(#"{"type":"subscribe","chat":1,"after":"0"}"#)
            #expect(try await client.answer()["code"] as? String == "already_subscribed")
            for number in 1...4 {
                let answer = try await server.client.post(chat + "/messages", json: "{\"body\":\"\(number)\"}")
                #expect(answer.status == 201)
            }
            for number in 3...4 { #expect(try await client.answer()["cursor"] as? String == "\(number)") }
            #expect(server.metric("luciq_stream_subscriptions") == 1)
        }
    }
}
