import Foundation
import NIOPosix
import TestSupport
import Testing

/// 1,000 subscribers of one application's chats: half of them by server-sent events, half by WebSockets with a few
/// chats each. A quarter of them connect late. Some start with the first message, some with the next one.
struct StreamCrowd: Sendable {
    private static let perTransport = 500
    private static let socketSizes = [1, 2, 5, 8]

    /// In the order in which they come.
    let clients: [StreamClient]
    private let group = MultiThreadedEventLoopGroup.singleton

    /// - Parameter ports: of servers and proxies, any of which will do.
    init(of application: String, chats: Int, at ports: [Int]) {
        var clients: [StreamClient] = []
        func subscriber(_ index: Int) -> StreamSubscriber {
            // Over all chats and both kinds of starts, whatever the number of chats is.
            StreamSubscriber(chat: index % chats + 1, after: (index / chats).isMultiple(of: 3) ? nil : 0)
        }
        for index in 0..<Self.perTransport {
            clients.append(StreamClient(.events, [subscriber(index)], of: application, at: ports))
        }
        var next = 0
        while next < Self.perTransport {
            let size = min(Self.socketSizes[clients.count % Self.socketSizes.count], Self.perTransport - next)
            let some = (next..<next + size).map(subscriber)
            clients.append(StreamClient(.socket, some, of: application, at: ports))
            next += size
        }
        // Of both transports and all sizes.
        self.clients = clients.enumerated().sorted { $0.offset % 8 < $1.offset % 8 }.map(\.element)
    }

    var subscribers: [StreamSubscriber] { clients.flatMap(\.subscribers) }
    private var early: ArraySlice<StreamClient> { clients[..<(clients.count * 3 / 4)] }
    private var late: ArraySlice<StreamClient> { clients[early.endIndex...] }

    /// Listens until it is cancelled.
    ///
    /// - Parameter half: returns when the late subscribers should connect.
    func run(late half: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for client in early { tasks.addTask { await client.run(on: group) } }
            tasks.addTask { try await half() }
            try await tasks.next()
            for client in late { tasks.addTask { await client.run(on: group) } }
            try await tasks.waitForAll()
        }
    }

    /// Returns when the first subscribers are connected.
    func waitForTheEarly() async throws {
        try await eventually("the first subscribers are there", within: 60) { early.allSatisfy(\.hasBegun) }
        for subscriber in early.flatMap(\.subscribers) { #expect(subscriber.start == 0) }
    }

    /// Closes connections at random until it is cancelled, half of them as clients do that crash.
    func cutAtRandom() async {
        while !Task.isCancelled {
            for _ in 0..<5 { clients.randomElement()?.cut(isReset: .random()) }
            try? await Task.sleep(for: .milliseconds(100))  // Cut short by the cancellation.
        }
    }

    /// Returns when every subscriber has got its chat's last message.
    func waitForTheEnd(_ body: String) async throws {
        do {
            try await eventually("all have the last message", within: 60) {
                subscribers.allSatisfy { $0.last?.body == body }
            }
        } catch {
            // The comparison shows what they have received.
            Issue.record(error)
            let waiting = clients.filter { $0.subscribers.contains { $0.last?.body != body } }
            for client in waiting.prefix(5) {
                Issue.record("\(client.transport) waits: \(client.place)")
            }
        }
    }

    /// Expects that every subscriber has got what is stored, all of it, once, in its order.
    func expectSame(_ stored: [Int: [StreamSubscriber.Row]]) {
        #expect(subscribers.count == 2 * Self.perTransport)
        var wrong: [String] = []
        for client in clients {
            for subscriber in client.subscribers {
                guard let start = subscriber.start else {
                    wrong.append("\(client.transport), chat \(subscriber.chat): it never began")
                    continue
                }
                let wanted = (stored[subscriber.chat] ?? []).filter { $0.number > start }
                let got = subscriber.rows
                if got == wanted { continue }
                let place = zip(got, wanted).enumerated().first { $1.0 != $1.1 }?.offset ?? min(got.count, wanted.count)
                wrong.append(
                    "\(client.transport), chat \(subscriber.chat), from \(start): \(got.count) of \(wanted.count); at "
                        + "\(place) it got \(got.dropFirst(place).prefix(3).map(\.number)), which should be "
                        + "\(wanted.dropFirst(place).prefix(3).map(\.number))")
            }
        }
        #expect(wrong.isEmpty, "\(wrong.count) subscribers are wrong: \(wrong.prefix(10).joined(separator: "\n"))")
        let problems = clients.flatMap(\.problems)
        #expect(problems.isEmpty, "\(problems.count): \(problems.prefix(10))")
    }
}
