import RedisClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RedisTLSTests {
    @Test func trustsWhomItIsToldTo() async throws {
        let files = try await TLSFiles.make()
        let server = try await RedisServer.start(tls: files)
        let port = server.port
        for url in [
            "rediss://localhost:\(port)?ca=\(files.ca)",
            "rediss://127.0.0.1:\(port)?ca=\(files.ca)",
            "rediss://[::ffff:127.0.0.1]:\(port)?ca=\(files.ca)&verify=ca",
            "rediss://localhost:\(port)?ca=\(files.otherCA)&verify=none",
        ] {
            try await withClient(url) { client async throws in
                let value = String(repeating: "x", count: 300_000)
                #expect(try await client.call("SET", "a", value) == .status("OK"))
                #expect(try await client.call("GET", "a").string == value)
            }
        }
        for url in [
            "rediss://localhost:\(port)?ca=\(files.otherCA)",
            "rediss://localhost:\(port)?ca=\(files.otherCA)&verify=ca",
            "rediss://localhost:\(port)",
            "rediss://localhost:\(port)?ca=\(files.ca)-none",
            // The certificate does not name this address.
            "rediss://[::ffff:127.0.0.1]:\(port)?ca=\(files.ca)",
        ] {
            let failure = try await connectFailure(url)
            #expect(failure.contains("TLS failed: "), "\(url): \(failure)")
        }
        #expect(try await connectFailure("redis://localhost:\(port)").contains("Redis is unavailable: "))
    }

    @Test func showsItsCertificate() async throws {
        let files = try await TLSFiles.make()
        let server = try await RedisServer.start(["--tls-auth-clients", "yes"], tls: files)
        let url = "rediss://localhost:\(server.port)?ca=\(files.ca)"
        try await withClient(url + "&cert=\(files.certificate)&key=\(files.key)") { client async throws in
            #expect(try await client.call("PING") == .status("PONG"))
        }
        // The server's alert or the end of the connection: what comes first says why.
        let failure = try await connectFailure(url)
        #expect(failure.hasPrefix("Redis cannot be used: ") || failure.hasPrefix("Redis is unavailable: "))
    }

    @Test func doesNotTakePlainRedisForTLS() async throws {
        let files = try await TLSFiles.make()
        let server = try await RedisServer.start()
        let failure = try await connectFailure("rediss://localhost:\(server.port)?ca=\(files.ca)&connect-timeout=0.5")
        #expect(failure == "Redis is unavailable: localhost:\(server.port): no reply in time")
    }

    /// TLS sends a close_notify before it closes. A frozen server does not answer it, and no caller may wait for that.
    @Test func aFrozenServerCostsOneTimeout() async throws {
        let files = try await TLSFiles.make()
        let server = try await RedisServer.start(tls: files)
        let url = "rediss://localhost:\(server.port)?ca=\(files.ca)&command-timeout=0.3&connect-timeout=0.3"
        try await withClient(url) { client async throws in
            server.freeze()
            #expect(await client.send([RedisCommand("PING")])[0].error?.isOutcomeUnknown == true)
            // It was retried without success.
            let failure = RedisError.unavailable(reason: "localhost:\(server.port): no reply in time")
            await #expect(throws: failure) { try await client.waitUntilConnected(timeout: .seconds(2)) }
            server.thaw()
            try await client.waitUntilConnected(timeout: .seconds(20))
            #expect(try await client.call("PING") == .status("PONG"))
        }
    }
}
