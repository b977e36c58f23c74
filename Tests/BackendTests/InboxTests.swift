import Foundation
import TestSupport
import Testing

@testable import ChatCore

/// A user's chats by their newest messages, with what is not read.
@Suite(.timeLimit(.minutes(4))) struct InboxTests {
    @Test(arguments: BackendKind.allCases)
    func theNewestIsFirst(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let (admin, ann) = (scene.admin, scene.caller("ann"))
            for chat in 1...5 {
                if chat > 1 { #expect(try await admin.send("POST", "/chats", json: "{}").status == 201) }
                try await scene.set("ann", "member", in: chat)
            }
            // Chat 4 is another's, and 5 forbids her.
            #expect(try await admin.send("DELETE", "/chats/4/members/ann").status == 200)
            try await scene.set("ann", "banned", in: 5)
            func chats(_ query: String) async throws -> [Int?] {
                try await ann.get("/users/me/chats\(query)").list.map { $0["number"] as? Int }
            }
            #expect(try await admin.say("in two", in: 2).status == 201)
            #expect(try await chats("?order=activity") == [2, 3, 1])
            #expect(try await admin.say("in one", in: 1).status == 201)
            #expect(try await chats("?order=activity") == [1, 2, 3])
            #expect(try await admin.send("PUT", "/chats/1/read?user=ann", json: #"{"number":1}"#).status == 200)
            let item = try #require(try await ann.get("/users/me/chats?order=activity").list.first)
            #expect(item["read"] as? Int == 1 && item["unread"] as? Int == 1 && item["more"] as? Bool == false)
            #expect(item["as_of"] as? String == "2.1" && item["role"] as? String == "member")
            let last = try #require(item["last_message"] as? [String: Any])
            #expect(last["number"] as? Int == 2 && last["body"] as? String == "in one" && last["clipped"] == nil)
            // The list by number is what it was.
            #expect(try await chats("") == [3, 2, 1])
            #expect(try await ann.get("/users/me/chats").list.allSatisfy { $0["unread"] == nil })
            // A key lists anybody's; a user its own alone.
            let byKey = try await admin.get("/users/ann/chats?order=activity")
            #expect(byKey.text == (try await ann.get("/users/me/chats?order=activity")).text)
            #expect(try await ann.get("/users/ann/chats?order=activity").text == byKey.text)
            #expect(try await admin.get("/users/ann/chats").list.count == 3)
            #expect(try await ann.get("/users/bob/chats").code == "insufficient_scope")
            #expect(try await admin.get("/users/me/chats?order=activity").code == "insufficient_scope")
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aPageLeadsToTheNext(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let (admin, ann) = (scene.admin, scene.caller("ann"))
            for chat in 1...7 {
                if chat > 1 { #expect(try await admin.send("POST", "/chats", json: "{}").status == 201) }
                try await scene.set("ann", "member", in: chat)
            }
            for chat in [3, 6, 1] { #expect(try await admin.say("x", in: chat).status == 201) }
            var found: [Int?] = []
            var path: String? = "/users/me/chats?order=activity&limit=2"
            var pages = 0
            while let next = path, pages < 9 {
                let answer = try await ann.get(next)
                #expect(answer.status == 200, "\(answer.text)")
                found += answer.list.map { $0["number"] as? Int }
                path = answer.link("next").map { String($0.dropFirst(ann.path.count)) }
                pages += 1
            }
            #expect(found.prefix(3) == [1, 6, 3] && Set(found).count == 7 && pages == 4, "\(found)")
            for (query, error) in [
                ("limit=101", "Limit must be a number from 1 to 100"),
                ("after=x", "After must be a cursor from the Link header of this list"),
                ("before=3", "Before is for lists by number: follow the Link header"),
            ] {
                let answer = try await ann.get("/users/me/chats?order=activity&\(query)")
                #expect(answer.status == 422 && answer.errors == [error], "\(answer.text)")
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func theLastMessageIsOneOfTheMainLine(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let (admin, ann) = (scene.admin, scene.caller("ann"))
            try await scene.set("ann", "member")
            func last() async throws -> [String: Any]? {
                try await ann.get("/users/me/chats?order=activity").list.first?["last_message"] as? [String: Any]
            }
            let long = String(repeating: "ü", count: 300)
            #expect(try await admin.say(long).status == 201)
            let reply = try await admin.send("POST", "/chats/1/messages", json: #"{"body":"r","thread":1}"#)
            #expect(reply.status == 201)
            let clipped = try #require(try await last())
            #expect(clipped["number"] as? Int == 2 && clipped["clipped"] as? Bool == true)
            #expect(clipped["body"] as? String == String(repeating: "ü", count: 256))
            #expect(try await admin.send("DELETE", "/chats/1/messages/2").status == 200)
            #expect(try await last()?["number"] as? Int == 1)
            #expect(try await admin.send("DELETE", "/chats/1/messages/1").status == 200)
            #expect(try await last() == nil)
        }
    }
}
