import Foundation
import Synchronization
import TestSupport
import Testing

extension ClusterTests {
    /// A user whose rights end while it writes and reads through two servers, at a moment at which Redis is wiped or gone.
    @Suite(.serialized) struct Revocation {
        enum Way: String, CaseIterable, Sendable {
            case remove, block, revoke
        }

        /// The contract's: how long another process may take.
        static let bound = 10.0

        @Test func nothingComesAfterTheAnswer() async throws {
            let mariadb = try await MariaDBServer.start()
            let redis = try await RedisServer.start()
            let cluster = try await Cluster.start(
                2, mariadb: mariadb, redis: redis.url(), settings: ["LIMITS_USER": "off", "LIMITS_AUTH": "0"])
            let users = try await ClusterUsers(on: cluster)
            try await strike("wiped", users) { _ = try await redis.cli("FLUSHALL") }
            try await strike("killed", users) { redis.kill() }
        }

        private func strike(_ name: String, _ users: ClusterUsers, _ strike: () async throws -> Void) async throws {
            let names = Way.allCases.map { "\(name)-\($0)" }
            let chat = try await users.makeChat(names)
            let busy = zip(Way.allCases, names).map { BusyClient($1, $0, in: chat, users) }
            let talk = Talk(users.path + "/chats/\(chat)/messages", users.cluster)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { await talk.run() }
                for client in busy { client.start(&tasks) }
                try await eventually("they are busy") { busy.allSatisfy(\.isBusy) }
                try await strike()
                try await withThrowingTaskGroup(of: Void.self) { ends in
                    for client in busy { ends.addTask { try await client.end() } }
                    try await ends.waitForAll()
                }
                try await eventually("all is refused", within: 60) { busy.allSatisfy(\.isOver) }
                // What would be delivered late would be these.
                let last = talk.count
                try await eventually("others go on") { talk.count >= last + 20 }
                talk.stop()
                for client in busy { client.stop() }
                try await tasks.waitForAll()
            }
            #expect(talk.problems == [])
            for client in busy { try await client.check(talk.answered) }
        }
    }

    /// Others' messages in the chat, all the time, through both servers.
    private final class Talk: Sendable {
        private struct State {
            var answered: [(number: Int, at: Date)] = []
            var problems: [String] = []
            var isOver = false
        }

        private let path: String
        private let cluster: Cluster
        private let state = Mutex(State())

        init(_ path: String, _ cluster: Cluster) {
            self.path = path
            self.cluster = cluster
        }

        var count: Int { state.withLock(\.answered.count) }
        /// Their numbers, and when the request was sent: they are younger than that.
        var answered: [(number: Int, at: Date)] { state.withLock(\.answered) }
        var problems: [String] { state.withLock(\.problems) }

        func stop() { state.withLock { $0.isOver = true } }

        func run() async {
            var caller = Caller(cluster.nodes, patience: 60)
            for turn in 0... {
                if Task.isCancelled || state.withLock(\.isOver) { return }
                let start = Date.now
                let answer = await caller.send("POST", path, to: turn, body: #"{"body":"other"}"#)
                state.withLock { state in
                    if let number = answer?.json["message_number"] as? Int {
                        state.answered.append((number, start))
                    } else {
                        state.problems.append(answer?.text ?? "no answer")
                    }
                }
                try? await Task.sleep(for: .milliseconds(20))  // Cut short at the test's end.
            }
        }
    }

    /// A user that writes and reads through both servers until it is refused.
    private final class BusyClient: Sendable {
        /// A request that was answered with success.
        private struct Success {
            let node: Int
            let isCreate: Bool
            let sentAt: Date
        }

        private struct State {
            var successes: [Success] = []
            /// By server: since when it refuses.
            var refusals: [Int: Set<String>] = [:]
            var answeredAt: Date?
            /// Its messages in the database, right after the answer.
            var stored = 0
            var isStopped = false
        }

        private let name: String
        private let way: Revocation.Way
        private let chat: Int
        private let users: ClusterUsers
        private let headers: [String: String]
        private let state = Mutex(State())
        private let streams = [TimedStream(), TimedStream()]

        init(_ name: String, _ way: Revocation.Way, in chat: Int, _ users: ClusterUsers) {
            (self.name, self.way, self.chat, self.users) = (name, way, chat, users)
            // Revocations refuse tokens of up to five seconds after them too.
            headers = users.authorization(name, age: 5)
        }

        /// Creates, and reads. Who was removed may still read what it could see until then.
        private var kinds: [Bool] { way == .remove ? [true] : [true, false] }

        private var messages: String { users.userPath + "/chats/\(chat)/messages" }

        var isBusy: Bool {
            state.withLock { state in
                [0, 1].allSatisfy { node in
                    kinds.allSatisfy { create in
                        state.successes.count { $0.node == node && $0.isCreate == create } > 10
                    }
                }
            } && streams.allSatisfy { $0.received.count > 10 }
        }

        /// Whether both servers refuse creates and reads, and have ended the streams.
        var isOver: Bool {
            state.withLock { state in [0, 1].allSatisfy { state.refusals[$0]?.count == kinds.count } }
                && streams.allSatisfy { $0.end != nil }
        }

        func stop() { state.withLock { $0.isStopped = true } }

        func start(_ tasks: inout ThrowingTaskGroup<Void, any Error>) {
            for (node, stream) in streams.enumerated() {
                let path = users.userPath + "/chats/\(chat)/stream?after=0"
                tasks.addTask { [self] in
                    try await stream.run(path, on: users.cluster.nodes[node].port, headers)
                }
                for isCreate in kinds { tasks.addTask { await self.ask(node, isCreate: isCreate) } }
            }
        }

        /// Asks on and on, also after a refusal.
        private func ask(_ node: Int, isCreate: Bool) async {
            let client = users.cluster.nodes[node].client
            while !Task.isCancelled, !state.withLock(\.isStopped) {
                let sentAt = Date.now
                // No answer is neither success nor refusal.
                let answer: Answer?
                if isCreate {
                    answer = try? await client.post(messages, json: #"{"body":"own"}"#, headers: headers)
                } else {
                    answer = try? await client.get(messages + "?limit=1", headers: headers)
                }
                state.withLock { state in
                    switch answer?.status {
                    case 200, 201:
                        state.successes.append(Success(node: node, isCreate: isCreate, sentAt: sentAt))
                        // Once only for good.
                        state.refusals[node]?.remove("\(isCreate)")
                    case 401, 403, 404: state.refusals[node, default: []].insert("\(isCreate)")
                    // The server may have been waiting for Redis.
                    default: break
                    }
                }
                try? await Task.sleep(for: .milliseconds(isCreate ? 50 : 20))  // Likewise.
            }
        }

        /// Ends the user's rights by the first server.
        func end() async throws {
            let client = users.cluster.nodes[0].client
            let answer =
                switch way {
                case .remove: try await client.send("DELETE", users.path + "/chats/\(chat)/members/\(name)")
                case .block: try await client.send("POST", users.path + "/users/\(name)/block")
                case .revoke: try await client.send("POST", users.path + "/users/\(name)/revoke")
                }
            let answeredAt = Date.now
            let stored = try await users.stored(by: name)
            state.withLock { ($0.answeredAt, $0.stored) = (answeredAt, stored) }
            #expect(answer.status == 200, "\(way): \(answer.text)")
        }

        /// - Parameter others: messages with the time at which they were not there yet.
        func check(_ others: [(number: Int, at: Date)]) async throws {
            let state = state.withLock(\.self)
            let answeredAt = try #require(state.answeredAt)
            #expect(
                try await users.stored(by: name) == state.stored, "\(name): a create has committed after the answer")
            for success in state.successes {
                let late = success.sentAt.timeIntervalSince(answeredAt)
                // A create is refused by its own transaction, wherever it is; a read by what the server knows.
                let most = success.isCreate || success.node == 0 ? 0 : Revocation.bound
                #expect(late <= most, "\(name), server \(success.node), create \(success.isCreate)")
            }
            for (node, stream) in streams.enumerated() {
                let end = try #require(stream.end)
                #expect(
                    ["not_found", "token_revoked", "not_allowed", "end of stream"].contains(end.code), "\(end.code)")
                let most = node == 0 ? 0 : Revocation.bound
                // The first server's last bytes may be on their way; a message of later may not be among them.
                if node == 1 { #expect(end.at.timeIntervalSince(answeredAt) <= most, "\(name): \(end)") }
                let late = Set(others.filter { $0.at.timeIntervalSince(answeredAt) > most }.map(\.number))
                #expect(late.isDisjoint(with: stream.received.map(\.row.number)), "\(name), server \(node)")
                if node == 1 {
                    #expect(stream.received.allSatisfy { $0.at.timeIntervalSince(answeredAt) <= most }, "\(name)")
                }
            }
        }
    }
}
