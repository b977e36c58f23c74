import ChatHTTP
import Foundation
import TestSupport
import Testing

/// The contract's good answers, over a real socket.
@Suite(.timeLimit(.minutes(3))) struct ContractTests {
    @Test func applications() async throws {
        try await TestServer.run { server in
            let created = try await server.client.post("/applications", json: #"{"application":{"name":" Zoë "}}"#)
            #expect(created.status == 201)
            #expect(created["Content-Type"] == "application/json; charset=utf-8")
            #expect(Set(created.json.keys) == ["name", "token", "id"])
            #expect((created.json["id"] as? String)?.wholeMatch(of: /app_[0-9A-Za-z]{22}/) != nil)
            #expect(created.json["name"] as? String == " Zoë ")
            let token = try #require(created.json["token"] as? String)
            #expect(token.wholeMatch(of: /[0-9a-f]{32}/) != nil)
            #expect(created["Location"] == "/applications/\(token)")

            let path = "/applications/\(token)"
            let shown = try await server.client.get(path)
            #expect(shown.status == 200)
            #expect(Set(shown.json.keys) == ["name", "token", "chats_count", "messages_count", "created_at"])
            #expect(
                (shown.json["created_at"] as? String)?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
            for method in ["PATCH", "PUT"] {
                let renamed = try await server.client.send(method, path, json: "{\"name\":\"\(method)\"}")
                #expect(renamed.status == 200)
                #expect(renamed.json as? [String: String] == ["name": method, "token": token])
                #expect(try await server.client.get(path).json["name"] as? String == method)
            }
            let count = try await server.client.get(path + "/message_count")
            #expect(count.text == #"{"application_token":"\#(token)","messages_count":0}"#)
        }
    }

    @Test func chatsAndMessages() async throws {
        try await TestServer.run { server in
            let client = server.client
            let path = try await client.makeApplication()
            for number in 1...3 {
                let body: String? = [nil, "{}", #"{"anything":[1,2]}"#][number - 1]
                let chat =
                    if let body { try await client.post(path + "/chats", json: body) } else {
                        try await client.send("POST", path + "/chats")
                    }
                #expect(chat.status == 201)
                #expect(chat.text == "{\"chat_number\":\(number)}")
                #expect(chat["Location"] == "\(path)/chats/\(number)")
            }
            for number in 1...5 {
                let message = try await client.post(path + "/chats/2/messages", json: "{\"body\":\"m\(number)\"}")
                #expect(message.status == 201)
                #expect(message.json["message_number"] as? Int == number)
                #expect(message.json["body"] as? String == "m\(number)")
                #expect(message["Location"] == "\(path)/chats/2/messages/\(number)")
                let shown = try await client.get(path + "/chats/2/messages/\(number)")
                #expect(shown.text == message.text)
            }
            #expect(try await client.get(path + "/chats").list.map { $0["messages_count"] as? Int } == [0, 5, 0])
            #expect(try await client.get(path + "/chats/2").json["messages_count"] as? Int == 5)
            let count = try await client.get(path + "/chats/2/message_count")
            #expect(count.text == #"{"chat_number":2,"messages_count":5}"#)
            let details = try await client.get(path)
            #expect(details.json["chats_count"] as? Int == 3)
            #expect(details.json["messages_count"] as? Int == 5)
            #expect(try await client.get(path + "/message_count").json["messages_count"] as? Int == 5)
        }
    }

    @Test func pagesFollowTheirLinks() async throws {
        try await TestServer.run { server in
            let client = server.client
            let chat = try await client.makeChat()
            for number in 1...10 { _ = try await client.post(chat + "/messages", json: "{\"body\":\"m\(number)\"}") }
            for order in ["asc", "desc"] {
                let all = order == "asc" ? Array(1...10) : Array((1...10).reversed())
                var seen: [Int] = []
                var next: String? = "\(chat)/messages?limit=4&order=\(order)"
                var last: Answer?
                while let path = next {
                    let page = try await client.get(path)
                    seen += page.numbers
                    next = page.link("next")
                    last = page
                }
                #expect(seen == all)
                var back: [Int] = []
                var previous = last?.link("prev")
                while let path = previous {
                    let page = try await client.get(path)
                    back = page.numbers + back
                    previous = page.link("prev")
                }
                #expect(back == Array(all.prefix(8)))
            }
            #expect(try await client.get(chat + "/messages").numbers == Array(1...10))
            #expect(try await client.get(chat + "/messages")["Link"] == nil)
            #expect(try await client.get(chat + "/messages?after=3&before=6").numbers == [4, 5])
            #expect(try await client.get(chat + "/messages?before=6&limit=2").numbers == [4, 5])
            let window = try await client.get(chat + "/messages?after=2&before=9&limit=3")
            #expect(window.numbers == [3, 4, 5])
            #expect(try await client.get(try #require(window.link("next"))).numbers == [6, 7, 8])
            let beyond = try await client.get(chat + "/messages?after=9223372036854775807&limit=2")
            #expect(beyond.numbers == [])
            #expect(try await client.get(try #require(beyond.link("prev"))).numbers == [9, 10])
            for list in [String(chat.dropLast(2)) + "?", chat + "/messages?", chat + "/messages/search?q=m&"] {
                for cursor in ["0", "1", "9223372036854775806", "9223372036854775807"] {
                    for order in ["asc", "desc"] {
                        for name in ["after", "before"] {
                            let answer = try await client.get("\(list)\(name)=\(cursor)&order=\(order)&limit=3")
                            #expect(answer.status == 200, "\(list)\(name)=\(cursor) \(order)")
                            for link in ["next", "prev"].compactMap(answer.link) {
                                #expect(try await client.get(link).status == 200, "\(link)")
                            }
                        }
                    }
                }
            }
            let chats = try await client.get(String(chat.dropLast(2)) + "?limit=1&order=desc")
            #expect(chats.numbers == [1])
        }
    }

    @Test func search() async throws {
        try await TestServer.run { server in
            let client = server.client
            let chat = try await client.makeChat()
            for body in ["Café au lait", "100% a_b", "cafeteria", "a+b c\\d", "axb", "x"] {
                let json = String(decoding: try JSONSerialization.data(withJSONObject: ["body": body]), as: UTF8.self)
                #expect(try await client.post(chat + "/messages", json: json).status == 201)
            }
            func find(_ query: String) async throws -> [Int] {
                try await client.get("\(chat)/messages/search?\(query)").numbers
            }
            #expect(try await find("q=CAFE") == [1, 3])
            #expect(try await find("q=caf%C3%A9") == [1, 3])
            #expect(try await find("q=%25") == [2])
            #expect(try await find("q=a_b") == [2])
            #expect(try await find("q=a%2Bb") == [4])
            #expect(try await find("q=b+c") == [4])
            #expect(try await find("q=c%5Cd") == [4])
            #expect(try await find("q=nothing") == [])
            #expect(try await find("q=a&order=desc&limit=2") == [5, 4])
            let page = try await client.get("\(chat)/messages/search?q=caf%C3%A9&limit=1")
            #expect(page.numbers == [1])
            let next = try await client.get(try #require(page.link("next")))
            #expect(next.numbers == [3])
            #expect(next.link("next") == nil)
            #expect(try await client.get(try #require(next.link("prev"))).numbers == [1])
        }
    }

    @Test(arguments: [
        (#"{"body":5}"#, "5"), (#"{"body":-0}"#, "0"), (#"{"body":1.5}"#, "1.5"), (#"{"body":1.0}"#, "1.0"),
        (#"{"body":1.50}"#, "1.5"), (#"{"body":1e3}"#, "1000.0"), (#"{"body":1e20}"#, "1.0e+20"),
        (#"{"body":123456789012345678901234567890}"#, "123456789012345678901234567890"), (#"{"body":true}"#, "1"),
        (#"{"body":false}"#, "0"), (#"{"message":{"body":"n"},"body":"f"}"#, "n"),
        (#"{"body":"f","message":{"body":"n"}}"#, "n"), (#"{"message":{"x":1},"body":"f"}"#, "f"),
        (#"{"message":"text","body":"f"}"#, "f"), (#"{"body":"a","body":"b"}"#, "b"),
        (#"{"body":"\u00e9\ud83d\ude00\n\"\\\/"}"#, "é😀\n\"\\/"), (#" { "x" : [ { } , [ ] ] , "body" : "s" } "#, "s"),
        ("{\"body\":\" \u{1F469}\u{200D}\u{1F680} e\u{301} \"}", " \u{1F469}\u{200D}\u{1F680} e\u{301} "),
    ])
    func textIsTakenAsRailsTakesIt(_ json: String, _ body: String) async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let answer = try await server.client.post(chat + "/messages", json: json)
            #expect(answer.status == 201)
            // Byte for byte: Swift's == would take two normal forms for the same.
            #expect((answer.json["body"] as? String).map { Array($0.utf8) } == Array(body.utf8))
            let stored = try await server.client.get(chat + "/messages/1")
            #expect((stored.json["body"] as? String).map { Array($0.utf8) } == Array(body.utf8))
        }
    }

    @Test func headIsThereWhereverGetIs() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            for path in [
                "/up", "/livez", "/readyz", "/metrics", "/openapi.yaml", "/asyncapi.yaml", "/", "/docs", chat,
                chat + "/messages",
            ] {
                let head = try await server.client.send("HEAD", path)
                #expect(head.status == 200, "\(path)")
                #expect(head["X-Request-Id"] != nil)
            }
        }
    }

    @Test func requestIDs() async throws {
        try await TestServer.run { server in
            let own = try await server.client.get("/livez", headers: ["X-Request-Id": "mine-42"])
            #expect(own["X-Request-Id"] == "mine-42")
            let long = String(repeating: "x", count: 129)
            for bad in [long, "é"] {
                let answer = try await server.client.get("/livez", headers: ["X-Request-Id": bad])
                #expect(answer["X-Request-Id"] != bad)
                // Random, so that it does not reveal the number of requests.
                #expect(answer["X-Request-Id"]?.wholeMatch(of: /[0-9a-f]{32}/) != nil)
            }
        }
    }

    @Test func healthAndDocuments() async throws {
        try await TestServer.run { server in
            #expect(try await server.client.get("/up").text.contains("green"))
            #expect(try await server.client.get("/livez").text == "ok\n")
            #expect(try await server.client.get("/readyz").status == 200)
            let page = try await server.client.get("/")
            #expect(page["Content-Security-Policy"]?.contains("default-src 'none'") == true)
            let document = try await server.client.get("/openapi.yaml")
            #expect(document.text.contains("openapi: 3.1"))
            let live = try await server.client.get("/asyncapi.yaml")
            #expect(live.status == 200 && live.text.contains("asyncapi: 3.0"))
            // A browser shows it, and saves no file.
            #expect(document["Content-Type"] == "text/plain; charset=utf-8")
        }
    }

    @Test func metrics() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            _ = try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#)
            _ = try await server.client.get("/nowhere")
            let text = try await server.client.get("/metrics").text
            let route = "/applications/{token}/chats/{chat_number}/messages"
            for line in [
                #"luciq_http_request_duration_seconds_count{method="POST",route="\#(route)",status="201"} 1"#,
                #"luciq_http_request_duration_seconds_bucket{method="GET",route="NotFound",status="404",le="+Inf"} 1"#,
                #"luciq_writer_batch_size_count{writer="messages"} 1"#,
                #"luciq_writer_queue_depth{writer="messages"} 0"#,
                #"luciq_store_write_seconds_count{writer="messages"} 1"#,
                "# TYPE luciq_http_connections gauge",
            ] {
                #expect(text.contains(line), "\(line)")
            }
        }
    }

    /// The rules of `promtool check metrics`, and the metrics of the process itself.
    @Test func metricsAreAsPrometheusWantsThem() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            _ = try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#)
            let metrics = PrometheusText(try await server.client.get("/metrics").text)
            #expect(metrics.problems == [])
            #expect(metrics["luciq_build_info", ["version": "test"]] == 1)
            let now = Date().timeIntervalSince1970
            #expect((now - 3600...now).contains(metrics["process_start_time_seconds", [:]] ?? 0))
            let cpu = try #require(metrics["process_cpu_seconds_total", [:]])
            let open = try #require(metrics["process_open_fds", [:]])
            #expect(cpu > 0 && open > 3 && open < metrics["process_max_fds", [:]] ?? 0)
            #if os(Linux)
                let resident = try #require(metrics["process_resident_memory_bytes", [:]])
                #expect(resident > 1_048_576 && resident < metrics["process_virtual_memory_bytes", [:]] ?? 0)
            #endif
            let later = PrometheusText(try await server.client.get("/metrics").text)
            #expect(later["process_cpu_seconds_total", [:]] ?? 0 > cpu)
        }
    }

    @Test func aTokenIsNeverLogged() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let token = try #require(chat.split(separator: "/").dropFirst().first)
            _ = try await server.client.post(chat + "/messages", json: #"{"body":"secret-body"}"#)
            _ = try await server.client.get(chat + "/messages/search?q=x&limit=0")
            _ = try await server.client.get("/applications/\(token)/nothing/here")
            #expect(server.log.lines.contains { $0.contains("/applications/{token}/chats/{chat_number}/messages") })
            for line in server.log.lines {
                #expect(!line.contains(token))
                #expect(!line.contains("secret-body"))
            }
        }
    }

    @Test func corsIsOffUntilAskedFor() async throws {
        let origin = ["Origin": "https://app.example", "Access-Control-Request-Method": "POST"]
        try await TestServer.run { server in
            let plain = try await server.client.get("/livez", headers: origin)
            #expect(plain["Access-Control-Allow-Origin"] == nil)
            let options = try await server.client.send("OPTIONS", "/applications", headers: origin)
            #expect(options.status == 405)
        }
        var options = TestServer.options
        options.corsOrigin = "https://app.example"
        try await TestServer.run(options: options) { server in
            let preflight = try await server.client.send("OPTIONS", "/applications", headers: origin)
            #expect(preflight.status == 204)
            #expect(preflight["Access-Control-Allow-Origin"] == "https://app.example")
            let refused = try await server.client.get("/nowhere", headers: origin)
            #expect(refused.status == 404)
            #expect(refused["Access-Control-Allow-Origin"] == "https://app.example")
            #expect(refused["Access-Control-Expose-Headers"]?.contains("Link") == true)
        }
    }
}
