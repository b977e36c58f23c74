import Foundation
import HTTPClient
import NIOCore
import NIOHTTP1
import Synchronization
import TestSupport
import Testing

/// The executable with a search engine that fails in every way, during load.
@Suite(.timeLimit(.minutes(5))) struct SearchEngineTests {
    enum Backend: CaseIterable { case embedded, cluster }

    /// What the engine does with requests.
    private final class Weather: Sendable {
        enum Kind { case fine, full, silent }

        private let kind = Mutex(Kind.fine)

        var now: Kind { kind.withLock(\.self) }
        func turn(_ new: Kind) { kind.withLock { $0 = new } }
    }

    /// Every answered message is found by the next search, whatever happens to the engine, and in the end the engine has
    /// all of them.
    @Test(arguments: Backend.allCases)
    func aSearchIsRightWhateverTheEngineDoes(_ backend: Backend) async throws {
        let engine = try await OsmemServer.start()
        let weather = Weather()
        let stub = try await StubEngine(before: engine.port) { _ in
            switch weather.now {
            case .fine: .forwarded
            case .full: .json(429, #"{"error":{"type":"es_rejected_execution_exception"},"status":429}"#)
            case .silent: .silence
            }
        }
        let url = "http://luciq:hunter2@127.0.0.1:\(stub.port)"
        let place: WorkerPlace
        switch backend {
        case .embedded:
            let folder = try TemporaryFolder()
            place = WorkerPlace(
                folder: folder,
                environment: [
                    "DATABASE_URL": "sqlite://" + folder.file("test.sqlite"), "ELASTICSEARCH_URL": url,
                ])
        case .cluster:
            let cluster = try await WorkerPlace.make()
            place = WorkerPlace(
                folder: cluster.folder, environment: cluster.environment.merging(["ELASTICSEARCH_URL": url]) { $1 })
        }
        let (server, client) = try await LuciqProcess.serve(in: place.folder, environment: place.environment)
        let worker = backend == .cluster ? try await place.worker().process : nil
        let application = try await client.makeApplication()
        var chats: [String] = []
        for _ in 0..<3 {
            chats.append(try #require(await client.send("POST", application + "/chats")["Location"]))
        }
        let load = EngineLoad(client, application, chats)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for writer in 0..<3 { tasks.addTask { try await load.run("writer\(writer)") } }
            tasks.addTask {
                defer { load.stop() }
                try await load.waits(for: .engine)
                engine.kill()
                try await load.waits(for: .sql)
                // Empty.
                try await engine.restart()
                try await load.waits(for: .engine)
                weather.turn(.full)
                try await load.waits(for: .sql)
                weather.turn(.fine)
                try await load.waits(for: .engine)
                weather.turn(.silent)
                try await load.waits(for: .sql)
                weather.turn(.fine)
                try await load.waits(for: .engine)
                try await Self.replaceIndex(of: engine)
                try await load.waits(for: .sql)
                try await load.waits(for: .engine)
            }
            try await tasks.waitForAll()
        }
        try await eventually("the engine has everything", within: 60) {
            let status = try await place.json("search", "status") as? [String: Any]
            let engine = status?["engine"] as? [[String: Any]]
            return engine?.count == 1 && engine?[0]["behind"] as? Int == 0 && engine?[0]["state"] as? String == "live"
        }
        let (code, output, errors) = try await place.luciq("search", "verify")
        #expect(code == 0, "\(output) \(errors)")
        #expect(output.contains("engine:   \(load.answered) messages, 0 documents without one"), "\(output)")
        if let worker {
            let (code, output, errors) = try await place.luciq("search", "reindex", "--json")
            #expect(code == 0 && output.contains("\"documents\" : \(load.answered)"), "\(output) \(errors)")
            #expect(!worker.errorText.contains("hunter2"))
            worker.signal(SIGTERM)
            #expect(await worker.wait().code == 0)
        }
        let metrics = try await client.get("/metrics").text
        #expect(metrics.contains("luciq_search_engine_answers_total"))
        #expect(!metrics.contains("hunter2") && !server.errorText.contains("hunter2") && !errors.contains("hunter2"))
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
    }

    /// Another index of the live one's name, with another mapping.
    private static func replaceIndex(of engine: OsmemServer) async throws {
        let pool = HTTPPool(host: "127.0.0.1", port: engine.port, tls: nil, most: 1)
        func call(_ method: HTTPMethod, _ target: String, _ json: String? = nil) async throws -> String {
            let answer = try await pool.call(
                HTTPRequestHead(
                    version: .http1_1, method: method, uri: target,
                    headers: ["Host": "127.0.0.1", "Content-Type": "application/json"]),
                body: json.map { ByteBuffer(string: $0) }, until: .now + .seconds(30), mostBytes: 1 << 20)
            #expect(answer.status == 200)
            return String(buffer: answer.body)
        }
        let name = try #require(await call(.GET, "/_alias/luciq").firstMatch(of: /luciq-[0-9a-f]{16}/)?.0)
        _ = try await call(.DELETE, "/\(name)")
        _ = try await call(.PUT, "/\(name)", #"{"mappings":{"properties":{"created_at":{"type":"text"}}}}"#)
    }

    /// An engine behind TLS is used if its certificate is signed by a trusted authority, and else gets not one request.
    @Test func anEngineBehindTLSNeedsATrustedCertificate() async throws {
        let (engine, tls, folder) = (try await OsmemServer.start(), try await TLSFiles.make(), try TemporaryFolder())
        let requests = Mutex(0)
        let secret = Data("luciq:hunter2".utf8).base64EncodedString()
        let stub = try await StubEngine(before: engine.port, tls: tls) { request in
            requests.withLock { $0 += 1 }
            return request.headers.contains("Authorization: Basic \(secret)\r\n") ? .forwarded : .json(401, "")
        }
        let url = stub.url.replacing("//", with: "//luciq:hunter2@")
        func place(trusting authority: String) -> WorkerPlace {
            WorkerPlace(
                folder: folder,
                environment: [
                    "DATABASE_URL": "sqlite://" + folder.file("test.sqlite"), "ELASTICSEARCH_URL": url,
                    "SSL_CERT_FILE": authority,
                ])
        }
        let trusting = place(trusting: tls.ca)
        let (server, client) = try await trusting.serve()
        let application = try await client.makeApplication()
        let chat = try #require(await client.send("POST", application + "/chats")["Location"])
        #expect(try await client.post("\(chat)/messages", json: #"{"body":"needle"}"#).status == 201)
        func search(_ client: Client) async throws -> Answer {
            let found = try await client.get("\(application)/messages/search?q=needle")
            #expect(found.status == 200 && found.list.count == 1, "\(found.text)")
            return found
        }
        try await eventually("the engine answers", within: 60) { try await search(client)["Luciq-Search"] == nil }
        let status = try await trusting.json("search", "status") as? [String: Any]
        #expect((status?["engine"] as? [[String: Any]])?.first?["state"] as? String == "live")
        #expect(try await trusting.luciq("search", "verify").code == 0)
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)

        let before = requests.withLock(\.self)
        let wary = place(trusting: tls.otherCA)
        let (other, otherClient) = try await wary.serve()
        for _ in 0..<3 { #expect(try await search(otherClient)["Luciq-Search"] == "sql") }
        let sentence = "The search engine's certificate is not to be trusted."
        try await eventually("the log says why") {
            other.errorText.split(separator: "\n").contains {
                $0.contains("Search engine not fed") && $0.contains(sentence)
            }
        }
        let (code, output, errors) = try await wary.luciq("search", "verify")
        #expect(code != 0 && (output + errors).contains(sentence), "\(code) \(output) \(errors)")
        #expect(requests.withLock(\.self) == before)
        #expect(!(other.errorText + output + errors).contains("hunter2"))
        other.signal(SIGTERM)
        #expect(await other.wait().code == 0)
    }

    @Test func aWrongURLIsOneSentence() async throws {
        let folder = try TemporaryFolder()
        for command in [["serve", "--port", "0"], ["search", "status"]] {
            let (code, _, errors) = try await LuciqProcess.run(
                command, in: folder, environment: ["ELASTICSEARCH_URL": "https://luciq:hunt/er2@host"])
            #expect(code == 78)
            #expect(
                errors
                    == "luciq: ELASTICSEARCH_URL: User and password must be percent-encoded, as in user:p%2Fw@host.\n")
        }
        let (code, _, errors) = try await LuciqProcess.run(["search", "reindex"], in: folder)
        #expect(code != 0 && errors.split(separator: "\n").count == 1, "\(errors)")
    }
}

/// Writers that look for each message as soon as it is answered.
private final class EngineLoad: Sendable {
    enum Answer { case engine, sql }

    private let client: Client
    private let application: String
    private let chats: [String]
    private let isStopped = Mutex(false)
    private let messages = Mutex(0)
    /// Searches that were answered by each, ever.
    private let seen = Mutex<[Answer: Int]>([:])

    init(_ client: Client, _ application: String, _ chats: [String]) {
        self.client = client
        self.application = application
        self.chats = chats
    }

    var answered: Int { messages.withLock(\.self) }

    func stop() { isStopped.withLock { $0 = true } }

    func run(_ name: String) async throws {
        var round = 0
        while !isStopped.withLock(\.self) {
            round += 1
            let chat = chats[round % chats.count]
            let answer = try await client.post("\(chat)/messages", json: #"{"body":"\#(name) says \#(round)!"}"#)
            #expect(answer.status == 201, "\(answer.text)")
            messages.withLock { $0 += 1 }
            // This one, and the oldest.
            for text in ["\(name) says \(round)!", "\(name) says 1!"] {
                let query = text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
                let found = try await client.get("\(application)/messages/search?q=\(query)")
                #expect(found.status == 200)
                #expect(found.text.matches(of: /"chat_number"/).count == 1, "\(text): \(found.text)")
                seen.withLock { $0[found["Luciq-Search"] == "sql" ? .sql : .engine, default: 0] += 1 }
            }
        }
    }

    /// Waits for a few more searches that were answered so.
    func waits(for answer: Answer) async throws {
        let before = seen.withLock { $0[answer, default: 0] }
        try await eventually("searches are answered by \(answer)", within: 60) {
            seen.withLock { $0[answer, default: 0] } >= before + 12
        }
    }
}
