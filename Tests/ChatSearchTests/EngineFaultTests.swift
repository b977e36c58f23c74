import ChatCore
import ChatSearch
import Foundation
import Synchronization
import TestSupport
import Testing

/// Answers that a real engine gives when something is wrong.
struct EngineFaultTests {
    private let generation = SearchGeneration.ID("0123456789abcdef")

    private func request(_ text: String = "needle") throws -> EngineCandidates.Request {
        EngineCandidates.Request(
            tenant: Tenant.ID(3), needle: try #require(SearchText(text).needle), limit: 10)
    }

    private func engine(_ stub: StubEngine, timeout: Duration = .seconds(20), apiKey: String = "") throws
        -> ElasticsearchEngine
    {
        var configuration = try EngineConfiguration(url: stub.url, apiKey: apiKey)
        configuration.searchTimeout = timeout
        return try ElasticsearchEngine(configuration)
    }

    private func documents(_ count: Int64) -> [SearchDocument] {
        (1...count).map { number in
            SearchDocument(
                Message(number: Message.Number(number), body: "m", createdAt: Timestamp(microseconds: 1)),
                of: Chat.ID(1), in: Tenant.ID(1))
        }
    }

    private static let shards = #""_shards":{"total":1,"successful":1,"failed":0}"#
    private static let hits = #""hits":{"hits":[{"sort":[9000000000000000000,0,4]},{"sort":[5,6,7]}]}"#

    @Test func aWholeAnswerIsCandidates() async throws {
        let stub = try await StubEngine { _ in .json(200, "{\"timed_out\":false,\(Self.shards),\(Self.hits)}") }
        let found = try await engine(stub).candidates(request(), in: generation)
        #expect(found.marker == 4)
        #expect(found.places.map(\.number.rawValue) == [7])
    }

    @Test(arguments: [
        (200, "{\"timed_out\":true,\(shards),\(hits)}"),
        (200, "{\"timed_out\":false,\"terminated_early\":true,\(shards),\(hits)}"),
        (200, "{\"timed_out\":false,\"_shards\":{\"total\":2,\"successful\":1,\"failed\":1},\(hits)}"),
        (200, "{\"timed_out\":false,\"_shards\":{\"total\":2,\"successful\":1,\"failed\":0},\(hits)}"),
        (200, "{\"timed_out\":false,\(hits)}"), (200, "{\(shards),\(hits)}"), (200, "{}"), (200, "<html>"), (200, ""),
        (429, #"{"error":{"type":"es_rejected_execution_exception"},"status":429}"#), (500, ""), (502, "<html>"),
        (504, "<html>"),
        (503, #"{"error":{"type":"search_phase_execution_exception"},"status":503}"#),
    ])
    func aPartOfAnAnswerIsNone(_ status: Int, _ json: String) async throws {
        let stub = try await StubEngine { _ in .json(status, json) }
        let failure = await #expect(throws: SearchEngineFailure.self) {
            try await engine(stub).candidates(request(), in: generation)
        }
        if failure == .incomplete || failure == .late { return }
        guard case .unavailable? = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
    }

    @Test(arguments: [
        (401, "", "refuses the credentials (401)"), (403, "", "refuses the credentials (403)"),
        (400, #"{"error":{"type":"x_exception","reason":"hunter2"}}"#, "refuses the request (400, x_exception)"),
        (400, #"{"error":{"type":"<b>\n"}}"#, "refuses the request (400)"), (302, "", "refuses the request (302)"),
    ])
    func aRefusalIsOneSentence(_ status: Int, _ json: String, _ sentence: String) async throws {
        let stub = try await StubEngine { _ in .json(status, json) }
        let failure = await #expect(throws: SearchEngineFailure.self) {
            try await engine(stub).candidates(request(), in: generation)
        }
        #expect(failure == .refused("The search engine \(sentence)."))
    }

    @Test func credentialsAreSent() async throws {
        let seen = Mutex("")
        let stub = try await StubEngine { request in
            seen.withLock { $0 += request.headers }
            return .json(200, "{\"timed_out\":false,\(Self.shards)}")
        }
        _ = try await engine(stub, apiKey: "c2VjcmV0").candidates(request(), in: generation)
        #expect(seen.withLock { $0.contains("Authorization: ApiKey c2VjcmV0\r\n") })
        let url = "http://us%20er:p%40ss@127.0.0.1:\(stub.port)"
        _ = try await ElasticsearchEngine(EngineConfiguration(url: url)).candidates(request(), in: generation)
        #expect(seen.withLock { $0.contains("Authorization: Basic \(Data("us er:p@ss".utf8).base64EncodedString())") })
    }

    @Test func aSilentEngineIsNotWaitedFor() async throws {
        let stub = try await StubEngine { _ in .silence }
        await #expect(throws: SearchEngineFailure.late) {
            try await engine(stub, timeout: .milliseconds(50)).candidates(request(), in: generation)
        }
    }

    @Test func anAnswerThatIsCutOffIsNone() async throws {
        let stub = try await StubEngine { _ in .cutOff(#"{"items":[{"index":{"status":201}}"#) }
        await #expect(throws: SearchEngineFailure.self) {
            try await engine(stub).put(documents(2), into: generation)
        }
    }

    @Test func everyItemOfABulkCounts() async throws {
        let stub = try await StubEngine { _ in
            let items = [
                (201, ""), (429, "es_rejected_execution_exception"), (503, "unavailable_shards_exception"),
                (400, "strict_dynamic_mapping_exception"), (409, "version_conflict_engine_exception"),
                (404, "index_not_found_exception"),
            ].map { status, type in
                #"{"index":{"status":\#(status)"# + (type.isEmpty ? "" : #","error":{"type":"\#(type)"}"#) + "}}"
            }
            return .json(200, #"{"items":[\#(items.joined(separator: ","))]}"#)
        }
        #expect(
            try await engine(stub).put(documents(6), into: generation) == [
                .stored, .busy, .busy, .refused(reason: "strict_dynamic_mapping_exception"), .stored, .missing,
            ])
    }

    @Test func aBulkThatIsTooLongIsHalved() async throws {
        let requests = Mutex<[Int]>([])
        let stub = try await StubEngine { request in
            requests.withLock { $0.append(request.documents) }
            if request.documents > 2 { return .json(413, "") }
            let items = Array(repeating: #"{"index":{"status":201}}"#, count: request.documents)
            return .json(200, #"{"items":[\#(items.joined(separator: ","))]}"#)
        }
        #expect(try await engine(stub).put(documents(5), into: generation) == Array(repeating: .stored, count: 5))
        #expect(requests.withLock(\.self).filter { $0 <= 2 }.reduce(0, +) == 5)
    }

    @Test func nobodyListening() async throws {
        let engine = try ElasticsearchEngine(EngineConfiguration(url: "http://127.0.0.1:1"))
        await #expect(throws: SearchEngineFailure.unavailable("The search engine cannot be reached.")) {
            try await engine.candidates(request(), in: generation)
        }
    }
}
