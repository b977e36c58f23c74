import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct SenderTests {
    @Test func answersListsSearchesAndEventsHaveTheSender() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let socket = try await server.connect(chat)
            await socket.send(#"{"type":"subscribe","chat":1,"after":"0"}"#)
            #expect(try await socket.answer()["type"] as? String == "subscribed")
            let created = try await server.client.post(chat + "/messages", json: #"{"body":"hi","sender":"Ada"}"#)
            #expect(created.status == 201 && created.json["sender"] as? String == "Ada")
            #expect(try await server.client.get(chat + "/messages/1").text == created.text)
            #expect(try await socket.next()?.text.contains(#","sender":"Ada"}"#) == true)
            let nested = try await server.client.post(
                chat + "/messages", json: #"{"sender":"Bob","message":{"body":"hi","sender":"Eve"}}"#)
            #expect(nested.json["sender"] as? String == "Eve")
            let form = try await server.client.send(
                "POST", chat + "/messages", headers: ["Content-Type": "application/x-www-form-urlencoded"],
                body: Array("message[body]=hi&sender=Bob".utf8))
            #expect(form.json["sender"] as? String == "Bob")
            for json in [#"{"body":"hi"}"#, #"{"body":"hi","sender":null}"#] {
                let answer = try await server.client.post(chat + "/messages", json: json)
                #expect(answer.text.hasSuffix(#","sender":null}"#))
            }
            for query in ["", "/search?q=hi"] {
                let listed = try await server.client.get(chat + "/messages" + query).list
                #expect(listed.map { $0["sender"] as? String } == ["Ada", "Eve", "Bob", nil, nil])
            }
            let found = try await server.client.get(chat + "/messages/search?q=hi&from=Eve&limit=1")
            #expect(found.list.map { $0["number"] as? Int } == [2] && found["Link"] == nil)
            let everywhere = try await server.client.get(
                server.application(chat) + "/messages/search?q=hi&from=%41da")
            #expect(everywhere.list.map { $0["sender"] as? String } == ["Ada"])
            await socket.send(#"{"type":"send","chat":1,"body":"by socket","sender":"Bob"}"#)
            let said = try await (0..<6).asyncMap { _ in try await socket.next()?.text ?? "" }
            #expect(said.contains { $0.contains(#""body":"by socket","#) && $0.contains(#""sender":"Bob""#) })
        }
    }

    @Test func senders() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            for sender in [#""""#, #""me""#, "[]", "{}", #""a\u0000b""#, "\"\(String(repeating: "é", count: 65))\""] {
                let answer = try await server.client.post(
                    chat + "/messages", json: "{\"body\":\"hi\",\"sender\":\(sender)}")
                #expect(answer.status == 422, "\(sender)")
                #expect(answer.text.contains("Sender must be the id of a user"), "\(sender)")
            }
            for from in ["", "me", "%FF"] {
                let answer = try await server.client.get(chat + "/messages/search?q=x&from=\(from)")
                #expect(answer.status == 422 && answer.text.contains("From must be the id of a user"), "\(from)")
            }
            let socket = try await server.connect(chat)
            await socket.send(#"{"type":"send","chat":1,"body":"x","sender":"me"}"#)
            #expect(try await socket.answer()["code"] as? String == "invalid")
            #expect(try await server.client.get(chat + "/messages").text == "[]")
        }
    }

    /// An Idempotency-Key is for one text of one sender.
    @Test func aReplayIsOfTheSameSender() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            func send(_ json: String) async throws -> Answer {
                try await server.client.post(chat + "/messages", json: json, headers: ["Idempotency-Key": "k"])
            }
            #expect(try await send(#"{"body":"hi","sender":"Ada"}"#).status == 201)
            #expect(try await send(#"{"body":"hi","sender":"Ada"}"#)["Idempotent-Replayed"] == "true")
            for json in [#"{"body":"hi"}"#, #"{"body":"hi","sender":"Bob"}"#] {
                let answer = try await send(json)
                #expect(answer.status == 422 && answer.json["code"] as? String == "idempotency_key_reused", "\(json)")
            }
        }
    }
}

extension Range<Int> {
    fileprivate func asyncMap<Value>(_ body: (Int) async throws -> Value) async throws -> [Value] {
        var values: [Value] = []
        for index in self { values.append(try await body(index)) }
        return values
    }
}
