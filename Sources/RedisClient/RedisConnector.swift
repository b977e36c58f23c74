import NIOCore
import NIOPosix
import TLS

/// Makes connections that are ready for commands: TCP, TLS, password, database, and a check that the server is up.
struct RedisConnector: Sendable {
    let configuration: RedisConfiguration
    let limits: RedisConnection.State.Limits
    let maxReplyBytes: Int
    let group: any EventLoopGroup
    var onMessage: RedisHandler.OnMessage?

    /// Connects to the server, or to the primary that a sentinel reports.
    ///
    /// - Throws: `.unavailable` or `.unusable` with the reason in one sentence.
    func connect() async throws(RedisError) -> RedisConnection {
        switch configuration.place {
        case .server(let endpoint): return try await connect(to: endpoint, mustBePrimary: false)
        case .sentinels(let sentinels, let primary):
            var reasons: [String] = []
            for sentinel in sentinels {
                do throws(RedisError) {
                    let endpoint = try await ask(sentinel, forPrimary: primary)
                    return try await connect(to: endpoint, mustBePrimary: true)
                } catch {
                    reasons.append(error.text)
                }
            }
            throw .unavailable(reason: reasons.joined(separator: "; "))
        }
    }

    private func ask(_ sentinel: RedisConfiguration.Endpoint, forPrimary name: String) async throws(RedisError)
        -> RedisConfiguration.Endpoint
    {
        // Do not wait long for a slow sentinel: there are others.
        let deadline = NIODeadline.now() + TimeAmount(min(configuration.commandTimeout, configuration.connectTimeout))
        let connection = try await open(sentinel, tls: nil, by: deadline)
        defer { connection.close(reason: "done") }
        var commands: [RedisCommand] = []
        if let password = configuration.sentinelPassword { commands.append(RedisCommand("AUTH", password)) }
        commands.append(RedisCommand("SENTINEL", "get-master-addr-by-name", name))
        let replies = await connection.send(commands, by: deadline)
        for case .failure(let error) in replies {
            throw .unavailable(reason: "the sentinel \(sentinel): \(error.text)")
        }
        guard let address = try? replies.last?.get().array, address.count == 2, let host = address[0].string,
            let port = address[1].integer
        else { throw .unavailable(reason: "the sentinel \(sentinel) knows no primary of that name") }
        return RedisConfiguration.Endpoint(host: host, port: Int(port))
    }

    private func connect(to endpoint: RedisConfiguration.Endpoint, mustBePrimary: Bool) async throws(RedisError)
        -> RedisConnection
    {
        let deadline = NIODeadline.now() + TimeAmount(configuration.connectTimeout)
        let connection = try await open(endpoint, tls: configuration.tls, by: deadline)
        // Until the replies are in, only this task has the connection, so a shutdown must not wait for it.
        let failure = await withTaskCancellationHandler {
            await greet(connection, mustBePrimary: mustBePrimary, by: deadline)
        } onCancel: {
            connection.close(reason: "the client is shutting down")
        }
        guard let failure else { return connection }
        connection.close(reason: failure.text)
        throw failure.of(endpoint)
    }

    /// Temporary errors.
    private static let passing = [
        "LOADING", "MASTERDOWN", "BUSY", "CLUSTERDOWN", "TRYAGAIN", "ERR max number of clients",
    ]

    /// - Returns: why the connection is unusable; nil if it is ready.
    private func greet(_ connection: RedisConnection, mustBePrimary: Bool, by deadline: NIODeadline) async
        -> RedisError?
    {
        var commands = [RedisCommand("PING"), RedisCommand("CLIENT", "SETNAME", "luciq")]
        if mustBePrimary { commands.append(RedisCommand("ROLE")) }
        if configuration.database != 0 { commands.append(RedisCommand("SELECT", String(configuration.database))) }
        if let password = configuration.password {
            commands.insert(RedisCommand(["AUTH"] + (configuration.user.map { [$0] } ?? []) + [password]), at: 0)
        }
        for (command, reply) in zip(commands, await connection.send(commands, by: deadline)) {
            switch (command.arguments[0], reply) {
            case (Array("AUTH".utf8), .failure(.server(let text))):
                return .unusable(reason: "the password was refused: \(text)")
            case (Array("CLIENT".utf8), .failure(.server)): break  // The name is only for operators.
            case (Array("PING".utf8), .failure(let error)) where error.prefix == "NOPERM": break  // Up, and answers.
            case (_, .failure(.server(let text))) where !Self.passing.contains(where: text.hasPrefix):
                return .unusable(reason: text)
            case (_, .failure(let error)): return error
            case (Array("ROLE".utf8), .success(let role)) where role.array?.first?.string != "master":
                return .unavailable(reason: "it is a replica, not the primary")
            case (_, .success): break
            }
        }
        return nil
    }

    /// TCP, with TLS started.
    private func open(
        _ endpoint: RedisConfiguration.Endpoint, tls: RedisConfiguration.TLS?, by deadline: NIODeadline
    ) async throws(RedisError) -> RedisConnection {
        do {
            // Read each time, to pick up renewed certificates.
            let context = try tls.map { try $0.context() }
            return try await ClientBootstrap(group: group)
                .connectTimeout(deadline - .now())
                .channelOption(.socketOption(.so_keepalive), value: 1)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: endpoint.host, port: endpoint.port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let context {
                            try channel.pipeline.syncOperations.addHandler(TLSHandler(context, host: endpoint.host))
                        }
                        let connection = RedisConnection(channel: channel, limits: limits)
                        try channel.pipeline.syncOperations.addHandler(
                            RedisHandler(connection: connection, maxReplyBytes: maxReplyBytes, onMessage: onMessage))
                        return connection
                    }
                }
        } catch {
            throw RedisError(connecting: error).of(endpoint)
        }
    }
}

extension RedisConfiguration.TLS {
    fileprivate func context() throws(TLSError) -> TLSContext {
        let verification: TLSContext.Verification =
            switch verification {
            case .full: .full
            case .ca: .authority
            case .none: .none
            }
        var identity: (certificate: String, key: String)?
        if let certificate, let key { identity = (certificate, key) }
        return try TLSContext(verification: verification, authorities: authorities, identity: identity)
    }
}
