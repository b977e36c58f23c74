import Logging
import RedisClient
import Synchronization

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

extension RedisError {
    var isUnavailable: Bool { if case .unavailable = self { true } else { false } }
    var isOutcomeUnknown: Bool { if case .outcomeUnknown = self { true } else { false } }
}

extension Result where Failure == RedisError {
    var error: RedisError? { if case .failure(let error) = self { error } else { nil } }
}

extension RedisClient {
    /// `send` without a typed error, which `#expect` does not take inside a closure.
    func call(_ arguments: String...) async throws -> RedisValue { try await send(RedisCommand(arguments)) }
}

/// Runs a client while `body` runs; by default it waits until the client is connected.
func withClient(
    _ url: String, maxInFlight: Int = 16_384, maxReplyBytes: Int = 64 << 20, isConnected: Bool = true,
    _ body: (RedisClient) async throws -> Void
) async throws {
    let client = RedisClient(
        try RedisConfiguration(url: url), maxInFlight: maxInFlight, maxReplyBytes: maxReplyBytes, logger: quiet)
    let running = Task { try await client.run() }
    defer { running.cancel() }
    if isConnected { try await client.waitUntilConnected(timeout: .seconds(20)) }
    try await body(client)
}

/// Why a client cannot connect; it tries once.
func connectFailure(_ url: String) async throws -> String {
    var configuration = try RedisConfiguration(url: url)
    // The test asks for the reason only, on a machine that may be busy.
    configuration.commandTimeout = .seconds(20)
    if !url.contains("connect-timeout") { configuration.connectTimeout = .seconds(20) }
    let client = RedisClient(configuration, logger: quiet)
    do {
        try await client.withDedicatedConnection { _ in }
        return "it does"
    } catch {
        return "\(error)"
    }
}

/// Values that another task sends, one at a time.
final class Mailbox<Value: Sendable>: Sendable {
    private let values: AsyncStream<Value>
    private let continuation: AsyncStream<Value>.Continuation

    init() { (values, continuation) = AsyncStream.makeStream() }

    func put(_ value: Value) { continuation.yield(value) }

    /// The next value; nil after `limit`.
    func next(within limit: Duration = .seconds(20)) async -> Value? {
        await withTaskGroup { group in
            group.addTask {
                var iterator = self.values.makeAsyncIterator()
                return await iterator.next()
            }
            group.addTask {
                try? await Task.sleep(for: limit)  // Cancelled when a value has come.
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }
}
