import ChatCore
import Foundation
import HTTPTypes
import Synchronization
import TestSupport
import Testing

@testable import ChatHTTP

/// What one event loop does for its clients when more comes than it answers at once.
@Suite(.timeLimit(.minutes(2))) struct LoopTurnsTests {
    private final class Stage: Sendable {
        /// The applications whose requests were answered, in order.
        let order = Mutex<[String]>([])
        let isBlocked = Atomic(false)
        let gate = DispatchSemaphore(value: 0)

        func add(to routes: Routes) {
            routes.on(.get, "/loop") { .now(.text("\(ObjectIdentifier($0.eventLoop))")) }
            routes.on(.get, "/block") { [self] _ in
                isBlocked.store(true, ordering: .relaxed)
                // Until all others have sent theirs.
                _ = gate.wait(timeout: .now() + 30)
                return .now(.text(""))
            }
            routes.on(.get, "/applications/{token}/turn") { [self] call in
                let name = String(call.parameters.token)
                order.withLock { $0.append(name) }
                return .now(.text(""))
            }
        }
    }

    private func ask(_ path: String, on connection: RawConnection) async {
        await connection.send("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    }

    private func answer(from connection: RawConnection) async throws -> Answer {
        var rest: [UInt8] = []
        return try #require(try await connection.receiveAnswer(rest: &rest))
    }

    /// Connections of the same event loop.
    private func connections(_ count: Int, _ server: TestServer) async throws -> [RawConnection] {
        var byLoop: [String: [RawConnection]] = [:]
        while byLoop.values.allSatisfy({ $0.count < count }) {
            let connection = try RawConnection(port: server.client.port)
            await ask("/loop", on: connection)
            byLoop[try await answer(from: connection).text, default: []].append(connection)
        }
        return byLoop.values.first { $0.count == count } ?? []
    }

    /// A request that comes last of all, behind those of another application.
    @Test func aFloodDoesNotHoldUpOthers() async throws {
        let stage = Stage()
        try await TestServer.run(extraRoutes: stage.add) { server in
            let all = try await connections(42, server)
            let (blocker, flood, other) = (all[0], all[1..<41], all[41])
            await ask("/block", on: blocker)
            try await eventually("the loop is blocked") { stage.isBlocked.load(ordering: .relaxed) }
            for connection in flood { await ask("/applications/flood/turn", on: connection) }
            await ask("/applications/other/turn", on: other)
            stage.gate.signal()
            for connection in all { #expect(try await answer(from: connection).status == 200) }
            let order = stage.order.withLock(\.self)
            #expect(order.count == 41)
            // The first few of a turn do not wait, and both orders give it one of the next.
            let place = try #require(order.firstIndex(of: "other"))
            #expect(place < 12, "\(place)")
        }
    }

    /// One connection with many requests at once is a flood, too; its answers stay in their order.
    @Test func pipelinedRequestsWaitTheirTurns() async throws {
        let stage = Stage()
        try await TestServer.run(extraRoutes: stage.add) { server in
            let all = try await connections(3, server)
            await ask("/block", on: all[0])
            try await eventually("the loop is blocked") { stage.isBlocked.load(ordering: .relaxed) }
            let requests = (0..<100).map { "GET /applications/flood\($0)/turn HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" }
            await all[1].send(requests.joined())
            await ask("/applications/other/turn", on: all[2])
            stage.gate.signal()
            #expect(try await answer(from: all[2]).status == 200)
            var rest: [UInt8] = []
            for _ in requests { #expect(try await all[1].receiveAnswer(rest: &rest)?.status == 200) }
            let order = stage.order.withLock(\.self)
            #expect(order.filter { $0 != "other" } == (0..<100).map { "flood\($0)" })
            #expect(try #require(order.firstIndex(of: "other")) < 20)
        }
    }

    /// Also while one connection has more that waits, the loop reads from the others.
    @Test func theLoopReadsBetweenSlices() async throws {
        let stage = Stage()
        try await TestServer.run(extraRoutes: { routes in
            stage.add(to: routes)
            routes.on(.get, "/applications/{token}/work") { call in
                let name = String(call.parameters.token)
                stage.order.withLock { $0.append(name) }
                // A slice of time, at least.
                let end = ContinuousClock.now + .milliseconds(1)
                while ContinuousClock.now < end {}
                return .now(.text(""))
            }
        }) { server in
            let all = try await connections(2, server)
            let requests = ["/block"] + Array(repeating: "/applications/flood/work", count: 200)
            await all[0].send(requests.map { "GET \($0) HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" }.joined())
            try await eventually("the loop is blocked") { stage.isBlocked.load(ordering: .relaxed) }
            await ask("/applications/other/work", on: all[1])
            stage.gate.signal()
            #expect(try await answer(from: all[1]).status == 200)
            var rest: [UInt8] = []
            for _ in requests { #expect(try await all[0].receiveAnswer(rest: &rest)?.status == 200) }
            let order = stage.order.withLock(\.self)
            #expect(order.count == 201)
            #expect(try #require(order.firstIndex(of: "other")) < 40)
        }
    }

    /// Many frames that come at once over one WebSocket are a flood, too.
    @Test func framesWaitTheirTurns() async throws {
        let stage = Stage()
        let socket = Mutex<RawConnection?>(nil)
        let arrived = Mutex<Int?>(nil)
        try await TestServer.run(extraRoutes: { routes in
            stage.add(to: routes)
            routes.on(.get, "/arrived") { _ in
                arrived.withLock { $0 = socket.withLock(\.self)?.arrived }
                return .now(.text(""))
            }
        }) { server in
            let site = try await TokenSite(server)
            let all = try await connections(3, server)
            let handshake =
                (WebSocketClient.handshake.map { "\($0): \($1)" } + [
                    "Authorization: Bearer \(try site.token("u1"))"
                ]).joined(separator: "\r\n")
            await all[1].send("GET \(site.path)/socket HTTP/1.1\r\nHost: 127.0.0.1\r\n\(handshake)\r\n\r\n")
            #expect(try await answer(from: all[1]).status == 101)
            socket.withLock { $0 = all[1] }
            await ask("/block", on: all[0])
            try await eventually("the loop is blocked") { stage.isBlocked.load(ordering: .relaxed) }
            let refused = WebSocketClient.bytes(WebSocketClient.Opcode.text, Array("{\"type\":\"x\"}".utf8))
            await all[1].send(Array(Array(repeating: refused, count: 300).joined()))
            await ask("/arrived", on: all[2])
            stage.gate.signal()
            #expect(try await answer(from: all[2]).status == 200)
            var received: [UInt8] = []
            let each = #"{"type":"error","#
            while received.matches(of: each) < 300 {
                let bytes = try await all[1].receive()
                try #require(!bytes.isEmpty)
                received += bytes
            }
            // Of 300 answers, few had come.
            let known = arrived.withLock(\.self)
            let before = try #require(known)
            #expect(before < received.count / 20, "\(before) of \(received.count)")
        }
    }

    /// A refused client that asks again at once gets its answers at a pace. No sooner, which a slow machine does not change.
    @Test func refusalsWait() async throws {
        try await TestServer.run(extraRoutes: { routes in
            routes.on(.get, "/applications/{token}/refused") { _ in throw ChatError.overloaded }
        }) { server in
            let start = ContinuousClock.now
            let connection = try RawConnection(port: server.client.port)
            let request = "GET /applications/a/refused HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            await connection.send(String(repeating: request, count: 300))
            var rest: [UInt8] = []
            for _ in 0..<300 { #expect(try await connection.receiveAnswer(rest: &rest)?.status == 503) }
            #expect(ContinuousClock.now - start >= .milliseconds(490))
        }
    }
}

extension [UInt8] {
    fileprivate func matches(of text: String) -> Int { String(decoding: self, as: UTF8.self).ranges(of: text).count }
}
