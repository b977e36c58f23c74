import Foundation
import GRDB
import TestSupport
import Testing

@testable import ChatCore
@testable import ChatSQLite

/// Searches have threads of their own, so that they take processor time from nothing else.
@Suite(.timeLimit(.minutes(2))) struct SearchThreadTests {
    #if os(Linux)
        private static func niceness() -> Int32 { getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) }

        @Test func theirPriorityIsLow() async throws {
            let test = try await TestStore()
            let gate = ScanGate(executors: test.store.searchThreads)
            let found = try await gate.pass(test.tenant, from: .unspecified) {
                // A long read stays on the thread that it is called on.
                [Self.niceness(), try await test.store.scan(.search) { _ in Self.niceness() }]
            }
            #expect(found == [10, 10])
            let written = await Task(executorPreference: test.store.writeThread) { Self.niceness() }.value
            #expect(written == 0)
            #expect(Self.niceness() == 0)
        }
    #endif
}
