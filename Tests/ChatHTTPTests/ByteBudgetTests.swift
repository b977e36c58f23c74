import ChatCore
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import ChatHTTP

/// The memory that slow clients may hold, all together.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ByteBudgetTests {
    private static let held = "luciq_http_held_bytes"

    @Test(arguments: ["plain", "a\"b\\c", "\u{1}\u{1F}\n\r\t\u{7F}é😀", ""])
    func theLengthInJSONIsWhatIsWritten(_ text: String) {
        var writer = JSONWriter()
        writer.object { $0.member("a", text) }
        #expect(writer.buffer.readableBytes == text.lengthInJSON + #"{"a":""}"#.utf8.count)
    }

    /// Control characters take six bytes each: the pages of lists and searches count what is sent.
    @Test func aPageIsBoundedAsItIsWritten() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let body = "x" + String(repeating: "\\u0001", count: 40_000)
            for _ in 0..<9 { _ = try await server.client.post(chat + "/messages", json: "{\"body\":\"\(body)\"}") }
            for path in ["/messages?limit=1000", "/messages/search?q=x&limit=1000"] {
                let answer = try await server.client.get(chat + path)
                #expect(answer.numbers == [1, 2, 3, 4], "\(path)")
                #expect(answer["Link"]?.contains("rel=\"next\"") == true, "\(path)")
            }
        }
    }

    /// A client that reads nothing of many answers holds one page, a megabyte: the whole budget, or more than a quarter.
    @Test(arguments: [(1_000_000, [Int]()), (3_000_000, [1])])
    func clientsThatReadNothingShareABudget(_ budget: Int, _ numbers: [Int]) async throws {
        var options = HTTPOptions()
        options.heldBytes = budget
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            let body = String(repeating: "x", count: 60_000)
            for _ in 0..<40 { _ = try await server.client.post(chat + "/messages", json: "{\"body\":\"\(body)\"}") }
            let list = chat + "/messages?limit=1000"
            #expect(try await server.client.get(list).numbers.count == 17)
            do {
                // Unread answers wait in the server once the system's buffers are full.
                let connection = try RawConnection(port: server.client.port)
                await connection.send(String(repeating: "GET \(list) HTTP/1.1\r\nHost: x\r\n\r\n", count: 40))
                try await eventually("a page is held") { server.metric(Self.held) > 1_000_000 }
                try await eventually("others notice") { try await server.client.get(list).numbers == numbers }
                for path in [list, chat + "/messages/search?q=x"] {
                    if numbers.isEmpty {
                        try await server.expectRefusal(503, "overloaded", path) { try await server.client.get(path) }
                    } else {
                        let answer = try await server.client.get(path)
                        #expect(
                            answer.numbers == numbers && answer["Link"]?.contains("rel=\"next\"") == true, "\(path)")
                    }
                }
                // Small requests are never refused, and health is always answered.
                let list = String(chat.prefix { $0 != "?" }.dropLast(2))
                for path in ["/readyz", "/metrics", chat, list, chat + "/message_count"] {
                    #expect(try await server.client.get(path).status == 200, "\(path)")
                }
                if numbers.isEmpty {
                    try await server.expectRefusal(503, "overloaded", "a large message") {
                        try await server.client.get(chat + "/messages/1")
                    }
                }
                connection.endWithReset()
            }
            try await eventually("nothing is held") { server.metric(Self.held) == 0 }
            #expect(try await server.client.get(list).numbers.count == 17)
        }
    }

    @Test func bodiesThatDoNotEndAreInTheBudget() async throws {
        var options = HTTPOptions()
        options.heldBytes = 2 << 20
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            let post = chat + "/messages"
            do {
                let head = "POST \(post) HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                let start = head + "Content-Length: 250000\r\n\r\n{\"body\":\"" + String(repeating: "x", count: 175_000)
                let connections = try (0..<6).map { _ in try RawConnection(port: server.client.port) }
                for connection in connections { await connection.send(start) }
                // Of one address: half of it.
                try await eventually("the budget is spent") { server.metric(Self.held) >= Double(1 << 20) }
                let large = String(repeating: "x", count: 20_000)
                try await server.expectRefusal(503, "overloaded", post) {
                    try await server.client.post(post, json: #"{"body":"\#(large)"}"#)
                }
                // Small requests are never refused.
                #expect(try await server.client.post(post, json: #"{"body":"hi"}"#).status == 201)
                for path in ["/readyz", chat, post + "/1"] {
                    #expect(try await server.client.get(path).status == 200, "\(path)")
                }
                for connection in connections { connection.endWithReset() }
            }
            try await eventually("nothing is held") { server.metric(Self.held) == 0 }
            #expect(try await server.client.post(post, json: #"{"body":"hi"}"#).status == 201)
        }
    }
}
