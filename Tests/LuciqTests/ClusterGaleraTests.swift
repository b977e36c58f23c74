import Foundation
import Synchronization
import TestSupport
import Testing

extension ClusterTests {
    /// On Galera: three nodes that all hold all rows, HAProxy in front, two servers.
    @Suite(.serialized, .enabled("Galera is for Linux", { isLinux })) struct OnGalera {
        /// The check of whether a node is usable, as in Percona's clustercheck.
        private static let check =
            "SELECT variable_value = 4 FROM information_schema.global_status WHERE variable_name = 'wsrep_local_state'"

        /// For all tests: it takes ten seconds to start.
        private static let galera = Task { try await GaleraCluster.start() }

        /// The node that takes the writes is killed, comes back, is cut off from the others, and freezes: every
        /// answered message is stored once, at its number, on every node.
        @Test(arguments: [DatabaseProxy.Balance.first, .roundrobin])
        func nothingIsLostWithANode(_ balance: DatabaseProxy.Balance) async throws {
            try await run(balance) { galera, cluster in
                let node = galera.nodes[0]
                let load = try await Load(on: cluster, messagesPerWriter: 40, patience: 25)
                try await load.endure(balance == .first ? 3 : 2) { round in
                    switch round {
                    case 0:
                        node.kill()
                        try await load.see(answers: 200)
                        try await galera.restart(node)
                    case 1:
                        try await galera.isolate(node)
                        try await load.see(answers: 200)
                        try await galera.rejoin(node)
                    default:
                        node.freeze()
                        try await load.see(answers: 200)
                        node.thaw()
                        try await galera.isBack(node)
                    }
                }
                try await cluster.expectHealed(after: load)
                try await galera.expectEqualRows()
            }
        }

        /// One node after the other is stopped and started, beginning with the one that takes the writes. Creates take
        /// longer meanwhile, and each is answered 201 at its first attempt.
        @Test func aRollingRestartRefusesNothing() async throws {
            try await run(.first) { galera, cluster in
                var chats: [String] = []
                for _ in 0..<8 { chats.append(try await cluster.nodes[0].client.makeChat()) }
                let rolling = Rolling(chats)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in chats.indices { group.addTask { try await rolling.write(index, cluster.nodes) } }
                    for node in galera.nodes {
                        try await rolling.see(answers: 200)
                        try await galera.restart(node)
                    }
                    try await rolling.see(answers: 200)
                    rolling.end()
                    try await group.waitForAll()
                }
                #expect(rolling.refusals == [])
                for (chat, bodies) in zip(chats, rolling.bodies) {
                    let (token, number) = (chat.split(separator: "/")[1], 1)
                    let stored = try await galera.nodes[1].sql(
                        """
                        SELECT body FROM messages JOIN chats ON chats.id = chat_id JOIN applications AS a ON a.id = application_id
                        WHERE token = '\(token)' AND chats.number = \(number) ORDER BY messages.number
                        """)
                    #expect(stored.split(separator: "\n").map(String.init) == bodies)
                }
                // No hole was left either.
                let verification = try await cluster.luciq("verify")
                #expect(verification.code == 0, "\(verification.output)\(verification.errors)")
            }
        }

        private func run(
            _ balance: DatabaseProxy.Balance, _ body: (GaleraCluster, Cluster) async throws -> Void
        ) async throws {
            let galera = try await Self.galera.value
            try await galera.reset()
            let redis = try await RedisServer.start()
            let proxy = try await DatabaseProxy.start(before: galera.nodes, balance: balance, check: Self.check)
            let cluster = try await Cluster.start(2, mariadb: galera.nodes[0], by: [proxy.port], redis: redis.url())
            try await body(galera, cluster)
        }
    }
}

#if os(Linux)
    private let isLinux = true
#else
    private let isLinux = false
#endif

/// Writers that do not repeat refused requests, each in its own chat; every second one sends keys.
private final class Rolling: Sendable {
    private struct State {
        var bodies: [[String]]
        var refusals: [String] = []
        var answers = 0
        var isOver = false
    }

    private let chats: [String]
    private let state: Mutex<State>

    init(_ chats: [String]) {
        self.chats = chats
        self.state = Mutex(State(bodies: chats.map { _ in [] }))
    }

    /// The messages that were answered 201, by chat, in order.
    var bodies: [[String]] { state.withLock(\.bodies) }
    var refusals: [String] { state.withLock(\.refusals) }

    func end() { state.withLock { $0.isOver = true } }

    func see(answers: Int) async throws {
        let goal = state.withLock(\.answers) + answers
        try await eventually("\(answers) more answers", within: 40) { state.withLock { $0.answers >= goal } }
    }

    func write(_ index: Int, _ nodes: [Cluster.Node]) async throws {
        var caller = Caller(nodes, patience: 25)
        var round = 0
        while !state.withLock(\.isOver) {
            let body = "\(index)-\(round)"
            let answer = await caller.send(
                "POST", chats[index] + "/messages", to: index + round, key: index % 2 == 0 ? body : nil,
                body: "{\"body\":\"\(body)\"}")
            round += 1
            state.withLock { state in
                if answer?.status == 201 {
                    state.bodies[index].append(body)
                    state.answers += 1
                } else {
                    state.refusals.append("\(body): \(answer?.text ?? "no answer")")
                }
            }
            // Restarts need some of the machine.
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}

extension GaleraCluster {
    /// Expects that every node holds the same messages.
    func expectEqualRows() async throws {
        let query = "SELECT COUNT(*), SUM(CRC32(CONCAT_WS(' ', chat_id, number, body))) FROM messages"
        let first = try await nodes[0].sql(query)
        for node in nodes.dropFirst() {
            try await eventually("the nodes agree") { try await node.sql(query) == first }
        }
    }
}
