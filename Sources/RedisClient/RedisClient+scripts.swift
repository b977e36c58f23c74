extension RedisClient {
    /// One run of a script.
    package struct ScriptCall: Sendable {
        /// The number of keys, the keys, and the arguments.
        fileprivate var words: RedisCommand

        fileprivate init(keys: [String]) { words = RedisCommand([String(keys.count)] + keys) }

        package init(key: String, arguments: [String]) {
            self.init(keys: [key])
            for argument in arguments { words.append(argument) }
        }
    }

    /// Runs a script for many keys in one write, like `send`: one result each, in order. If the server does not know
    /// the script yet, the refused calls are sent again with its source.
    package func eval(_ script: RedisScript, _ calls: [ScriptCall]) async -> [RedisReply] {
        var replies = await send(calls.map { RedisCommand(["EVALSHA", script.sha1], then: $0.words) })
        let refused = replies.indices.filter { index in
            if case .failure(let error) = replies[index] { error.prefix == "NOSCRIPT" } else { false }
        }
        guard !refused.isEmpty else { return replies }
        let again = await send(refused.map { RedisCommand(["EVAL", script.source], then: calls[$0].words) })
        for (index, reply) in zip(refused, again) { replies[index] = reply }
        return replies
    }

    /// Runs a script once.
    ///
    /// - Parameter arguments: appends them.
    package func eval(
        _ script: RedisScript, keys: [String], _ arguments: (inout RedisCommand) -> Void
    ) async throws(RedisError) -> RedisValue {
        var call = ScriptCall(keys: keys)
        arguments(&call.words)
        return try await eval(script, [call])[0].get()
    }

    /// Runs a script once that the server knows already, without waiting, like `post`.
    ///
    /// - Parameter arguments: appends them.
    package func post(_ script: RedisScript, keys: [String], _ arguments: (inout RedisCommand) -> Void) {
        var call = ScriptCall(keys: keys)
        arguments(&call.words)
        post([RedisCommand(["EVALSHA", script.sha1], then: call.words)])
    }

    /// Runs a script once.
    package func eval(
        _ script: RedisScript, keys: [String], arguments: [String]
    ) async throws(RedisError) -> RedisValue {
        try await eval(script, keys: keys) { call in for argument in arguments { call.append(argument) } }
    }

    /// Runs a script once, with arguments of any bytes, such as payloads.
    package func eval(
        _ script: RedisScript, keys: [String], bytes arguments: [[UInt8]]
    ) async throws(RedisError) -> RedisValue {
        try await eval(script, keys: keys) { call in for argument in arguments { call.append(argument) } }
    }
}
