import ChatCore
import ChatSearch
import Foundation
import HTTPClient
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

/// The requests, against a server that answers as OpenSearch does.
struct ElasticsearchEngineTests {
    private let generation = SearchGeneration.ID("0123456789abcdef")

    private func made() async throws -> ElasticsearchEngine {
        let engine = try EngineStage.engine(at: await SharedServers.engineURL)
        try await engine.create(generation)
        return engine
    }

    private func document(
        _ body: String, _ number: Int64 = 1, chat: Int64 = 7, in tenant: Int64 = 3, at time: Int64 = 1000
    ) -> SearchDocument {
        SearchDocument(
            Message(number: Message.Number(number), body: body, createdAt: Timestamp(microseconds: time)),
            of: Chat.ID(chat), in: Tenant.ID(tenant))
    }

    private func request(
        _ text: String, in tenant: Int64 = 3, after: Int64? = nil, before: Int64? = nil, place: SearchPlace? = nil,
        limit: Int = 100
    ) throws -> EngineCandidates.Request {
        EngineCandidates.Request(
            tenant: Tenant.ID(tenant), needle: try #require(SearchText(text).needle),
            after: after.map { Timestamp(microseconds: $0) }, before: before.map { Timestamp(microseconds: $0) },
            place: place, limit: limit)
    }

    @Test func aMarkerRisesByOneAndOnlyAfterTheLast() async throws {
        let engine = try await made()
        let first = try #require(await engine.marker(of: generation))
        #expect(first.number == 1)
        // Made twice, as by two processes, it stays what it was.
        try await engine.create(generation)
        #expect(try await engine.marker(of: generation) == first)
        let second = try #require(await engine.mark(generation, after: first))
        #expect(second.number == 2)
        #expect(try await engine.mark(generation, after: first) == nil)
        #expect(try await engine.marker(of: generation) == second)
        #expect(try await engine.candidates(request("absent"), in: generation).marker == 2)
    }

    @Test func nothingButCreateMakesAnIndex() async throws {
        let engine = try await made()
        let marker = try #require(await engine.marker(of: generation))
        try await engine.drop(generation)
        #expect(try await engine.put([document("x")], into: generation) == [.missing])
        await #expect(throws: SearchEngineFailure.missing) { try await engine.mark(generation, after: marker) }
        await #expect(throws: SearchEngineFailure.missing) { try await engine.candidates(request("x"), in: generation) }
        #expect(try await engine.marker(of: generation) == nil)
        await #expect(throws: SearchEngineFailure.missing) { try await engine.count(of: generation) }
        // Dropped twice, it is still gone.
        try await engine.drop(generation)
    }

    @Test func aMessageIsFoundByAnyPartOfItsText() async throws {
        let engine = try await made()
        let body = "Crème \"brûlée\" \\ 𝓔👍🏽 \u{1} 国 ﬁn"
        #expect(try await engine.put([document(body)], into: generation) == [.stored])
        for text in [
            "c", "cr", "creme", "E \"B", "\\ ", "e👍", "👍", "\u{1}", "国", "fin", "n", "in",
            "me \"brulee\" \\ e👍🏽 \u{1} 国 fi",
        ] {
            let found = try await engine.candidates(request(text), in: generation)
            #expect(found.places.map(\.number.rawValue) == [1], "\(text)")
        }
        for text in ["x", "cx", "crx", "n\u{1}x", "emerc"] {
            #expect(try await engine.candidates(request(text), in: generation).places.isEmpty, "\(text)")
        }
        #expect(try await engine.candidates(request("creme", in: 4), in: generation).places.isEmpty)
    }

    @Test func candidatesComeNewestFirstInPages() async throws {
        let engine = try await made()
        var documents: [SearchDocument] = []
        for chat in 1...3 as ClosedRange<Int64> {
            for number in 1...5 as ClosedRange<Int64> {
                documents.append(document("needle", number, chat: chat, at: 1000 + number / 2))
            }
        }
        #expect(try await engine.put(documents.shuffled(), into: generation).allSatisfy { $0 == .stored })
        let expected = documents.map { SearchPlace(createdAt: $0.createdAt, chat: $0.chat, number: $0.number) }
            .sorted(by: >)
        #expect(try await engine.candidates(request("needle"), in: generation).places == expected)
        var (seen, place): ([SearchPlace], SearchPlace?) = ([], nil)
        repeat {
            let page = try await engine.candidates(request("needle", place: place, limit: 4), in: generation)
            #expect(page.marker == 1)
            place = page.places.last
            seen += page.places
        } while place != nil
        #expect(seen == expected)
        let narrow = try await engine.candidates(request("needle", after: 1000, before: 1002), in: generation)
        #expect(Set(narrow.places.map(\.createdAt.microseconds)) == [1001])
        #expect(
            try await engine.numbers(of: Chat.ID(2), in: Tenant.ID(3), after: 1, limit: 3, generation) == [2, 3, 4])
        #expect(try await engine.count(of: generation) == 16)
    }

    @Test func aMessageThatIsSentAgainReplacesItself() async throws {
        let engine = try await made()
        #expect(try await engine.put([document("before")], into: generation) == [.stored])
        #expect(try await engine.put([document("afterwards")], into: generation) == [.stored])
        #expect(try await engine.candidates(request("before"), in: generation).places.isEmpty)
        #expect(try await engine.candidates(request("afterwards"), in: generation).places.count == 1)
    }

    @Test func theLongestQueryIsFound() async throws {
        let engine = try await made()
        let text = String((0..<255).map { Character(Unicode.Scalar(0x4E00 + $0)!) })
        #expect(
            try await engine.put([document("x\(text)x", 1), document(text.dropLast() + "x", 2)], into: generation).count
                == 2)
        #expect(try await engine.candidates(request(text), in: generation).places.contains { $0.number.rawValue == 1 })
    }

    @Test func theAliasPointsToOneIndex() async throws {
        let url = try await SharedServers.engineURL
        let name = "test-\(UUID().uuidString.prefix(13).lowercased())"
        let engine = try ElasticsearchEngine(EngineConfiguration(url: url, index: name))
        let second = SearchGeneration.ID("fedcba9876543210")
        for generation in [generation, second] {
            try await engine.create(generation)
            try await engine.publish(generation)
            try await engine.publish(generation)
        }
        let port = try #require(URLComponents(string: url)?.port)
        let answer = try await HTTPPool(host: "127.0.0.1", port: port, tls: nil, most: 1).call(
            HTTPRequestHead(version: .http1_1, method: .GET, uri: "/_alias/\(name)", headers: ["Host": "x"]), body: nil,
            until: .now + .seconds(20), mostBytes: 1 << 20)
        #expect(String(buffer: answer.body).contains("\(name)-fedcba9876543210"))
        #expect(!String(buffer: answer.body).contains("0123456789abcdef"))
    }
}
