package import Logging
package import Metrics

/// Measures a store's reads (`luciq_store_read_seconds`), and says when one has failed. What writes is observed where its
/// batches are made: in `GroupCommit`.
package struct ReadObserver: Sendable {
    /// What is read, by the metric's label.
    package enum Operation: String, CaseIterable, Sendable {
        case applicationID = "application_id"
        case application
        case applicationMessageCount = "application_message_count"
        case chatID = "chat_id"
        case chat, chats
        case chatMessageCount = "chat_message_count"
        case entries
        case lastNumbers = "last_numbers"
        case logReaders = "log_readers"
        case message, messages, search, tail, probe
    }

    private let logger: Logger
    private let timers: [Operation: Metrics.Timer]

    package init(logger: Logger, metrics: any MetricsFactory) {
        self.logger = logger
        self.timers = Dictionary(
            uniqueKeysWithValues: Operation.allCases.map { operation in
                let dimensions = [("operation", operation.rawValue)]
                return (
                    operation,
                    Metrics.Timer(label: "luciq_store_read_seconds", dimensions: dimensions, factory: metrics)
                )
            })
    }

    /// Of a store that serves nobody.
    package static let none = ReadObserver(
        logger: Logger(label: "luciq") { _ in SwiftLogNoOpLogHandler() }, metrics: NOOPMetricsHandler.instance)

    /// - Throws: nothing but `ChatError`, or `CancellationError`.
    package func observe<Result>(
        _ operation: Operation, _ read: () async throws -> Result
    ) async throws -> Result {
        let reading = begin(operation)
        do {
            let result = try await read()
            reading.end()
            return result
        } catch {
            throw reading.end(error)
        }
    }

    /// The same for a read of a few microseconds, of which a generic call into another module would be a good part. The
    /// reading must be ended.
    package func begin(_ operation: Operation) -> Reading {
        Reading(operation: operation, timer: timers[operation]!, logger: logger)
    }

    /// A read that has begun.
    package struct Reading {
        fileprivate let operation: Operation
        fileprivate let timer: Metrics.Timer
        fileprivate let logger: Logger
        fileprivate let start = ContinuousClock.now

        package func end() { timer.record(duration: ContinuousClock.now - start) }

        /// - Returns: what to throw in place of what the driver threw.
        package func end(_ error: any Error) -> any Error {
            end()
            if error is CancellationError { return error }
            // Whatever a driver makes of it: nobody waits for the answer, and it says nothing about the store.
            if Task.isCancelled { return CancellationError() }
            let failure = ChatError(store: error)
            // The other errors say that a bound was reached, not that something is broken.
            if case .unavailable = failure {
                logger.error(
                    "The store could not be read",
                    metadata: ["operation": .string(operation.rawValue), "error": ChatError.forLog(error)])
            }
            return failure
        }
    }
}
