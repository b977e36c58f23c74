import Foundation
import TestSupport
import Testing

@testable import ChatCore
@testable import ChatHTTP

/// User tokens and tickets on live connections: how they are shown, renewed, and how they end.
@Suite(.timeLimit(.minutes(3))) struct LiveTokenTests {
    @Test func aTicketOpensStreams() async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            let answer = try await site.ticket(#"{"chats":[1],"ttl_s":600}"#, user: "somebody")
            #expect(answer.status == 201 && answer.json["expires_at"] is String, "\(answer.text)")
            let ticket = try #require(answer.json["ticket"] as? String)
            #expect(!ticket.contains("somebody"))
            // As often as one likes.
            var streams: [SSEClient] = []
            for _ in 1...2 {
                let stream = try await SSEClient(server.client.port, site.path + "/chats/1/stream?ticket=\(ticket)")
                try await stream.waitForOpening()
                streams.append(stream)
            }
            #expect(
                try await server.client.post(site.owner + "/chats/1/messages", json: #"{"body":"hi"}"#).status == 201)
            for stream in streams { #expect(try await stream.next()?.type == "message") }

            // It reads streams of its chats, and nothing else.
            for (method, path, status) in [
                ("GET", "/chats/2/stream?ticket=\(ticket)", 404), ("GET", "/chats/1/messages?ticket=\(ticket)", 401),
                ("POST", "/chats/1/messages?ticket=\(ticket)", 401), ("GET", "/chats/1/stream?ticket=\(ticket)x", 401),
                ("GET", "/chats/1/stream?ticket=", 401), ("GET", "/chats/1/stream?ticket=tkt_AAAA", 401),
                ("GET", "/chats/1/stream?ticket=%FF", 401), ("POST", "/tickets?ticket=\(ticket)", 401),
            ] {
                let answer = try await server.client.send(method, site.path + path)
                #expect(answer.status == status, "\(method) \(path.prefix(30)): \(answer.text)")
                #expect(!answer.text.contains(ticket))
            }
            let both = try await server.client.get(
                site.path + "/chats/1/stream?ticket=\(ticket)",
                headers: ["Authorization": "Bearer \(site.token("somebody"))"])
            #expect(both.status == 400 && both.code == "ambiguous_credentials")
            #expect(!server.log.lines.contains { $0.contains(ticket) })

            // It ends with the user.
            _ = try await server.client.send("POST", site.owner + "/users/somebody/block")
            for stream in streams {
                let close = try await stream.next()
                #expect(close?.type == "close" && close?.data == #"{"code":"not_allowed","reconnect":false}"#)
            }
            let blocked = try await server.client.get(site.path + "/chats/1/stream?ticket=\(ticket)")
            #expect(blocked.status == 403 && blocked.code == "user_blocked")
        }
    }

    @Test func ticketsThatAreNone() async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            for (json, status) in [
                (#"{"chats":[0]}"#, 422), (#"{"chats":["1"]}"#, 422), (#"{"chats":1}"#, 422), (#"{"ttl_s":0}"#, 422),
                (#"{"ttl_s":86401}"#, 422), (#"{"ttl_s":"5"}"#, 422), ("[]", 400), ("{}", 201),
                (#"{"chats":[\#((1...201).map { "\($0)" }.joined(separator: ","))]}"#, 422), (#"{"chats":[]}"#, 201),
            ] {
                #expect(try await site.ticket(json).status == status, "\(json.prefix(40))")
            }
            // The path's token is no user.
            #expect(try await server.client.post(site.owner + "/tickets", json: "{}").status == 403)
            // Never past the token.
            let short = try await site.ticket(#"{"ttl_s":600}"#, seconds: 60)
            let end = try #require((short.json["expires_at"] as? String).flatMap { Timestamp(rfc3339: $0) })
            #expect(end <= WallClock.system.now().adding(.seconds(60)))
        }
    }

    /// However much it says, it opens what it was made for.
    @Test func theLongestTicketsAreTaken() async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            let user = String(repeating: "\"", count: 128)
            let named = [1] + (0..<199).map { Int64.max - $0 }
            let list = named.map { "\($0)" }.joined(separator: ",")
            // As many as fit into a token, and none named.
            let own = try site.token("u1", chats: Array(1...740))
            #expect(own.utf8.count > 3900)
            for (token, json) in [(try site.token(user), #"{"chats":[\#(list)]}"#), (own, "{}")] {
                let answer = try await server.client.post(
                    site.path + "/tickets", json: json, headers: ["Authorization": "Bearer \(token)"])
                #expect(answer.status == 201)
                let ticket = try #require(answer.json["ticket"] as? String)
                let query = "?ticket=\(ticket)&after=\(Int64.max)&soft=1"
                let stream = try await SSEClient(server.client.port, site.path + "/chats/1/stream" + query)
                try await stream.waitForOpening()
                #expect(stream.headers["x-accel-buffering"] == "no")
            }
        }
    }

    @Test func aStreamEndsWithItsTicket() async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            let ticket = try #require(try await site.ticket(#"{"ttl_s":2}"#).json["ticket"] as? String)
            let stream = try await SSEClient(server.client.port, site.path + "/chats/1/stream?ticket=\(ticket)")
            try await stream.waitForOpening()
            let close = try await stream.next()
            #expect(close?.type == "close" && close?.data == #"{"code":"token_expired","reconnect":false}"#)
            #expect(try await stream.next() == nil)
            let path = site.path + "/chats/1/stream?ticket=\(ticket)"
            let late = try await server.client.get(path)
            #expect(late.status == 401 && late.code == "token_expired")
            // For an EventSource, which sees no status.
            let soft = try await server.client.get(path + "&soft=1")
            #expect(soft.status == 200 && soft["Content-Type"] == "text/event-stream")
            #expect(soft.text.contains("event: close\ndata: {\"code\":\"token_expired\",\"reconnect\":false}\n\n"))
            for path in [site.path + "/chats/1/stream?soft=1", site.owner + "/chats/77/stream?soft=1"] {
                let soft = try await server.client.get(path)
                #expect(soft.status == 200 && soft.text.hasPrefix("retry: "), "\(soft.text)")
                #expect(soft.text.contains(path.hasPrefix(site.path) ? "credentials_required" : "not_found"))
            }
        }
    }

    @Test func aSocketTakesItsTokenFromTheSubprotocol() async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            let socket = try await site.socket("luciq.v1, luciq.token.\(site.token("u1"))")
            #expect(socket.answer.status == 101 && socket.answer["Sec-WebSocket-Protocol"] == "luciq.v1")
            await socket.send(#"{"type":"send","ref":"a","chat":1,"body":"hi"}"#)
            #expect(try await socket.answer()["type"] as? String == "sent")
            #expect(try await site.socket("luciq.v1, luciq.token.x").answer.code == "token_invalid")
            let token = try site.token("u1")
            #expect(try await site.socket("luciq.token.\(token), luciq.token.\(token)").answer.status == 400)
        }
    }

    @Test func aSocketTakesItsTokenFromTheFirstMessage() async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            let socket = try await site.socket()
            #expect(socket.answer.status == 101 && socket.answer["Sec-WebSocket-Protocol"] == nil)
            #expect(server.service.authenticator.openings.principals.isEmpty)
            await socket.send(#"{"type":"auth","token":"\#(try site.token("u1"))","ref":"r"}"#)
            let answer = try await socket.answer()
            #expect(answer["type"] as? String == "authenticated" && answer["user"] as? String == "u1", "\(answer)")
            #expect(answer["ref"] as? String == "r")
            #expect((1...600).contains(answer["expires_in"] as? Int ?? 0))
            await socket.send(#"{"type":"subscribe","chat":1}"#)
            #expect(try await socket.answer()["type"] as? String == "subscribed")

            // The same user goes on with a newer one; another user does not.
            await socket.send(#"{"type":"auth","token":"\#(try site.token("u1", seconds: 3600))"}"#)
            let renewed = try await socket.answer()
            #expect(renewed["type"] as? String == "authenticated" && (renewed["expires_in"] as? Int ?? 0) > 600)
            await socket.send(#"{"type":"auth","token":"\#(try site.token("u2"))"}"#)
            #expect(try await socket.closeCode() == 4403)
        }
    }

    /// What it is not good for any more ends as if the chats were gone; the rest goes on.
    @Test func aNarrowerTokenEndsSubscriptions() async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            let socket = try await site.socket("luciq.token.\(site.token("u1"))")
            for chat in 1...2 {
                await socket.send(#"{"type":"subscribe","chat":\#(chat)}"#)
                #expect(try await socket.answer()["type"] as? String == "subscribed")
            }
            await socket.send(#"{"type":"auth","token":"\#(try site.token("u1", chats: [2]))"}"#)
            #expect(try await socket.answer()["type"] as? String == "authenticated")
            let error = try await socket.answer()
            #expect(error["code"] as? String == "not_found" && error["chat"] as? Int == 1, "\(error)")
            let end = try await socket.answer()
            #expect(end["type"] as? String == "unsubscribed" && end["chat"] as? Int == 1, "\(end)")
            for chat in 1...2 {
                _ = try await server.client.post(site.owner + "/chats/\(chat)/messages", json: #"{"body":"hi"}"#)
            }
            let message = try await socket.answer()
            #expect(message["type"] as? String == "message" && message["chat"] as? Int == 2, "\(message)")
            for type in ["subscribe", "send"] {
                await socket.send(#"{"type":"\#(type)","chat":1,"body":"x"}"#)
                #expect(try await socket.answer()["code"] as? String == "not_found")
            }
            // A wider one opens it again.
            await socket.send(#"{"type":"auth","token":"\#(try site.token("u1", chats: [1, 2]))"}"#)
            #expect(try await socket.answer()["type"] as? String == "authenticated")
            await socket.send(#"{"type":"subscribe","chat":1,"after":"0"}"#)
            #expect(try await socket.answer()["type"] as? String == "subscribed")
            #expect(try await socket.answer()["type"] as? String == "message")
        }
    }

    @Test(arguments: [
        (#"{"type":"subscribe","chat":1}"#, 4401), ("x", 4401), (#"{"type":"auth"}"#, 4401),
        (#"{"type":"auth","token":"a.b.c"}"#, 4401), (String(repeating: "x", count: 9000), 1009),
    ])
    func anotherFirstMessageClosesTheSocket(_ message: String, _ code: Int) async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            let socket = try await site.socket()
            await socket.send(message)
            #expect(try await socket.closeCode() == code)
        }
    }

    @Test func aSocketWithoutAFirstMessageIsClosed() async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            #expect(try await site.socket().closeCode() == 4401)
        }
    }

    /// A client that is blocked learns another reason than one whose token was revoked.
    @Test(arguments: [("block", 4403, "not_allowed"), ("revoke", 4401, "token_revoked")])
    func whyItEnds(_ what: String, _ code: Int, _ name: String) async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            // The same all the time: a revocation takes none that was made in a later second.
            let token = try site.token("u1")
            let greeted = try await site.greetedSocket(token: token)
            #expect(try await greeted.answer()["type"] as? String == "authenticated")
            let socket = try await site.socket("luciq.token.\(token)")
            await socket.send(#"{"type":"subscribe","chat":1}"#)
            #expect(try await socket.answer()["type"] as? String == "subscribed")
            let headers = ["Authorization": "Bearer \(token)"]
            let stream = try await SSEClient(server.client.port, site.path + "/chats/1/stream", headers: headers)
            try await stream.waitForOpening()
            #expect(try await server.client.send("POST", site.owner + "/users/u1/\(what)").status == 200)
            for socket in [greeted, socket] { #expect(try await socket.closeCode() == code) }
            #expect(try await stream.next()?.json["code"] as? String == name)
            // The same to one who comes back.
            #expect(try await site.greetedSocket(token: token).closeCode() == code)
            // The subscription for the same reason as its socket.
            let ended = server.metric("luciq_stream_ended_total{code=\"\(name)\"}")
            #expect(ended == 2)
        }
    }

    /// 30 seconds before the end, and not earlier.
    @Test func theNoticeComesInTime() async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            let socket = try await site.socket("luciq.token.\(site.token("u1", seconds: 33))")
            await socket.send(#"{"type":"unsubscribe","chat":1}"#)
            #expect(try await socket.answer()["code"] as? String == "not_subscribed")
            let notice = try await socket.answer()
            #expect(notice["type"] as? String == "token_expiring")
            #expect((28...30).contains(notice["expires_in"] as? Int ?? 0), "\(notice)")
        }
    }

    /// However often a client shows the same token, one pair of timers waits for its end.
    @Test func theSameTokenIsWatchedOnce() async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            let token = try site.token("u1", seconds: 20)
            let socket = try await site.socket("luciq.token.\(token)")
            #expect(try await socket.answer()["type"] as? String == "token_expiring")
            for _ in 1...10 {
                await socket.send(#"{"type":"auth","token":"\#(token)"}"#)
                #expect(try await socket.answer()["type"] as? String == "authenticated")
            }
            await socket.send(#"{"type":"subscribe","chat":1}"#)
            #expect(try await socket.answer()["type"] as? String == "subscribed")
        }
    }

    @Test func aSocketEndsWithItsToken() async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            let socket = try await site.socket("luciq.token.\(site.token("u1", seconds: 2))")
            // It ends in less than the notice.
            #expect(try await socket.answer()["type"] as? String == "token_expiring")
            #expect(try await socket.closeCode() == 4310)
            // Renewed in time, it stays.
            let kept = try await site.socket("luciq.token.\(site.token("u1", seconds: 3))")
            #expect(try await kept.answer()["type"] as? String == "token_expiring")
            await kept.send(#"{"type":"subscribe","chat":1}"#)
            #expect(try await kept.answer()["type"] as? String == "subscribed")
            await kept.send(#"{"type":"auth","token":"\#(try site.token("u1"))"}"#)
            #expect(try await kept.answer()["type"] as? String == "authenticated")
            let other = try await site.socket("luciq.token.\(site.token("u1", seconds: 4))")
            #expect(try await other.answer()["type"] as? String == "token_expiring")
            #expect(try await other.closeCode() == 4310)
            #expect(
                try await server.client.post(site.owner + "/chats/1/messages", json: #"{"body":"hi"}"#).status == 201)
            #expect(try await kept.answer()["type"] as? String == "message")
        }
    }
}
