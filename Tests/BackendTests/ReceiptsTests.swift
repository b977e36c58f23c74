import ChatCore
import TestSupport
import Testing

/// Whether readers of a chat are to see how far others have read, as it is set; and the application's default.
@Suite(.timeLimit(.minutes(2))) struct ReceiptsTests {
    @Test(arguments: BackendKind.allCases)
    func newChatsHaveTheApplications(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let (admin, ann) = (scene.admin, scene.caller("ann"))
            func receipts(_ path: String) async throws -> String? {
                try await admin.get(path).json["receipts"] as? String
            }
            #expect(try await receipts("") == "off")
            #expect(try await receipts("/chats/1") == "off")
            let byToken = "/applications/\(scene.users.application.new.token.text)"
            _ = try await admin.send("PATCH", "", json: #"{"path_token":"credential"}"#)
            #expect(try await admin.client.get(byToken).json["receipts"] == nil)

            let changed = try await admin.send("PATCH", "", json: #"{"receipts":"members"}"#)
            #expect(changed.status == 200 && changed.json["receipts"] as? String == "members", "\(changed.text)")
            #expect(try await receipts("") == "members")
            #expect(try await admin.client.get(byToken).json["receipts"] as? String == "members")
            // Those that are there stay as they are.
            #expect(try await receipts("/chats/1") == "off")
            #expect(try await ann.send("POST", "/chats", json: "{}").status == 201)
            #expect(try await receipts("/chats/2") == "members")
            #expect(try await admin.send("POST", "/chats", json: #"{"receipts":"off"}"#).status == 201)
            #expect(try await receipts("/chats/3") == "off")
            // Other settings of the application keep it, and back.
            _ = try await admin.send("PATCH", "", json: #"{"origins":["https://chat.example"]}"#)
            #expect(try await receipts("") == "members")
            _ = try await admin.send("PATCH", "", json: #"{"origins":null,"application":{"receipts":"off"}}"#)
            #expect(try await receipts("") == "off")
            #expect(try await admin.send("POST", "/chats", json: "{}").status == 201)
            #expect(try await receipts("/chats/4") == "off")

            let own = try await ann.send("PATCH", "/chats/2", json: #"{"chat":{"receipts":"off"}}"#)
            #expect(own.status == 200 && own.json["receipts"] as? String == "off")
            #expect(try await ann.send("PATCH", "/chats/2", json: #"{"receipts":"members"}"#).status == 200)
            #expect(try await ann.get("/users/me/chats").list.map { $0["receipts"] as? String } == ["members"])
            #expect(try await ann.get("/chats").list.map { $0["receipts"] as? String } == ["members", "off", "off"])
            for path in ["", "/chats/2"] {
                for json in [#"{"receipts":"all"}"#, #"{"receipts":null}"#, #"{"receipts":1}"#] {
                    let refused = try await admin.send("PATCH", path, json: json)
                    #expect(refused.status == 422, "\(path) \(json) \(refused.text)")
                    #expect(refused.errors == ["Receipts must be off or members"])
                }
            }
            let targets = try await admin.get("/audit").list.compactMap { $0["target"] as? String }
            #expect(targets.contains("receipts=members") && targets.contains("chats/2 receipts=off"))
        }
    }
}
