import GRDB
import HTTPTypes
import TestSupport
import Testing

@testable import ChatCore
@testable import ChatHTTP
@testable import ChatSQLite

/// Who the caller is, what it may do, and that everything of it ends at a revocation.
@Suite(.timeLimit(.minutes(3))) struct AccessTests {
    private func token(_ chat: String) throws -> Tenant.Token {
        try #require(Tenant.Token(chat.split(separator: "/")[1]))
    }

    @Test func whatARevokedPrincipalHasOpenEnds() async throws {
        try await TestServer.run { server in
            let revoked = try await server.client.makeChat()
            let kept = try await server.client.makeChat()
            var streams: [SSEClient] = []
            var sockets: [WebSocketClient] = []
            for chat in [revoked, kept] {
                streams.append(try await SSEClient(server.client.port, chat + "/stream"))
                try await streams.last?.waitForOpening()
                let socket = try await server.connect(chat)
                await socket.send(#"{"type":"subscribe","chat":1}"#)
                #expect(try await socket.answer()["type"] as? String == "subscribed")
                sockets.append(socket)
            }
            // A connection counts, with a subscription or without.
            let idle = try await server.connect(revoked)
            #expect(server.service.authenticator.openings.principals.count == 2)

            server.service.revoke(.pathToken(try token(revoked)))
            let close = try await streams[0].next()
            #expect(close?.type == "close")
            #expect(close?.data == #"{"code":"token_revoked","reconnect":false}"#)
            #expect(try await streams[0].next() == nil)
            for socket in [sockets[0], idle] {
                #expect(try await socket.next()?.code == 4401)
                await socket.send(WebSocketClient.bytes(close: 4401))
                #expect(try await socket.next() == nil)
            }
            #expect(server.metric("luciq_websocket_closed_total{code=\"4401\"}") == 2)
            try await eventually("nothing of it is left") {
                server.service.authenticator.openings.principals.count == 1
            }

            #expect(try await server.client.post(kept + "/messages", json: #"{"body":"hi"}"#).status == 201)
            #expect(try await streams[1].next()?.type == "message")
            #expect(try await sockets[1].answer()["type"] as? String == "message")
        }
    }

    /// The store is asked again for the revoked principal, and for no other.
    @Test func aRevokedPrincipalIsLookedUpAnew() async throws {
        try await TestServer.run { server in
            let (revoked, kept) = (try await server.client.makeChat(), try await server.client.makeChat())
            for chat in [revoked, kept] { #expect(try await server.client.get(chat).status == 200) }
            let lookUps = "luciq_store_read_seconds_count{operation=\"application_id\"}"
            let before = server.metric(lookUps)
            server.service.revoke(.pathToken(try token(revoked)))
            for chat in [kept, kept, revoked, revoked] { #expect(try await server.client.get(chat).status == 200) }
            #expect(server.metric(lookUps) == before + 1)
        }
    }

    /// Between the look-up and the opening.
    @Test func whoIsRevokedMeanwhileIsLookedUpAnewBeforeItOpens() async throws {
        try await TestServer.run { server in
            let token = try token(await server.client.makeChat())
            let access = try await server.service.access(Credentials(application: token.text[...]))
            server.service.revoke(.pathToken(token))
            try await server.store.pool.write { try $0.execute(sql: "UPDATE applications SET token = 'another'") }
            await #expect(throws: ChatError.notFound) { try await access.open() }
            #expect(server.service.authenticator.openings.principals.count == 0)
        }
    }

    @Test func scopesAskWhatTheirAccessMayDo() async throws {
        try await TestServer.run { server in
            let token = try token(await server.client.makeChat())
            let full = try await server.service.access(Credentials(application: token.text[...]))
            func tenant(_ abilities: Abilities) -> TenantScope {
                Access(
                    Grant(
                        principal: full.principal, name: .token(token),
                        tenant: Tenant.Identity(id: full.tenantID, token: token, pathToken: .credential),
                        abilities: abilities, epoch: full.epoch), service: server.service
                ).tenant
            }
            let reader = tenant(.read)
            let chat = try await reader.chat("1")
            #expect(try await chat.messages(Page()).items.isEmpty)
            await #expect(throws: ChatError.notAllowed) { try await chat.send(MessageContent(body: "hi")) }
            await #expect(throws: ChatError.notAllowed) { try await reader.createChat() }
            await #expect(throws: ChatError.notAllowed) { try await tenant([.read, .write]).update(name: "b") }
            await #expect(throws: ChatError.notAllowed) { try await tenant([.write, .admin]).details() }
            await #expect(throws: ChatError.notAllowed) { try await tenant([.write, .admin]).chat("1").details() }
            await #expect(throws: ChatError.notAllowed) { try await tenant([.read, .write, .members]).keys() }
            #expect(
                try await tenant([.read, .write]).chat("1").send(MessageContent(body: "hi")).number == Message.Number(1)
            )
            #expect(Problem(.notAllowed).status == .forbidden)
        }
    }
}
