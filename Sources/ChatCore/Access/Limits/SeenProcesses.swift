/// How many processes a deployment has, as one of them sees it: those whose sign of life came in the last minute in which
/// signs could come.
///
/// All signs come over Redis, one's own too. While Redis is away none comes, and the number stays what it was: that is
/// when each process gives its share of a limit (`RateLimit.share`). When signs come again, those known before are kept
/// for a minute more, so that a Redis that comes and goes does not make each process believe that it is alone.
///
/// A process that starts while Redis is away knows of no other and gives whole limits: a guess would refuse users where it
/// is the only one.
package struct SeenProcesses: Sendable {
    /// How often a process gives its sign.
    package static let interval: Int64 = 10_000_000
    package static let window: Int64 = 60_000_000
    /// More are not counted, so that whoever invents processes fills no memory.
    package static let most = 1024

    /// In microseconds.
    private var seenAt: [UInt64: Int64] = [:]
    private var lastAt: Int64?
    /// When signs came again after a pause.
    private var resumedAt: Int64?

    package init() {}

    /// At least 1.
    package var count: Int { max(1, seenAt.count) }

    /// Notes a sign of life.
    ///
    /// - Parameters:
    ///   - process: random, made at its start.
    ///   - now: in microseconds of a clock that does not jump.
    package mutating func see(_ process: UInt64, at now: Int64) {
        // With Redis there one's own sign comes at every interval.
        if let lastAt, now - lastAt > Self.interval * 3 / 2 { resumedAt = now }
        lastAt = now
        if resumedAt.map({ now - $0 >= Self.window }) != false {
            resumedAt = nil
            seenAt = seenAt.filter { now - $0.value < Self.window }
        }
        guard seenAt.count < Self.most || seenAt[process] != nil else { return }
        seenAt[process] = now
    }
}
