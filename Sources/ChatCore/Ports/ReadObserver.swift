package import Logging
package import Metrics

/// Measures a store's reads (`luciq_store_read_seconds`), and logs failures. `GroupCommit` observes writes.
package struct ReadObserver: Sendable {
    /// The kinds of reads: the metric's label.
    package enum Operation: String, CaseIterable, Sendable {
        case applicationID = "application_id"
        case application, applications
        case accessKey = "access_key"
        case accessKeys = "access_keys"
        case audit
        case tokenKeys = "token_keys"
        case user, users
        case applicationMessageCount = "application_message_count"
        case chatID = "chat_id"
        case chat, chats
        case chatMessageCount = "chat_message_count"
        case entries
        case lastNumbers = "last_numbers"
        case logReaders = "log_readers"
        case member, members
        case memberChats = "member_chats"
        case memberPlace = "member_place"
        case message, messages, search, tail, probe
        case searchIndex = "search_index"
        case searchEngine = "search_engine"
        case changes, revisions
        case deletedCount = "deleted_count"
        case messageVersions = "message_versions"
        case reactions, pins
        case readNumbers = "read_numbers"
        case heads, inbox, threads
        case tailRows = "tail_rows"
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

    /// For a store that serves no clients.
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

    /// The same for a read of a few microseconds, to which a generic call into another module would add much. End the
    /// returned reading.
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

        /// - Returns: the error to throw instead of the driver's.
        package func end(_ error: any Error) -> any Error {
            end()
            if error is CancellationError { return error }
            // A cancelled read: its error says nothing about the store.
            if Task.isCancelled { return CancellationError() }
            let failure = ChatError(store: error)
            // The other errors mean that a limit was reached, not that the store is broken.
            if case .unavailable = failure {
                logger.error(
                    "The store could not be read",
                    metadata: ["operation": .string(operation.rawValue), "error": ChatError.forLog(error)])
            }
            return failure
        }
    }
}
