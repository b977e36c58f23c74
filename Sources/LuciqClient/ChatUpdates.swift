/// Where a reader of a chat begins.
public enum ChatStart: Sendable, Equatable {
    /// With the newest messages, at most this many (1 to 100).
    case newest(Int)
    /// With what comes after a cursor, such as `ChatState.cursor`; `0` for everything that there is.
    case after(String)
    /// With what comes from now on.
    case next
}

/// What happens in a chat, in order and without an omission, for as long as the loop runs.
///
/// A lost connection is made again, with pauses that grow and differ (0.5 to 10 seconds, or what the server asks for), and
/// goes on from the last cursor. Once the server was restored to an earlier state, the chat is loaded anew. A failure that
/// does not pass ends the sequence with an error; cancellation ends it without one, and closes the connection.
///
/// Events are read from the socket as they are asked for: a slow loop fills no buffer here. One that falls too far behind
/// is disconnected by the server, and resumes.
public struct ChatUpdates: AsyncSequence, Sendable {
    /// What a loop gets.
    public typealias Element = ChatUpdate
    /// What ends a loop.
    public typealias Failure = CallFailure

    let client: ChatClient
    let start: ChatStart
    let hasChanges: Bool
    let silence: Duration

    /// Begins to read.
    public func makeAsyncIterator() -> Iterator { Iterator(self) }

    /// One reader, with a connection of its own.
    public final class Iterator: AsyncIteratorProtocol {
        private enum Phase {
            case loading
            case connecting
            case reading(EventBytes)
            /// What came before it is told first.
            case failing(CallFailure)
            case pausing(Duration, isLoading: Bool)
            case ended
        }

        private let source: ChatUpdates
        private var phase: Phase
        private var resumption: Resumption
        private var parser = EventParser()
        /// What one read of the socket has brought, the next one last.
        private var pending: [ChatUpdate] = []

        fileprivate init(_ source: ChatUpdates) {
            self.source = source
            let renewsTokens = source.client.server.renewsTokens
            switch source.start {
            case .newest:
                phase = .loading
                resumption = Resumption(after: nil, renewsTokens: renewsTokens)
            case .after(let cursor):
                phase = .connecting
                resumption = Resumption(after: cursor, renewsTokens: renewsTokens)
            case .next:
                phase = .connecting
                resumption = Resumption(after: nil, renewsTokens: renewsTokens)
            }
        }

        deinit { if case .reading(let stream) = phase { stream.close() } }

        /// - Returns: nil once the task was cancelled.
        public func next(isolation actor: isolated (any Actor)?) async throws(CallFailure) -> ChatUpdate? {
            if pending.isEmpty { pending = try await batch()?.reversed() ?? [] }
            return pending.popLast()
        }

        /// All that has come at once.
        ///
        /// - Returns: at least one update; nil once the task was cancelled.
        package nonisolated(nonsending) func batch() async throws(CallFailure) -> [ChatUpdate]? {
            while !Task.isCancelled {
                if case .ended = phase { return nil }
                let updates = try await step()
                if !updates.isEmpty { return updates }
            }
            end()
            return nil
        }

        private nonisolated(nonsending) func step() async throws(CallFailure) -> [ChatUpdate] {
            do throws(CallFailure) {
                switch phase {
                case .loading: return try await load()
                case .connecting: return try await connect()
                case .reading(let stream): return try await read(stream)
                case .failing(let failure): throw failure
                case .pausing(let pause, let isLoading):
                    // A pause that is cut short ends the loop, which looks at the cancellation.
                    try? await Task.sleep(for: pause)
                    phase = isLoading ? .loading : .connecting
                case .ended: break
                }
                return []
            } catch {
                if Task.isCancelled { return [] }
                return [try await lost(error)]
            }
        }

        private nonisolated(nonsending) func load() async throws(CallFailure) -> [ChatUpdate] {
            var limit = 100
            if case .newest(let given) = source.start { limit = given }
            let page = try await source.client.messages(limit: limit)
            resumption.load(at: page.cursor)
            phase = .connecting
            return [.loaded(page)]
        }

        private nonisolated(nonsending) func connect() async throws(CallFailure) -> [ChatUpdate] {
            parser = EventParser()
            let stream = try await source.client.stream(
                after: resumption.cursor, hasChanges: source.hasChanges, silence: source.silence)
            phase = .reading(stream)
            resumption.connected()
            return [.connected]
        }

        private nonisolated(nonsending) func read(_ stream: EventBytes) async throws(CallFailure) -> [ChatUpdate] {
            guard let bytes = try await stream.next() else {
                throw CallFailure(sentence: "The connection was lost.", outlook: .passing())
            }
            let events: [ServerSentEvent]
            do throws(EventParser.TooLarge) {
                events = try parser.read(bytes)
            } catch {
                throw CallFailure(sentence: "The server sent something that is not a message.", outlook: .final)
            }
            var updates: [ChatUpdate] = []
            for event in events {
                switch resumption.receive(event) {
                case .pass(let event): updates.append(.event(event))
                case .fail(let failure):
                    stream.close()
                    phase = .failing(failure)
                    return updates
                }
            }
            resumption.begin(at: parser.lastID)
            return updates
        }

        private nonisolated(nonsending) func lost(_ failure: CallFailure) async throws(CallFailure) -> ChatUpdate {
            end()
            if failure.code?.hasPrefix("token_") == true { await source.client.server.renewToken() }
            let plan = try resumption.lost(failure, retry: parser.retry, chance: .random(in: 0...1))
            switch plan {
            case .connect(let pause):
                // A page that was never read is still to be read.
                var isLoading = false
                if case .newest = source.start, resumption.cursor == nil { isLoading = true }
                phase = .pausing(pause, isLoading: isLoading)
                return .lost(failure, pause: pause)
            case .loadAnew(let pause):
                phase = .pausing(pause, isLoading: true)
                return .lost(failure, pause: pause)
            }
        }

        private func end() {
            if case .reading(let stream) = phase { stream.close() }
            phase = .ended
        }
    }
}

@available(*, unavailable)
extension ChatUpdates.Iterator: Sendable {}
