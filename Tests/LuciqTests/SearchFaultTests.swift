import Foundation
import Synchronization
import TestSupport
import Testing

/// Searches beside creates and kills, with the executable: what is answered is found by the next search, and stays found.
@Suite(.serialized, .timeLimit(.minutes(5))) struct SearchFaultTests {
    /// The process that makes blocks is the server. It is killed over and over, which may be at any moment of that.
    @Test func anEmbeddedServerIsKilledOverAndOver() async throws {
        let folder = try TemporaryFolder()
        let url = ["DATABASE_URL": "sqlite://" + folder.file("test.sqlite")]
        var random = SeededRandom(seed: 16)
        var writers: SearchWriters?
        for _ in 0..<12 {
            let (server, client) = try await LuciqProcess.serve(in: folder)
            let some: SearchWriters
            if let writers { some = writers } else { some = try await SearchWriters(through: client) }
            writers = some
            let goal = some.answered + Int.random(in: 1...120, using: &random)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await some.write(through: [client], until: .away) }
                try await eventually("\(goal) are answered", within: 60) { some.answered >= goal }
                server.signal(SIGKILL)
                await server.wait()
                try await group.waitForAll()
            }
        }
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let some = try #require(writers)
        try await some.expectAllFound(by: client)
        try await eventually("all chats are walked", within: 60) {
            let metrics = PrometheusText(try await client.get("/metrics").text)
            return metrics["luciq_search_index_walk_ratio", [:]] == 1
        }
        try await some.expectAllFound(by: client)
        server.signal(SIGTERM)
        await server.wait()
        try await Self.expectSoundIndex(in: folder, url)
    }

    /// Two servers: each search asks the one that did not create. Workers are killed over and over; at last none runs.
    @Test func twoServersFindWhatEachOtherHasCreated() async throws {
        let place = try await WorkerPlace.make()
        let servers = [try await place.serve(), try await place.serve()]
        let clients = servers.map(\.client)
        let writers = try await SearchWriters(through: clients[0])
        var random = SeededRandom(seed: 17)
        let goals = (0..<8).map { _ in Int.random(in: 5...60, using: &random) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await writers.write(through: clients, until: .enough) }
            for goal in goals {
                let (worker, _) = try await place.worker()
                let before = writers.answered
                try await eventually("\(goal) more are answered", within: 60) { writers.answered >= before + goal }
                worker.signal(SIGKILL)
                await worker.wait()
            }
            let before = writers.answered
            try await eventually("some more without a worker", within: 60) { writers.answered >= before + 40 }
            writers.stop()
            try await group.waitForAll()
        }
        for client in clients { try await writers.expectAllFound(by: client) }
        let (worker, client) = try await place.worker()
        try await eventually("all chats are walked", within: 60) {
            let metrics = PrometheusText(try await client.get("/metrics").text)
            return metrics["luciq_search_index_walk_ratio", [:]] == 1
        }
        for client in clients { try await writers.expectAllFound(by: client) }
        try await Self.expectSoundIndex(in: place.folder, place.environment)
        for process in servers.map(\.server) + [worker] { process.signal(SIGKILL) }
    }

    /// The blocks are there, and agree with the rows.
    private static func expectSoundIndex(in folder: TemporaryFolder, _ environment: [String: String]) async throws {
        for command in [["search", "verify"], ["verify"]] {
            let verify = try await LuciqProcess.run(command, in: folder, environment: environment)
            #expect(verify.code == 0, "\(command): \(verify.output)\(verify.errors)")
        }
        let status = try await LuciqProcess.run(["search", "status", "--json"], in: folder, environment: environment)
        let report = try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any]
        #expect(report?["blocks"] as? Int ?? 0 > 3, "\(status.output)")
    }
}

/// Clients that create messages, and search for each as soon as its create is answered.
private final class SearchWriters: Sendable {
    /// When to stop.
    enum End {
        /// When a server is away.
        case away
        /// When `stop` is called; the servers must not be away.
        case enough
    }

    private struct State {
        /// Of each chat, bodies by number.
        var answered: [String: [Int: String]] = [:]
        var count = 0
        var isStopped = false
    }

    private static let writers = 4
    private static let word = "needle"
    private let application: String
    private let chats: [String]
    private let state = Mutex(State())

    init(through client: Client) async throws {
        application = try await client.makeApplication()
        var chats: [String] = []
        for _ in 0..<3 {
            let answer = try await client.send("POST", application + "/chats")
            chats.append(try #require(answer["Location"]))
        }
        self.chats = chats
    }

    var answered: Int { state.withLock(\.count) }
    func stop() { state.withLock { $0.isStopped = true } }

    func write(through clients: [Client], until end: End) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<Self.writers {
                group.addTask {
                    var index = 0
                    while !self.state.withLock(\.isStopped) {
                        let creates = clients[(writer + index) % clients.count]
                        let searches = clients[(writer + index + 1) % clients.count]
                        do {
                            try await self.write(
                                to: self.chats[(writer + index) % self.chats.count], creates, searches,
                                everywhere: index % 2 == 0)
                        } catch let error as RawConnection.Failure {
                            if end == .away { return }
                            throw error
                        }
                        index += 1
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func write(to chat: String, _ creates: Client, _ searches: Client, everywhere: Bool) async throws {
        let name = "w\(UUID().uuidString.prefix(13))"
        // Some twenty fill a block.
        let body = "\(Self.word) \(name) " + String(repeating: "filler ", count: 200)
        let answer = try await creates.post(chat + "/messages", json: "{\"body\":\"\(body)\"}")
        guard answer.status == 201, let number = answer.json["message_number"] as? Int else {
            throw RawConnection.Failure(description: "\(answer.status) \(answer.text)")
        }
        state.withLock { state in
            state.answered[chat, default: [:]][number] = body
            state.count += 1
        }
        let found = try await searches.get("\(everywhere ? application : chat)/messages/search?q=\(name)")
        #expect(found.status == 200 && found.list.compactMap { $0["number"] as? Int } == [number], "\(found.text)")
    }

    /// Expects that a word of all messages finds all that were answered, in their chats and across the application.
    func expectAllFound(by client: Client) async throws {
        let answered = state.withLock(\.answered)
        #expect(answered.count == chats.count)
        var all = 0
        for (chat, bodies) in answered {
            let found = try await walk("\(chat)/messages/search?q=\(Self.word)&limit=1000", client)
            let texts = Dictionary(
                uniqueKeysWithValues: found.map { ($0["number"] as? Int ?? 0, $0["body"] as? String) })
            for (number, body) in bodies { #expect(texts[number] == body, "\(chat) \(number)") }
            all += texts.count
        }
        let everywhere = try await walk("\(application)/messages/search?q=\(Self.word)&limit=1000", client)
        #expect(everywhere.count == all && all >= answered.values.map(\.count).reduce(0, +))
    }

    private func walk(_ path: String, _ client: Client) async throws -> [[String: Any]] {
        var (found, next): ([[String: Any]], String?) = ([], path)
        while let path = next {
            let page = try await client.get(path)
            guard page.status == 200 else { throw RawConnection.Failure(description: page.text) }
            found += page.list
            next = page.link("next")
        }
        return found
    }
}
