/// The states of a chat, as it changes: one for all that has come at once.
///
/// It connects, resumes and ends as `ChatUpdates` does.
public struct ChatStates: AsyncSequence, Sendable {
    /// What a loop gets.
    public typealias Element = ChatState
    /// What ends a loop.
    public typealias Failure = CallFailure

    let updates: ChatUpdates
    let most: Int

    /// Begins to read.
    public func makeAsyncIterator() -> Iterator { Iterator(updates: updates.makeAsyncIterator(), most: most) }

    /// One reader, with a connection of its own.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let updates: ChatUpdates.Iterator
        fileprivate let most: Int
        private var state = ChatState()

        fileprivate init(updates: ChatUpdates.Iterator, most: Int) {
            self.updates = updates
            self.most = most
        }

        /// - Returns: nil once the task was cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(CallFailure) -> ChatState? {
            guard let batch = try await updates.batch() else { return nil }
            for update in batch { state.apply(update) }
            state.trim(to: most)
            return state
        }
    }
}

@available(*, unavailable)
extension ChatStates.Iterator: Sendable {}
