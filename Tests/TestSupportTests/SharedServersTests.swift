import Foundation
import TestSupport
import Testing

@Suite("The servers that all tests share", .timeLimit(.minutes(3)))
struct SharedServersTests {
    @Test("each caller has a database of its own")
    func databases() async throws {
        async let a = SharedServers.freshDatabase()
        async let b = SharedServers.freshDatabase()
        let (first, second) = try await (a, b)
        #expect(first != second)
        let prefix = try await SharedServers.mysqlURL.prefix { $0 != "@" }
        #expect(first.hasPrefix(prefix) && first.contains("/luciq_test_"))
    }

    @Test("each caller has a Redis database of its own, and empty")
    func redisDatabases() async throws {
        async let a = SharedServers.freshRedisDatabase()
        async let b = SharedServers.freshRedisDatabase()
        let (first, second) = try await (a, b)
        #expect(first != second)
        #expect(!first.hasSuffix("/0"))
        #expect(try await runProgram(["redis-cli", "-e", "-u", first, "SET", "key", "value"]) == "OK")
        #expect(try await runProgram(["redis-cli", "-e", "-u", second, "DBSIZE"]) == "0")
    }
}
