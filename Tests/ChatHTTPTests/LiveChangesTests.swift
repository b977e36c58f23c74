import ChatCore
import Foundation
import TestSupport
import Testing

@testable import ChatHTTP

/// What changes in a chat, over streams and sockets.
@Suite(.timeLimit(.minutes(3))) struct LiveChangesTests {
    private struct Scene {
        let server: TestServer
        let chat: String

        func edit(_ number: Int, _ body: String) async throws {
            let answer = try await server.client.send(
                "PATCH", "\(chat)/messages/\(number)", headers: ["Content-Type": "application/json"],
                body: Array("{\"body\":\"\(body)\"}".utf8))
            #expect(answer.status == 200)
        }

        func say(_ body: String) async throws {
            #expect(try await server.client.post(chat + "/messages", json: "{\"body\":\"\(body)\"}").status == 201)
        }

        func delete(_ number: Int) async throws {
            #expect(try await server.client.send("DELETE", "\(chat)/messages/\(number)").status == 200)
        }
    }

    /// With two messages.
    private func run(_ body: @escaping @Sendable (Scene) async throws -> Void) async throws {
        try await TestServer.run { server in
            let scene = Scene(server: server, chat: try await server.client.makeChat())
            for text in ["one", "two"] { try await scene.say(text) }
            try await body(scene)
        }
    }

    private func content(_ change: Any?) -> [String: Any]? {
        ((change as? [String: Any])?["parts"] as? [String: Any])?["content"] as? [String: Any]
    }

    @Test func aStreamHasChanges() async throws {
        try await run { scene in
            let stream = try await SSEClient(scene.server.client.port, scene.chat + "/stream?changes=1")
            let old = try await SSEClient(scene.server.client.port, scene.chat + "/stream")
            for stream in [stream, old] { try await stream.waitForOpening() }
            #expect(stream.lastEventID == "2.0" && old.lastEventID == "2")
            try await scene.edit(2, "TWO")
            try await scene.say("three")
            try await scene.delete(1)
            let edited = try #require(try await stream.next())
            #expect(edited.type == "message.changed" && edited.id == "2.1" && edited.number == 2)
            let two = try #require(content(edited.json))
            #expect(two["rev"] as? Int == 1 && two["body"] as? String == "TWO" && two["deleted_at"] is NSNull)
            let three = try #require(try await stream.next())
            #expect(three.type == "message" && three.id == "3.1" && three.json["body"] as? String == "three")
            let deleted = try #require(try await stream.next())
            #expect(deleted.type == "message.changed" && deleted.id == "3.2" && deleted.number == 1)
            let one = try #require(content(deleted.json))
            #expect(one["body"] as? String == "" && one["deleted_at"] is String)
            // A client of before has messages alone, as they are.
            try await scene.say("four")
            #expect(try await old.numbers(2) == [3, 4] && old.lastEventID == "4")
        }
    }

    /// With what the client has, it gets what it has missed: first changes of what it has, then the rest as it is now.
    @Test(arguments: [true, false])
    func aStreamResumes(_ hasHeader: Bool) async throws {
        try await run { scene in
            try await scene.edit(1, "ONE")
            let cursor = try #require(try await scene.server.client.get(scene.chat + "/messages")["Luciq-Cursor"])
            #expect(cursor == "2.1")
            try await scene.edit(1, "again")
            try await scene.edit(2, "TWO")
            try await scene.say("three")
            try await scene.edit(3, "THREE")
            let stream =
                hasHeader
                ? try await SSEClient(
                    scene.server.client.port, scene.chat + "/stream?changes=1", headers: ["Last-Event-ID": cursor])
                : try await SSEClient(scene.server.client.port, scene.chat + "/stream?after=\(cursor)")
            var events: [String] = []
            while events.count < 3, let event = try await stream.next() {
                let body = content(event.json)?["body"] ?? event.json["body"]
                events.append("\(event.type) \(event.id) \(body ?? "")")
            }
            #expect(events == ["message.changed 2.2 again", "message.changed 2.3 TWO", "message 3.4 THREE"])
        }
    }

    /// A store that was restored has less: its clients are told, and load anew.
    @Test func aCursorBeyondTheHead() async throws {
        try await run { scene in
            for cursor in ["2.1", "3.0", "e2.1.0", "e2.1"] {
                let refused = try await scene.server.client.get("\(scene.chat)/stream?after=\(cursor)")
                #expect(refused.status == 409 && refused.code == "cursor_epoch", "\(cursor)")
                #expect(refused.json["cursor"] as? String == "2.0")
                let soft = try await scene.server.client.get("\(scene.chat)/stream?soft=1&after=\(cursor)")
                let data = #"{"code":"cursor_epoch","reconnect":false,"cursor":"2.0"}"#
                #expect(soft.status == 200 && soft.text.contains("event: close\ndata: \(data)\n\n"))
                let socket = try await scene.server.connect(scene.chat)
                await socket.send("{\"type\":\"subscribe\",\"chat\":1,\"after\":\"\(cursor)\"}")
                let answer = try await socket.answer()
                #expect(answer["code"] as? String == "cursor_epoch" && answer["cursor"] as? String == "2.0")
                #expect(try await socket.closeCode() == 4409)
            }
            let wrong = try await scene.server.client.get("\(scene.chat)/stream?changes=yes")
            #expect(wrong.status == 422 && wrong.errors == ["Changes must be 1 or 0"])
            let reads = try await scene.server.client.get("\(scene.chat)/stream?reads=yes")
            #expect(reads.status == 422 && reads.errors == ["Reads must be 1 or 0"])
        }
    }

    /// Who writes is told without an id, to readers that have changes, and not twice in a moment.
    @Test func whoWrites() async throws {
        try await run { scene in
            let stream = try await SSEClient(scene.server.client.port, scene.chat + "/stream?changes=1")
            let old = try await SSEClient(scene.server.client.port, scene.chat + "/stream")
            let socket = try await scene.server.connect(scene.chat)
            await socket.send(#"{"type":"subscribe","chat":1,"changes":true}"#)
            #expect(try await socket.answer()["type"] as? String == "subscribed")
            for stream in [stream, old] { try await stream.waitForOpening() }
            let path = scene.chat + "/typing"
            for _ in 0..<3 { #expect(try await scene.server.client.send("POST", path + "?user=ann").status == 204) }
            let event = try #require(try await stream.next())
            #expect(event.type == "typing" && event.data == #"{"user":"ann","expires_in":6}"# && event.id == "2.0")
            let frame = try await socket.answer()
            #expect(frame["type"] as? String == "typing" && frame["chat"] as? Int == 1 && frame["cursor"] == nil)
            #expect(frame["user"] as? String == "ann" && frame["expires_in"] as? Int == 6)
            await socket.send(#"{"type":"typing","chat":1,"user":"ben"}"#)
            #expect(try await socket.answer()["user"] as? String == "ben")
            await socket.send(#"{"type":"typing","chat":1,"ref":"1"}"#)
            let refused = try await socket.answer()
            #expect(refused["code"] as? String == "invalid" && refused["ref"] as? String == "1")
            #expect(try await scene.server.client.send("POST", path).status == 422)
            #expect(try await stream.next()?.json["user"] as? String == "ben")
            try await scene.say("three")
            #expect(try await stream.next()?.id == "3.0")
            #expect(try await old.numbers(1) == [3])
        }
    }

    @Test func aSocketHasChanges() async throws {
        try await run { scene in
            let socket = try await scene.server.connect(scene.chat)
            await socket.send(#"{"type":"subscribe","chat":1,"changes":1}"#)
            #expect(try await socket.answer()["detail"] as? String == "Changes must be true or false.")
            await socket.send(#"{"type":"subscribe","chat":1,"reads":1}"#)
            #expect(try await socket.answer()["detail"] as? String == "Reads must be true or false.")
            await socket.send(#"{"type":"subscribe","chat":1,"changes":true}"#)
            #expect(try await socket.answer()["cursor"] as? String == "2.0")
            try await scene.edit(1, "ONE")
            let edited = try await socket.answer()
            #expect(edited["type"] as? String == "message.changed" && edited["cursor"] as? String == "2.1")
            #expect(edited["chat"] as? Int == 1 && (edited["change"] as? [String: Any])?["number"] as? Int == 1)
            #expect(content(edited["change"])?["body"] as? String == "ONE")
            try await scene.say("three")
            let three = try await socket.answer()
            #expect(three["type"] as? String == "message" && three["cursor"] as? String == "3.1")
            let again = try await scene.server.connect(scene.chat)
            await again.send(#"{"type":"subscribe","chat":1,"after":"2.0"}"#)
            #expect(try await again.answer()["cursor"] as? String == "2.0")
            #expect(try await again.answer()["cursor"] as? String == "2.1")
            #expect(try await again.answer()["cursor"] as? String == "3.1")
        }
    }
}
