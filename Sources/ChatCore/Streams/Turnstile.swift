import DequeModule
import Synchronization

/// Lets a few through at a time, the others in the order they came.
final class Turnstile: Sendable {
    private typealias Waiter = CheckedContinuation<Bool, Never>

    private struct State {
        var free: Int
        var line = Deque<UInt64>()
        var waiters: [UInt64: Waiter] = [:]
        var lastID: UInt64 = 0
        var isClosed = false
    }

    private let state: Mutex<State>

    init(places: Int) { self.state = Mutex(State(free: places)) }

    /// Waits for a place. `leave` must follow where it is given.
    ///
    /// - Returns: false when the task was cancelled, or the turnstile closed.
    func enter() async -> Bool {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                let answer: Bool? = state.withLock { state in
                    if state.isClosed || Task.isCancelled { return false }
                    if state.free > 0 {
                        state.free -= 1
                        return true
                    }
                    state.waiters[id] = waiter
                    state.line.append(id)
                    return nil
                }
                if let answer { waiter.resume(returning: answer) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(returning: false)
        }
    }

    func leave() {
        let next: Waiter? = state.withLock { state in
            while let id = state.line.popFirst() {
                if let waiter = state.waiters.removeValue(forKey: id) { return waiter }
            }
            state.free += 1
            return nil
        }
        next?.resume(returning: true)
    }

    /// Lets nobody in any more.
    func close() {
        let waiters = state.withLock { state in
            state.isClosed = true
            defer { state.waiters = [:] }
            return state.waiters.values
        }
        for waiter in waiters { waiter.resume(returning: false) }
    }
}
