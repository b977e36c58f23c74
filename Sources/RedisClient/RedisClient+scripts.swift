extension RedisClient {
    /// One run of a script over one key.
    package struct ScriptCall: Sendable {
        package let key: String
        package let arguments: [String]

        package init(key: String, arguments: [String]) {
            self.key = key
            self.arguments = arguments
        }
    }

    /// Runs a script over many keys in one write, as `send` does: one result each, in order. Where the server does not
    /// know the script yet, those it refused are sent again with its source.
    package func eval(_ script: RedisScript, _ calls: [ScriptCall]) async -> [RedisReply] {
        func commands(_ calls: [ScriptCall], isKnown: Bool) -> [RedisCommand] {
            calls.map { script.command(isKnown: isKnown, keys: [$0.key], arguments: $0.arguments) }
        }
        var replies = await send(commands(calls, isKnown: true))
        let refused = replies.indices.filter { index in
            if case .failure(let error) = replies[index] { error.prefix == "NOSCRIPT" } else { false }
        }
        guard !refused.isEmpty else { return replies }
        for (index, reply) in zip(refused, await send(commands(refused.map { calls[$0] }, isKnown: false))) {
            replies[index] = reply
        }
        return replies
    }
}
