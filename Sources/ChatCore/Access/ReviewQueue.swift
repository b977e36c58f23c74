import Synchronization

/// Reviews of what is open, one after the other, in the background. One that is asked for again before its turn runs once.
/// Past a bound of different ones, one of everything takes their place: it costs what is open, however much has changed.
final class ReviewQueue<Subject: Hashable & Sendable>: Sendable {
    private struct State {
        var waiting: [Subject] = []
        /// Those that wait.
        var known: Set<Subject> = []
        var isRunning = false
    }

    private let state = Mutex(State())
    private let everything: Subject
    private let bound: Int

    /// - Parameter everything: a review that covers all others.
    init(everything: Subject, bound: Int = 1024) {
        self.everything = everything
        self.bound = bound
    }

    /// - Parameter review: the same at each call.
    func ask(for subject: Subject, _ review: @escaping @Sendable (Subject) async -> Void) {
        let starts = state.withLock { state in
            guard !state.known.contains(everything) else { return false }
            if subject == everything || state.known.count >= bound {
                (state.waiting, state.known) = ([everything], [everything])
            } else if state.known.insert(subject).inserted {
                state.waiting.append(subject)
            }
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if starts { Task.detached { await self.run(review) } }
    }

    private func run(_ review: @Sendable (Subject) async -> Void) async {
        while let subject = next() { await review(subject) }
    }

    private func next() -> Subject? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.isRunning = false
                return nil
            }
            let subject = state.waiting.removeFirst()
            // From here on a change asks for another one: this one may look before it.
            state.known.remove(subject)
            return subject
        }
    }
}
