import TestSupport
import Testing

@testable import ChatCore

/// A connection that shows the same credentials again gets what they gave before, until anything changes.
@Suite(.timeLimit(.minutes(2))) struct RecentAccessTests {
    /// A client that keeps its connection.
    private final class Kept {
        let connection: RawConnection
        let path: String
        private var rest: [UInt8] = []

        init(_ server: AccessServer, _ path: String) throws {
            connection = try RawConnection(port: server.client.port)
            self.path = path
        }

        /// Several at once are answered within the tenth of a second for which an access is kept.
        func statuses(
            _ times: Int = 1, of path: String? = nil, as credentials: [String: String]
        ) async throws -> [Int] {
            let lines = credentials.map { "\($0): \($1)\r\n" }.joined()
            let request = "GET \(path ?? self.path) HTTP/1.1\r\nHost: localhost\r\n\(lines)\r\n"
            #expect(await connection.send(String(repeating: request, count: times)))
            var statuses: [Int] = []
            for _ in 0..<times {
                statuses.append(try #require(await connection.receiveAnswer(rest: &rest)).status)
            }
            return statuses
        }
    }

    @Test(arguments: BackendKind.allCases)
    func othersOnTheConnectionAreOthers(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let (mine, other) = (try await server.makeApplication(), try await server.makeApplication())
            let path = "/applications/\(mine.new.publicID.text)"
            let client = try Kept(server, path)
            let reader = AccessServer.bearer(try await mine.key(.read))
            let writer = AccessServer.bearer(try await mine.key(.write))
            let stranger = AccessServer.bearer(try await other.key(.read))
            #expect(try await client.statuses(3, as: reader) == [200, 200, 200])
            #expect(try await client.statuses(2, as: writer) == [403, 403])
            #expect(try await client.statuses(2, as: stranger) == [404, 404])
            #expect(try await client.statuses(2, as: [:]) == [401, 401])
            #expect(try await client.statuses(2, as: reader) == [200, 200])
            let foreign = "/applications/\(other.new.publicID.text)"
            #expect(try await client.statuses(2, of: foreign, as: reader) == [404, 404])
            #expect(try await client.statuses(2, as: reader) == [200, 200])
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aRevokedKeyIsRefusedAtOnce(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await server.makeApplication()
            let client = try Kept(server, "/applications/\(application.new.publicID.text)")
            // In several rounds: some of the revocations come while the access is kept.
            for _ in 0..<20 {
                let key = try await application.key(.read)
                #expect(try await client.statuses(5, as: AccessServer.bearer(key)) == [200, 200, 200, 200, 200])
                _ = try await server.scope(of: .publicID(application.new.publicID)).revokeKey(key.id.text[...])
                #expect(try await client.statuses(2, as: AccessServer.bearer(key)) == [401, 401])
            }
        }
    }
}
