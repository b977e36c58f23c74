import ChatCore
import ChatSQLite
import Foundation
import TestSupport
import Testing

/// Searches in a chat and in all chats, and the messages around a hit.
@Suite(.timeLimit(.minutes(3))) struct SearchRoutesTests {
    /// An application with chats, whose messages have the times that a test gives them, in seconds.
    private struct Scene {
        let server: TestServer
        let token = Tenant.Token.random()
        private(set) var tenant = Tenant.ID(0)
        private(set) var chats: [Chat.ID] = []

        var path: String { "/applications/\(token.text)" }

        init(_ server: TestServer, chats count: Int) async throws {
            self.server = server
            let time = Timestamp(microseconds: 0)
            _ = try await server.store.apply([.create(name: "searched", token: token)], at: time)
            tenant = try #require(try await server.store.id(of: token))
            let new = Array(repeating: NewChat(tenant: tenant), count: count)
            chats = try await server.store.append(new, at: time).map { try #require(try $0.get().id) }
        }

        func send(_ bodies: [String], to chat: Int, at second: Int64) async throws {
            let messages = bodies.map { NewMessage(tenant: tenant, chat: chats[chat - 1], body: $0) }
            let time = Timestamp(microseconds: second * 1_000_000)
            for result in try await server.store.append(messages, at: time) { _ = try result.get() }
        }

        /// Chat and number of each hit of all pages, from this one on.
        func walk(_ path: String) async throws -> [[Int]] {
            var (hits, next): ([[Int]], String?) = ([], path)
            while let path = next {
                let page = try await server.client.get(path)
                #expect(page.status == 200, "\(page.text)")
                hits += page.hits
                next = page.link("next")
            }
            return hits
        }
    }

    @Test func hitsSayWhereTheTextIs() async throws {
        try await TestServer.run { server in
            let scene = try await Scene(server, chats: 1)
            let body = "Cafe\u{301} \u{FB01}, café"
            try await scene.send([body], to: 1, at: 60)
            let hit =
                "\"number\":1,\"body\":\"\(body)\",\"created_at\":\"1970-01-01T00:01:00.000Z\",\"sender\":null,"
                + "\"highlights\":"
            let inChat = try await server.client.get(scene.path + "/chats/1/messages/search?q=CAFE")
            #expect(inChat.text == "[{\(hit)[[0,5],[9,13]]}]")
            let everywhere = try await server.client.get(scene.path + "/messages/search.json?q=fi")
            #expect(everywhere.text == "[{\"chat_number\":1,\(hit)[[6,7]]}]")
            let head = try await server.client.send("HEAD", scene.path + "/messages/search?q=fi")
            #expect(head.status == 200 && head["Content-Length"] == "\(everywhere.body.count)" && head.body.isEmpty)
            #expect(try await server.client.get(scene.path + "/messages/search?q=none").text == "[]")
        }
    }

    @Test func hitsOfAllChatsComeNewestFirst() async throws {
        try await TestServer.run { server in
            let scene = try await Scene(server, chats: 3)
            var expected: [[Int]] = []
            // Many have one time: then chats and numbers decide.
            for (second, chat) in [(1, 2), (2, 1), (2, 3), (2, 2), (3, 1)] as [(Int64, Int)] {
                try await scene.send(["hit a", "other", "hit b"], to: chat, at: second)
            }
            for (chat, numbers) in [(1, [6, 4]), (3, [3, 1]), (2, [6, 4]), (1, [3, 1]), (2, [3, 1])] {
                expected += numbers.map { [chat, $0] }
            }
            let other = try await Scene(server, chats: 3)
            try await other.send(["hit of another"], to: 1, at: 2)
            for limit in [1, 2, 3, 9, 10, 1000] {
                #expect(
                    try await scene.walk("\(scene.path)/messages/search?q=HIT&limit=\(limit)") == expected, "\(limit)")
            }
            #expect(try await server.client.get("\(scene.path)/messages/search?q=hit&limit=10")["Link"] == nil)
            // A cursor of another application is a time and numbers, no more.
            let page = try await server.client.get("\(scene.path)/messages/search?q=hit&limit=4")
            let next = try #require(page.link("next"))
            #expect(try await other.walk(next.replacing(scene.token.text, with: other.token.text)) == [[1, 1]])
            let alone = try await Scene(server, chats: 0)
            #expect(try await alone.walk(next.replacing(scene.token.text, with: alone.token.text)) == [])
        }
    }

    @Test func aPageOfHitsIsBounded() async throws {
        try await TestServer.run { server in
            let scene = try await Scene(server, chats: 2)
            let body = "x" + String(repeating: "\u{1}", count: 40_000)
            for chat in [1, 2] { try await scene.send(Array(repeating: body, count: 4), to: chat, at: 1) }
            let path = scene.path + "/messages/search?q=x&limit=1000"
            #expect(try await server.client.get(path).list.count == 4)
            #expect(try await scene.walk(path).count == 8)
        }
    }

    @Test(arguments: [
        ("q=", ["Q can't be blank"]), ("q=x&limit=0", ["Limit must be a number from 1 to 1000"]),
        ("q=x&after=5", ["After must be a cursor from the Link header of this search"]),
        ("q=x&after=", ["After must be a cursor from the Link header of this search"]),
        ("q=x&after=%FF", ["After must be a cursor from the Link header of this search"]),
        ("q=x&order=asc", ["Order must be desc: hits in all chats come newest first"]),
        ("q=x&order=", ["Order must be desc: hits in all chats come newest first"]),
        ("q=x&before=9", ["Before is for lists: follow the Link header of this search, or use before_time"]),
        (
            "q=x&limit=x&after=x",
            ["Limit must be a number from 1 to 1000", "After must be a cursor from the Link header of this search"]
        ),
    ])
    func searchesOfAllChatsThatAreNone(_ query: String, _ errors: [String]) async throws {
        try await TestServer.run { server in
            let scene = try await Scene(server, chats: 1)
            try await server.expectRefusal(422, "invalid", query) {
                let answer = try await server.client.get("\(scene.path)/messages/search?\(query)")
                #expect(answer.errors == errors)
                return answer
            }
        }
    }

    @Test func timesNarrowASearch() async throws {
        try await TestServer.run { server in
            let scene = try await Scene(server, chats: 2)
            for second in 0..<6 { try await scene.send(["x"], to: second % 2 + 1, at: Int64(second)) }
            for (query, inFirst, everywhere) in [
                ("after_time=1970-01-01T00:00:02Z", [3], [[2, 3], [1, 3], [2, 2]]),
                ("before_time=1970-01-01T00:00:02Z", [1], [[2, 1], [1, 1]]),
                (
                    "after_time=1970-01-01T00:00:00.999999Z&before_time=1970-01-01T01:00:04.000001%2B01:00", [2, 3],
                    [[1, 3], [2, 2], [1, 2], [2, 1]]
                ),
                ("after_time=1970-01-01T00:00:04Z&before_time=1970-01-01T00:00:01Z", [], []),
            ] {
                let chat = "\(scene.path)/chats/1/messages/search?q=x&\(query)"
                #expect(try await server.client.get(chat).numbers == inFirst, "\(query)")
                var (numbers, next): ([Int], String?) = ([], chat + "&limit=1")
                while let path = next {
                    let page = try await server.client.get(path)
                    numbers += page.numbers
                    next = page.link("next")
                }
                #expect(numbers == inFirst, "\(query)")
                #expect(try await scene.walk("\(scene.path)/messages/search?q=x&\(query)&limit=1") == everywhere)
            }
            let sentence = " must be a time as in RFC 3339, such as 2026-11-22T16:57:44Z (+ is %2B)"
            for path in ["/messages/search", "/chats/1/messages/search"] {
                for bad in ["", "yesterday", "2026-11-22", "2026-11-22T16:57:44+01:00", "%FF"] {
                    let answer = try await server.client.get(
                        "\(scene.path)\(path)?q=x&after_time=\(bad)&before_time=\(bad)")
                    #expect(answer.status == 422)
                    #expect(answer.errors == ["After_time" + sentence, "Before_time" + sentence], "\(bad)")
                }
            }
        }
    }

    @Test func aListMayBeAroundAMessage() async throws {
        try await TestServer.run { server in
            let scene = try await Scene(server, chats: 2)
            try await scene.send((1...20).map { "m\($0)" }, to: 1, at: 1)
            let list = scene.path + "/chats/1/messages"
            for (query, numbers, previous, next) in [
                ("around=10&limit=5", [8, 9, 10, 11, 12], [3, 4, 5, 6, 7], [13, 14, 15, 16, 17]),
                ("around=10&limit=4", [9, 10, 11, 12], [5, 6, 7, 8], [13, 14, 15, 16]),
                ("around=10&limit=1", [10], [9], [11]), ("around=10&limit=2", [10, 11], [8, 9], [12, 13]),
                ("around=2&limit=5", [1, 2, 3, 4], nil, [5, 6, 7, 8, 9]),
                ("around=20&limit=5", [18, 19, 20], [13, 14, 15, 16, 17], nil),
                ("around=21&limit=5", [19, 20], [14, 15, 16, 17, 18], nil),
                ("around=500&limit=1", [], [20], nil), ("around=9223372036854775807&limit=3", [20], [17, 18, 19], nil),
                ("around=10&limit=5&order=desc", [12, 11, 10, 9, 8], [17, 16, 15, 14, 13], [7, 6, 5, 4, 3]),
                ("around=500&limit=1&order=desc", [], nil, [20]), ("around=1", Array(1...20), nil, nil),
            ] as [(String, [Int], [Int]?, [Int]?)] {
                let page = try await server.client.get("\(list)?\(query)")
                #expect(page.status == 200 && page.numbers == numbers, "\(query)")
                for (rel, expected) in [("prev", previous), ("next", next)] {
                    let link = page.link(rel)
                    #expect((link == nil) == (expected == nil), "\(query) \(rel)")
                    guard let link, let expected else { continue }
                    #expect(try await server.client.get(link).numbers == expected, "\(query) \(rel)")
                }
            }
            #expect(try await server.client.get(scene.path + "/chats/2/messages?around=1").text == "[]")
            // Long bodies leave out neighbours, never the message.
            try await scene.send(Array(repeating: String(repeating: "x", count: 60_000), count: 40), to: 2, at: 1)
            let long = try await server.client.get(scene.path + "/chats/2/messages?around=20&limit=40").numbers
            #expect(long.contains(20) && long.contains(19) && long.contains(21) && long.count < 20)
            #expect(long == Array((long.first ?? 0)...(long.last ?? 0)))
        }
    }

    @Test(arguments: [
        ("around=0", ["Around must be a number from 1 to 9223372036854775807"]),
        ("around=x", ["Around must be a number from 1 to 9223372036854775807"]),
        ("around=5&after=1", ["Around cannot be combined with after or before"]),
        ("around=5&before=9", ["Around cannot be combined with after or before"]),
    ])
    func placesToLookAroundThatAreNone(_ query: String, _ errors: [String]) async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let answer = try await server.client.get("\(chat)/messages?\(query)")
            #expect(answer.status == 422 && answer.errors == errors)
        }
    }
}

extension Answer {
    /// Chat and number of each hit.
    fileprivate var hits: [[Int]] {
        list.compactMap { hit in
            guard let chat = hit["chat_number"] as? Int, let number = hit["number"] as? Int else { return nil }
            return [chat, number]
        }
    }
}
