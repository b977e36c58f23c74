import RedisClient

extension RedisClient {
    /// Runs a script whose arguments are any bytes, as payloads may be.
    func run(_ script: RedisScript, keys: [String], _ arguments: [[UInt8]]) async throws(RedisError) -> RedisValue {
        try await run(script, keys: keys) { command in for argument in arguments { command.append(argument) } }
    }

    /// - Parameter arguments: appends them; may be called twice.
    func run(
        _ script: RedisScript, keys: [String], _ arguments: (inout RedisCommand) -> Void
    ) async throws(RedisError) -> RedisValue {
        func command(_ how: [String]) -> RedisCommand {
            var command = RedisCommand(how + [String(keys.count)] + keys)
            arguments(&command)
            return command
        }
        do throws(RedisError) {
            return try await send(command(["EVALSHA", script.sha1]))
        } catch {
            guard error.prefix == "NOSCRIPT" else { throw error }
            return try await send(command(["EVAL", script.source]))
        }
    }
}

extension RedisCommand {
    /// A command whose last arguments are any bytes.
    init(_ name: String, _ texts: String..., bytes: [[UInt8]]) {
        self.init([name] + texts)
        for argument in bytes { append(argument) }
    }
}
