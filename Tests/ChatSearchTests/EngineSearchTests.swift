import ChatCore
import ChatSearch
import Foundation
import HTTPClient
import NIOCore
import NIOHTTP1
import Synchronization
import TestSupport
import Testing

/// Searches through the engine, on both backends.
struct EngineSearchTests {
    /// The same answers as from rows and blocks. All bodies are in the same index, so each must find its own only.
    @Test(arguments: BackendKind.allCases)
    func theEngineFindsWhatRowsAndBlocksFind(_ kind: BackendKind) async throws {
        try await EngineStage.run(kind) { stage in
            var bodies: [Chat.ID: [String]] = [:]
            var chats: [Chat.ID] = []
            for item in SearchCase.all {
                let chat = try await stage.makeChat()
                bodies[chat] = item.found + item.missed
                chats.append(chat)
                try await stage.send(item.found + item.missed, to: chat)
            }
            try await stage.feed()
            for (chat, item) in zip(chats, SearchCase.all) {
                let text = try SearchText(item.query)
                var hits: [TenantHit] = []
                var cursor: SearchCursor?
                repeat {
                    let found = try await stage.search(
                        SearchQuery(text), TenantSearchPage(limit: 100), after: cursor)
                    // Only a text that folds to nothing is not the engine's.
                    #expect(found.fellBack == (SearchQuery(text).needle == nil), "\(item.query)")
                    hits += found.hits
                    cursor = found.hasMore ? found.hits.last.map { SearchCursor($0) } : nil
                } while cursor != nil
                let own = hits.filter { $0.place.chat == chat }.map(\.message.body)
                #expect(Set(own) == Set(item.found), "\(item.query)")
                #expect(own.count == item.found.count)
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aMessageIsFoundAtOnceThoughNothingIsFed(_ kind: BackendKind) async throws {
        try await EngineStage.run(kind) { stage in
            let (one, other) = (try await stage.makeChat(), try await stage.makeChat())
            try await stage.send(["needle 1", "hay"], to: one)
            try await stage.feed()
            // The feed is stopped from here on.
            for number in 2...40 {
                try await stage.send(
                    ["Needle \(number)"], to: number % 2 == 0 ? one : other,
                    at: EngineStage.time.adding(.seconds(number)))
                let found = try await stage.search("needle")
                #expect(!found.fellBack)
                #expect(
                    found.hits.map(\.message.body).sorted()
                        == (["needle 1"] + (2...number).map { "Needle \($0)" }).sorted())
                #expect(found.hits.map(\.place) == found.hits.map(\.place).sorted(by: >))
            }
            // A page at a time, half of it from the store.
            var (seen, cursor): ([String], SearchCursor?) = ([], nil)
            repeat {
                let page = try await stage.search(
                    SearchQuery(SearchText("needle")), TenantSearchPage(limit: 7), after: cursor)
                seen += page.hits.map(\.message.body)
                cursor = page.hasMore ? page.hits.last.map { SearchCursor($0) } : nil
            } while cursor != nil
            #expect(seen == (2...40).reversed().map { "Needle \($0)" } + ["needle 1"])
            // Too much for a search to read: the store's own search is better at that.
            try await stage.send(Array(repeating: "hay", count: 5000), to: other)
            let found = try await stage.search("needle")
            #expect(found.fellBack)
            #expect(found.hits.count == 40)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func pagesOfTheEngineJoin(_ kind: BackendKind) async throws {
        try await EngineStage.run(kind) { stage in
            // Candidates that do not match: all grams of the query, but not in a row.
            let chats = [try await stage.makeChat(), try await stage.makeChat(), try await stage.makeChat()]
            var expected: [String] = []
            for number in 0..<240 {
                let isMatch = number % 6 == 0
                let body = isMatch ? "say abcde \(number)" : "abcd bcde \(number)"
                try await stage.send(
                    [body], to: chats[number % 3], at: EngineStage.time.adding(.milliseconds(number / 4)))
                if isMatch { expected.append(body) }
            }
            try await stage.feed()
            var (seen, cursor): ([String], SearchCursor?) = ([], nil)
            repeat {
                let page = try await stage.search(
                    SearchQuery(SearchText("abcde")), TenantSearchPage(limit: 9), after: cursor)
                #expect(!page.fellBack && page.hits.count <= 9)
                seen += page.hits.map(\.message.body)
                cursor = page.hasMore ? page.hits.last.map { SearchCursor($0) } : nil
            } while cursor != nil
            #expect(seen.count == expected.count)
            #expect(Set(seen) == Set(expected))
            let narrow = SearchQuery(
                try SearchText("abcde"), after: EngineStage.time, before: EngineStage.time.adding(.milliseconds(12)))
            let found = try await stage.search(narrow, TenantSearchPage(limit: 100))
            #expect(
                Set(found.hits.map(\.message.body))
                    == Set(expected.filter { (4..<48).contains(Int($0.dropFirst(10))!) }))
            // A page's bytes are bounded, too.
            let small = try await stage.search("abcde", TenantSearchPage(limit: 100, bytes: 30))
            #expect(small.hits.count <= 3 && !small.hits.isEmpty && small.hasMore)
        }
    }

    /// Whatever happens to the index: the search is right at once, and soon through a new index.
    @Test(arguments: BackendKind.allCases, Loss.allCases)
    func anIndexThatIsNotTheOneThatWasFedIsNotBelieved(_ kind: BackendKind, _ loss: Loss) async throws {
        let server = try await OsmemServer.start()
        try await EngineStage.run(kind, url: server.url) { stage in
            let chat = try await stage.makeChat()
            try await stage.send(["needle"], to: chat)
            try await stage.feed()
            #expect(try await !stage.search("needle").fellBack)
            let live = try #require(await stage.backend.generations.generations().first { $0.state == .live })
            switch loss {
            case .wiped: try await stage.engine.drop(live.id)
            case .restarted: try await server.restart()
            case .down: server.kill()
            case .older:
                // What was fed after the snapshot has raised the marker in our table only.
                #expect(try await stage.backend.generations.confirm(live.marker + 1, of: live.id))
            case .replaced:
                try await stage.engine.drop(live.id)
                try await Self.put(
                    "/\(stage.engine.name(of: live.id))", #"{"mappings":{"properties":{"text":{"type":"keyword"}}}}"#,
                    to: server)
            case .replacedByOneLikeIt:
                try await stage.engine.drop(live.id)
                try await stage.engine.create(live.id)
            }
            let found = try await stage.search("needle")
            #expect(found.fellBack && found.hits.count == 1)
            if loss == .down { try await server.restart() }
            try await stage.send(["another needle"], to: chat)
            try await stage.whileFed {
                try await eventually("a new index answers") {
                    let found = try await stage.search("needle")
                    #expect(found.hits.count == 2)
                    let now = try await stage.backend.generations.generations()
                    return !found.fellBack && now.count == 1 && now[0].id != live.id
                }
            }
            let findings = try await stage.upkeep.verify { _ in }
            #expect(findings.problems.isEmpty && findings.messages == 2, "\(findings)")
        }
    }

    enum Loss: CaseIterable { case wiped, restarted, down, older, replaced, replacedByOneLikeIt }

    private static func put(_ target: String, _ json: String, to server: OsmemServer) async throws {
        let answer = try await HTTPPool(host: "127.0.0.1", port: server.port, tls: nil, most: 1).call(
            HTTPRequestHead(
                version: .http1_1, method: .PUT, uri: target,
                headers: ["Host": "127.0.0.1", "Content-Type": "application/json"]),
            body: ByteBuffer(string: json), until: .now + .seconds(20), mostBytes: 1 << 20)
        #expect(answer.status == 200)
    }

    /// A search that the engine does not answer in time takes it from nobody else; an engine that is not there rests.
    @Test(arguments: BackendKind.allCases)
    func aSlowSearchOfOneTenantLeavesTheEngineToOthers(_ kind: BackendKind) async throws {
        let real = try await OsmemServer.start()
        let asked = Mutex(0)
        let isDown = Mutex(false)
        let stub = try await StubEngine(before: real.port) { request in
            guard request.target.contains("_search") else { return .forwarded }
            asked.withLock { $0 += 1 }
            if isDown.withLock(\.self) { return .json(503, "") }
            // As a proxy says that the engine does not answer.
            return request.body.contains("slo") ? .json(504, "") : .forwarded
        }
        var limits = EngineSearchLimits()
        (limits.firstRest, limits.longestRest) = (.seconds(3600), .seconds(7200))
        try await EngineStage.run(kind, url: stub.url, limits: limits) { stage in
            let token = try await stage.service.createTenant(name: "other").token
            let other = try await stage.service.access(Credentials(application: token.text[...])).tenant
            let chats = [try await stage.makeChat(), try await stage.makeChat(in: other.id)]
            for (chat, tenant) in zip(chats, [stage.tenant, other.id]) {
                try await stage.send(["slow needle"], to: chat, in: tenant)
            }
            try await stage.feed()
            func search(_ scope: TenantScope, _ text: String) async throws -> Bool {
                let found = try await scope.search(
                    SearchQuery(SearchText(text)), TenantSearchPage(), from: .unspecified
                ).found
                #expect(found.hits.count == 1)
                return !found.fellBack
            }
            #expect(try await search(stage.scope, "needle"))
            for _ in 0..<5 {
                #expect(try await !search(stage.scope, "slow"))
                #expect(try await search(other, "needle"))
            }
            // It was asked once, and not for what is quick either.
            #expect(try await !search(stage.scope, "needle"))
            #expect(asked.withLock(\.self) == 7)
            isDown.withLock { $0 = true }
            for _ in 0..<3 { #expect(try await !search(other, "needle")) }
            #expect(asked.withLock(\.self) == 8)
        }
    }

    /// An engine that answers with what is another tenant's, gone, or not there shows none of it.
    @Test(arguments: BackendKind.allCases)
    func anotherTenantsMessageCannotAppear(_ kind: BackendKind) async throws {
        let real = try await OsmemServer.start()
        let others = Mutex("")
        let stub = try await StubEngine(before: real.port) { request in
            guard request.target.contains("_search") else { return .forwarded }
            return .json(
                200,
                """
                {"timed_out":false,"_shards":{"total":1,"successful":1,"failed":0},"hits":{"hits":[
                {"sort":[9000000000000000000,0,1000000]}\(others.withLock(\.self))]}}
                """)
        }
        try await EngineStage.run(kind, url: stub.url) { stage in
            let token = try await stage.service.createTenant(name: "other").token
            let other = try await stage.service.access(Credentials(application: token.text[...])).tenant
            let (own, foreign) = (try await stage.makeChat(), try await stage.makeChat(in: other.id))
            try await stage.send(["my secret"], to: own)
            try await stage.send(["their secret"], to: foreign, in: other.id)
            try await stage.feed()
            let time = EngineStage.time.microseconds
            others.withLock {
                $0 = [(own.rawValue, 1), (foreign.rawValue, 1), (own.rawValue, 2), (999, 1)].map { chat, number in
                    ",{\"sort\":[\(time),\(chat),\(number)]}"
                }.joined()
            }
            let found = try await stage.search("secret")
            #expect(found.hits.map(\.message.body) == ["my secret"])
            #expect(!found.fellBack)
            // A row with another time than the engine's document: its place among the others is not to be trusted.
            others.withLock { $0 = ",{\"sort\":[\(time + 1),\(own.rawValue),1]}" }
            let distrusted = try await stage.search("secret")
            #expect(distrusted.fellBack && distrusted.hits.count == 1)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aNewIndexIsBuiltWhileTheOldOneAnswers(_ kind: BackendKind) async throws {
        try await EngineStage.run(kind) { stage in
            let chat = try await stage.makeChat()
            try await stage.send((1...300).map { "needle \($0)" }, to: chat)
            try await stage.feed()
            let old = try #require(await stage.backend.generations.generations().first)
            // Stopped on the way, and run again.
            var limits = EngineStage.limits
            limits.requestDocuments = 10
            limits.markedDocuments = 50
            let upkeep = EngineUpkeep(stage.engine, EngineSource(stage.backend), limits: limits)
            struct Stopped: Error {}
            let began = Mutex(false)
            let stopping = Task {
                try await upkeep.reindex { passed, _ in if passed > 0 { began.withLock { $0 = true } } }
            }
            try await eventually("it has begun") { began.withLock(\.self) }
            stopping.cancel()
            _ = try? await stopping.value
            let states = try await stage.backend.generations.generations().map(\.state)
            #expect(try await !stage.search("needle 3").fellBack)
            var last: (Int64, Int64) = (0, 0)
            if states.contains(.building) {
                try await stage.send(["needle 301"], to: chat)
                try await upkeep.reindex { last = ($0, $1) }
                #expect(last.0 == last.1)
            }
            let now = try await stage.backend.generations.generations()
            #expect(now.map(\.state) == [.live] && now[0].id != old.id)
            let found = try await stage.search("needle 3")
            #expect(!found.fellBack && found.hits.count == (states.contains(.building) ? 13 : 12))
            #expect(try await stage.upkeep.verify { _ in }.problems.isEmpty)
            await #expect(throws: SearchEngineFailure.missing) { try await stage.engine.count(of: old.id) }
            let status = try await stage.upkeep.status()
            #expect(status.map(\.state) == ["live"] && status[0].behind == 0 && status[0].problem == nil)
            #expect(status[0].documents == (states.contains(.building) ? 301 : 300))
        }
    }

    @Test(arguments: BackendKind.allCases)
    func severalFeedsAtOnceLoseNothing(_ kind: BackendKind) async throws {
        try await EngineStage.run(kind) { stage in
            var limits = EngineStage.limits
            limits.requestDocuments = 7
            limits.markedDocuments = 20
            limits.markedTime = .milliseconds(5)
            var chats: [Chat.ID] = []
            for _ in 0..<5 { chats.append(try await stage.makeChat()) }
            try await stage.whileFed(limits, by: 3) {
                for round in 0..<30 {
                    for chat in chats { try await stage.send((0..<8).map { "needle \(round) \($0)" }, to: chat) }
                    #expect(try await stage.search("needle \(round) 7").hits.count == 5)
                }
                try await eventually("the engine has everything") {
                    guard
                        let live = try await stage.backend.generations.generations().first(where: { $0.state == .live })
                    else { return false }
                    return try await stage.backend.generations.unfedCount(of: live.id) == 0
                }
            }
            let findings = try await stage.upkeep.verify { _ in }
            #expect(findings.problems.isEmpty && findings.messages == 1200 && findings.strays == 0, "\(findings)")
        }
    }

    @Test(arguments: BackendKind.allCases)
    func verifyFindsWhatTheEngineLacks(_ kind: BackendKind) async throws {
        let real = try await OsmemServer.start()
        // The engine says that it has stored them, and has not.
        let stub = try await StubEngine(before: real.port) { request in
            guard request.target.contains("_bulk"), request.body.contains("unlucky") else { return .forwarded }
            let items = Array(repeating: #"{"index":{"status":201}}"#, count: request.documents)
            return .json(200, #"{"items":[\#(items.joined(separator: ","))]}"#)
        }
        try await EngineStage.run(kind, url: stub.url) { stage in
            let chat = try await stage.makeChat()
            try await stage.send(["lucky"], to: chat)
            try await stage.feed()
            try await stage.send(["unlucky", "unlucky"], to: chat)
            try await stage.feed()
            let findings = try await stage.upkeep.verify { _ in }
            #expect(findings.problems == ["Chat id \(chat.rawValue): the engine lacks 2 messages, message 2 first"])
        }
    }
}
