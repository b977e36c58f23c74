import Foundation
import TestSupport
import Testing

/// Reactions over HTTP, on both backends.
@Suite(.timeLimit(.minutes(4))) struct ReactionRoutesTests {
    @Test(arguments: BackendKind.allCases)
    func whoMayReactAndForWhom(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            for (user, role) in [("ann", "member"), ("bob", "member"), ("reader", "reader")] {
                try await scene.set(user, role)
            }
            let (admin, ann) = (scene.admin, scene.caller("ann"))
            let path = "/chats/1/messages/1"
            let plain = try await admin.get(path)
            #expect(!plain.text.contains("reactions"))
            let thumb = path + "/reactions/%F0%9F%91%8D"
            let first = try await ann.send("PUT", thumb)
            #expect(first.status == 200, "\(first.text)")
            let summary = #"{"rev":REV,"summary":[{"name":"👍","count":1,"users":["ann"],"clipped":false}]}"#
            let revision = try #require((first.json["reactions"] as? [String: Any])?["rev"] as? Int)
            let reactions = summary.replacing("REV", with: "\(revision)")
            #expect(first.text == #"{"message_number":1,"reactions":\#(reactions)}"#)
            // A repeat is the same answer; so is one for oneself by name.
            #expect(try await ann.send("PUT", thumb).text == first.text)
            #expect(try await ann.send("PUT", thumb + "?user=ann").text == first.text)
            // The message says so, and is the same otherwise: the revision of its content stays.
            let shown = try await admin.get(path)
            #expect(shown.text == plain.text.dropLast() + #","reactions":\#(reactions)}"#)
            #expect(shown["ETag"] == plain["ETag"])
            #expect(try await admin.get("/chats/1/messages").text.contains(#""reactions":\#(reactions)}]"#))

            #expect(try await ann.send("PUT", thumb + "?user=bob").code == "insufficient_role")
            #expect(try await scene.caller("reader").send("PUT", thumb).code == "insufficient_role")
            #expect(try await scene.caller("stranger").send("PUT", thumb).code == "not_found")
            #expect(try await scene.caller("reader").get(path + "/reactions?name=%F0%9F%91%8D").status == 200)
            #expect(try await admin.send("PUT", thumb).status == 422)
            #expect(try await admin.send("PUT", thumb + "?user=").status == 422)
            for bad in ["%0A", "%FF", String(repeating: "x", count: 65), "%EF%B8%8F"] {
                let refused = try await admin.send("PUT", path + "/reactions/\(bad)?user=bob")
                #expect(refused.status == 422, "\(bad): \(refused.text)")
            }
            #expect(try await admin.send("PUT", "/chats/1/messages/9/reactions/x?user=bob").status == 404)
            #expect(try await admin.send("PUT", thumb + "?user=bob").status == 200)
            #expect(try await admin.send("PUT", path + "/reactions/x.json?user=bob").status == 200)

            let users = try await ann.get(path + "/reactions?name=%F0%9F%91%8D&limit=1")
            #expect(users.list.map { $0["user"] as? String } == ["ann"])
            let link = try #require(users["Link"])
            #expect(link.contains("&name=%F0%9F%91%8D>; rel=\"next\"") && link.contains("after=\(revision)&"))
            let rest = try await ann.get(path + "/reactions?name=%F0%9F%91%8D&after=\(revision)")
            #expect(rest.list.map { $0["user"] as? String } == ["bob"])
            #expect(try await ann.get(path + "/reactions?name=y").text == "[]")
            #expect(try await ann.get(path + "/reactions").status == 422)
            #expect(try await ann.get(path + "/reactions.json?name=x.json").list.count == 1)

            #expect(try await ann.send("DELETE", thumb).text.contains(#""users":["bob"]"#))
            #expect(try await admin.send("DELETE", thumb + "?user=bob").status == 200)
            let gone = try await admin.send("DELETE", path + "/reactions/x.json?user=bob")
            #expect(gone.text.contains(#""summary":[]}"#), "\(gone.text)")
            // That there are none any more is told, too.
            #expect(try await admin.get(path).text.contains(#","reactions":{"rev":"#))

            // Once a removal is answered, its user's reactions are refused.
            #expect(try await admin.send("DELETE", "/chats/1/members/ann").status == 200)
            #expect([403, 404].contains(try await ann.send("PUT", thumb).status))
            #expect(try await admin.send("PUT", thumb + "?user=bob").status == 200)
            #expect(try await admin.send("DELETE", path).status == 200)
            let refused = try await admin.send("PUT", thumb + "?user=bob")
            #expect(refused.status == 409 && refused.code == "message_deleted")
            #expect(try await admin.get(path).text.contains(#""summary":[]}"#))
            #expect(try await admin.get(path + "/reactions?name=%F0%9F%91%8D").text == "[]")
        }
    }
}
