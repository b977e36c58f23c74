import ChatCore
import Synchronization
import TestSupport
import Testing

@testable import ChatHTTP

/// Sockets whose clients have not shown a token yet: whoever opens many of them keeps nobody out.
@Suite(.timeLimit(.minutes(2))) struct SocketLobbyTests {
    /// A lobby, and who was sent away, by the order of their coming.
    private final class Scene: Sendable {
        let lobby: SocketLobby
        let away = Mutex<[Int]>([])

        init(_ capacity: Int) { lobby = SocketLobby(capacity: capacity) }

        @discardableResult
        func enter(_ address: String, _ name: Int) -> SocketLobby.GuestID? {
            lobby.enter(IPAddress(address)!.network) { [self] in away.withLock { $0.append(name) } }
        }

        var gone: [Int] { away.withLock(\.self) }
    }

    @Test(arguments: [
        // An address, its network of 48 or 24 bits, and that of 32 or 16.
        ("2001:db8:0:1::%", 4), ("192.0.2.1", 4), ("2001:db8:0:%::1", 8), ("192.0.2.%", 8), ("2001:db8:%::1", 12),
        ("192.0.%.1", 12),
    ])
    func aNetworkHasAShare(_ address: String, _ share: Int) {
        let scene = Scene(16)
        for number in 0..<20 { scene.enter(address.replacing("%", with: "\(number)"), number) }
        #expect(scene.lobby.count == share)
        // Those that have waited longest.
        #expect(scene.gone == Array(0..<20 - share))
        scene.enter("203.0.113.1", 100)
        #expect(scene.lobby.count == share + 1)
    }

    /// In a full lobby the busiest makes room, whoever comes.
    @Test func aFullLobbyIsFair() {
        let scene = Scene(16)
        for number in 0..<8 { scene.enter("2001:db8:0:\(number)::1", number) }
        for number in 8..<16 { scene.enter("198.\(number).100.1", number) }
        for number in 16..<19 { scene.enter("203.0.113.\(number)", number) }
        #expect(scene.gone == [0, 1, 2])
        #expect(scene.lobby.count == 16)
    }

    /// Whose token is being looked at is not sent away, and who leaves makes room.
    @Test func whoAsksStays() throws {
        let scene = Scene(4)
        let asking = try #require(scene.enter("192.0.2.1", 0))
        scene.lobby.isAsking(asking)
        #expect(scene.enter("192.0.2.1", 1) == nil)
        #expect(scene.gone.isEmpty && scene.lobby.count == 1)
        scene.lobby.leave(asking)
        scene.lobby.leave(asking)
        #expect(scene.lobby.count == 0)
        #expect(scene.enter("192.0.2.1", 2) != nil)
    }

    /// Many networks of one customer, and a client that comes late.
    @Test func aFloodOfNetworksKeepsNobodyOut() async throws {
        var options = TestServer.options
        options.maxConnections = 256
        options.proxies = try TrustedProxies("127.0.0.0/8")
        options.live.waiting = 16
        try await TestServer.run(options: options) { server in
            let site = try await TokenSite(server)
            var flood: [WebSocketClient] = []
            for number in 0..<20 {
                flood.append(try await site.socket(from: "2001:db8:\(number / 4):\(number)::1"))
            }
            #expect(flood.allSatisfy { $0.answer.status == 101 })
            #expect(try await flood[0].closeCode() == 1013)
            let late = try await site.socket(from: "192.0.2.1")
            await late.send(#"{"type":"auth","token":"\#(try site.token("u1"))"}"#)
            #expect(try await late.answer()["type"] as? String == "authenticated")
            #expect(try await flood[19].closeCode() == 4401)
        }
    }
}
