/// How many processes a deployment has, as one of them sees it: those whose sign of life came within a minute before
/// the newest.
///
/// All signs come over Redis, one's own too. While Redis is away none comes, and the number stays what it was: that is
/// when each process gives its share of a limit (`RateLimit.share`).
package struct SeenProcesses: Sendable {
    package static let window: Int64 = 60_000_000
    /// More are not counted, so that whoever invents processes fills no memory.
    package static let most = 1024

    /// In microseconds.
    private var seenAt: [UInt64: Int64] = [:]

    package init() {}

    /// At least 1.
    package var count: Int { max(1, seenAt.count) }

    /// Notes a sign of life.
    ///
    /// - Parameters:
    ///   - process: random, made at its start.
    ///   - now: in microseconds of a clock that does not jump.
    package mutating func see(_ process: UInt64, at now: Int64) {
        seenAt = seenAt.filter { now - $0.value < Self.window }
        guard seenAt.count < Self.most || seenAt[process] != nil else { return }
        seenAt[process] = now
    }
}
