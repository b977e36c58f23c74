import ChatCore
import Foundation
import TestSupport
import Testing

@testable import ChatHTTP

/// Incomplete and large messages that clients send over WebSockets.
@Suite(.timeLimit(.minutes(3))) struct WebSocketBytesTests {
    private typealias Opcode = WebSocketClient.Opcode
    private static let held = "luciq_http_held_bytes"

    private func send(_ body: String, ref: Int) -> String {
        "{\"type\":\"send\",\"chat\":1,\"body\":\"\(body)\",\"ref\":\"\(ref)\"}"
    }

    /// The start of a frame of 200,000 bytes, or of a message in several frames.
    private func start(_ bytes: Int, isFragment: Bool) -> [UInt8] {
        let text = [UInt8](repeating: UInt8(ascii: "x"), count: isFragment ? bytes : 200_000)
        let frame = WebSocketClient.bytes(Opcode.text, text, fin: !isFragment)
        return isFragment ? frame : Array(frame[..<bytes])
    }

    @Test(arguments: [false, true]) func whatIsNotWholeIsInTheBudget(isFragment: Bool) async throws {
        var options = TestServer.options
        options.heldBytes = 1 << 20
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            do {
                var clients: [WebSocketClient] = []
                for _ in 0..<4 {
                    let client = try await server.connect(chat)
                    await client.send(start(150_000, isFragment: isFragment))
                    clients.append(client)
                }
                // Of one address: half of it.
                try await eventually("the budget is spent") { server.metric(Self.held) >= Double(1 << 19) }
                let one = try await server.connect(chat)
                // Small messages are never refused.
                await one.send(send(String(repeating: "y", count: 8000), ref: 1))
                #expect(try await one.answer()["type"] as? String == "sent")
                await one.send(start(50_000, isFragment: isFragment))
                #expect(try await one.closeCode() == 1013)
                withExtendedLifetime(clients) {}
            }
            try await eventually("nothing is held") { server.metric(Self.held) == 0 }
            try await server.expectNobody()
        }
    }

    /// Pings, whole messages in between and more of its own frames do not extend its deadline.
    @Test(arguments: [false, true]) func aMessageHasATimeLimit(isFragment: Bool) async throws {
        var options = TestServer.options
        options.live.message = .milliseconds(300)
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            let client = try await server.connect(chat)
            if isFragment {
                await client.send(WebSocketClient.bytes(Opcode.text, [UInt8(ascii: "{")], fin: false))
                let frame = WebSocketClient.bytes(Opcode.continuation, [UInt8(ascii: " ")], fin: false)
                while await client.connection.send(frame + WebSocketClient.bytes(Opcode.pong)) {
                    try await Task.sleep(for: .milliseconds(20))
                }
                #expect(try await client.closeCode() == 1008)
            } else {
                await client.send(start(1000, isFragment: false))
                #expect(try await client.closeCode() == 1008)
            }
            let other = try await server.connect(chat)
            await other.send(send("x", ref: 1))
            #expect(try await other.answer()["type"] as? String == "sent")
        }
    }

    /// Other threads parse large messages than small ones; answers and stored messages keep the order of arrival.
    @Test func largeMessagesKeepTheirPlace() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let client = try await server.connect(chat)
            let long = String(repeating: "z", count: 10_000)
            var bytes: [UInt8] = []
            for number in 1...24 {
                let isLong = number % 2 == 1
                // Of a type that is not known: answered at once.
                let text = isLong ? send(long, ref: number) : "{\"type\":\"x\",\"ref\":\"\(number)\"}"
                bytes += WebSocketClient.bytes(Opcode.text, Array(text.utf8))
                if number % 6 == 3 {
                    let wrong = "{\"type\":\"x\",\"ref\":\"w\(number)\",\"pad\":\"\(long)\"}"
                    bytes += WebSocketClient.bytes(Opcode.text, Array(wrong.utf8))
                }
            }
            bytes += WebSocketClient.bytes(Opcode.text, Array(send("last", ref: 25).utf8))
            let connection = client.connection
            let sending = Task { [bytes] in await connection.send(bytes) }
            var (errors, sent): ([String], [String]) = ([], [])
            while sent.count < 13 {
                let frame = try #require(try await client.next())
                // A slow machine is pinged meanwhile.
                if frame.opcode == Opcode.ping { continue }
                let answer = frame.json
                let ref = try #require(answer["ref"] as? String)
                if answer["type"] as? String == "sent" { sent.append(ref) } else { errors.append(ref) }
            }
            #expect(await sending.value)
            var (small, large): ([String], [String]) = ([], [])
            for number in 1...25 {
                if number % 2 == 1 { large.append("\(number)") } else { small.append("\(number)") }
                if number % 6 == 3 { small.append("w\(number)") }
            }
            #expect(sent == large)
            #expect(errors == small)
        }
    }

    @Test func aLargeMessageOfAGoneClientIsStored() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            for number in 1...20 {
                let client = try await server.connect(chat)
                await client.send(send(String(repeating: "\(number % 10)", count: 60_000), ref: number))
                client.connection.finish()
                try await eventually("it is stored") {
                    try await server.client.get(chat + "/message_count").json["messages_count"] as? Int == number
                }
            }
        }
    }
}
