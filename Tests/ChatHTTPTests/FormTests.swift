import Foundation
import TestSupport
import Testing

/// Bodies of `application/x-www-form-urlencoded`, as clients of the Rails application send them.
@Suite(.timeLimit(.minutes(3))) struct FormTests {
    private static let type = ["Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"]

    @Test(arguments: [
        ("body=hi", "hi"), ("message[body]=hi", "hi"), ("message%5Bbody%5D=h%C3%A9+you%21", "hé you!"),
        ("body=flat&message[body]=nested", "nested"), ("message[body]=nested&body=flat", "nested"),
        ("body=1&body=2", "2"), ("a=b&&body=hi&", "hi"), ("body=a=b", "a=b"), ("body=%2B%26%3D", "+&="),
        ("message[other]=x&body=hi", "hi"), ("message=x&body=hi", "hi"), ("body=hi&message[body", "hi"),
        ("body=hi&utf8=%E2%9C%93&commit=Send", "hi"),
    ])
    func messages(_ form: String, _ body: String) async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let answer = try await server.client.send(
                "POST", chat + "/messages", headers: Self.type, body: Array(form.utf8))
            #expect(answer.status == 201)
            #expect(answer.json["body"] as? String == body)
            let stored = try await server.client.get(chat + "/messages").list
            #expect(stored.map { $0["body"] as? String } == [body])
        }
    }

    @Test(arguments: [
        ("body=", 422, "invalid"), ("body", 422, "invalid"), ("body[]=x", 422, "invalid"),
        ("body[a]=x", 422, "invalid"),
        ("message[body][a]=x", 422, "invalid"), ("body=a%00", 422, "invalid"), ("x=y", 400, "missing_parameter"),
        ("", 400, "missing_parameter"), ("message[]=x", 400, "missing_parameter"),
        ("message=x", 400, "missing_parameter"),
        ("body=%", 400, "malformed_form"), ("body=%zz", 400, "malformed_form"), ("body=%C3", 400, "malformed_form"),
        ("%FF=x&body=hi", 400, "malformed_form"), ("body=hi&x=%+1", 400, "malformed_form"),
        ("body=hi" + String(repeating: "&a=b", count: 4096), 400, "malformed_form"),
        ("body=hi&a" + String(repeating: "[b]", count: 32) + "=c", 400, "malformed_form"),
        ("body=hi&a" + String(repeating: "[b]", count: 80_000) + "=c", 400, "malformed_form"),
        ("body=" + String(repeating: "x", count: 256 << 10), 413, "body_too_large"),
    ])
    func whatIsRefused(_ form: String, _ status: Int, _ code: String) async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            try await server.expectRefusal(status, code, String(form.prefix(40))) {
                try await server.client.send("POST", chat + "/messages", headers: Self.type, body: Array(form.utf8))
            }
        }
    }

    @Test func applicationsAndChats() async throws {
        try await TestServer.run { server in
            func send(_ method: String, _ path: String, _ form: String, _ headers: [String: String] = [:]) async throws
                -> Answer
            {
                try await server.client.send(
                    method, path, headers: Self.type.merging(headers) { $1 }, body: Array(form.utf8))
            }
            let created = try await send("POST", "/applications", "application[name]=My+app")
            #expect(created.status == 201 && created.json["name"] as? String == "My app")
            let path = created["Location"] ?? ""
            let renamed = try await send("PUT", path, "name=Other")
            #expect(renamed.json["name"] as? String == "Other")
            #expect(try await send("PATCH", path + ".json", "name=Third").status == 200)
            let key = ["Idempotency-Key": "k"]
            let first = try await send("POST", path + "/chats", "x=y", key)
            #expect(first.json["chat_number"] as? Int == 1)
            let again = try await send("POST", path + "/chats", "x=y", key)
            #expect(again["Idempotent-Replayed"] == "true")
            #expect(try await send("POST", path + "/chats", "x=%FF").status == 400)
        }
    }
}
