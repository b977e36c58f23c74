import Synchronization

/// Draws a stripe for each attempt of an append, except held ones: a process that hangs within its transactions holds a
/// few of them, until the server ends its sessions a minute later.
final class CountStripes: Sendable {
    private static let stripes: Int64 = 64
    private static let memory = Duration.seconds(60)
    /// If more are held than this, the stripes are not the cause, and all are allowed again.
    private static let mostHeld = 32

    /// Until when each held stripe is avoided.
    private let held = Mutex<[Int64: ContinuousClock.Instant]>([:])

    func draw() -> Int64 {
        held.withLock { held in
            if !held.isEmpty {
                let now = ContinuousClock.now
                held = held.filter { $0.value > now }
            }
            while true {
                let stripe = Int64.random(in: 0..<Self.stripes)
                if held[stripe] == nil { return stripe }
            }
        }
    }

    func avoid(_ stripes: some Sequence<Int64>) {
        held.withLock { held in
            for stripe in stripes { held[stripe] = .now + Self.memory }
            if held.count > Self.mostHeld { held = [:] }
        }
    }
}
