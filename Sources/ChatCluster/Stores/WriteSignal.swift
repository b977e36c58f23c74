import ChatCore
import RedisClient
import Synchronization

/// Tells the servers of a cluster that one of them stores many messages, so that searches through the others rest beside
/// creates, too (`ScanGate`): all of them share the database's server.
///
/// It is a key in Redis with a short life. Whoever stores many messages sets it a few times a second, and whoever searches
/// reads it as often. Without Redis each server knows of itself alone.
final class WriteSignal: Sendable {
    /// How often it is set, and read; and how long it lasts.
    private static let interval = Duration.milliseconds(250)
    private static let life = Duration.seconds(1)
    /// So many messages within an interval are many. Fewer have the database to themselves, whatever searches do.
    private static let many = 25

    private struct State {
        /// Messages since the interval began.
        var count = 0
        var since: Duration?
        var isOn = false
        var readAt: Duration?
    }

    private let state = Mutex(State())
    private let time: Timekeeper
    private let set: @Sendable () -> Void
    private let read: @Sendable () async -> Bool

    init(
        time: Timekeeper = .continuous, set: @escaping @Sendable () -> Void, read: @escaping @Sendable () async -> Bool
    ) {
        self.time = time
        self.set = set
        self.read = read
    }

    convenience init(_ redis: RedisClient, of deployment: Deployment) {
        let key = "luciq:\(deployment.id):writing"
        self.init(
            set: { redis.post([RedisCommand("SET", key, "1", "PX", String(Int(Self.life / .milliseconds(1))))]) },
            // Without Redis there is none.
            read: { (try? await redis.send(RedisCommand("EXISTS", key))) == .integer(1) })
    }

    /// Notes that this server has stored messages.
    func note(_ messages: Int) {
        let now = time.now()
        let areMany = state.withLock { state in
            state.count += messages
            guard let since = state.since, now - since < Self.interval * 2 else {
                (state.since, state.count) = (now, 0)
                return false
            }
            guard now - since >= Self.interval else { return false }
            defer { (state.since, state.count) = (now, 0) }
            return state.count >= Self.many
        }
        if areMany { set() }
    }

    /// Whether a server stores many messages, as of the last look, which is at most an interval ago while this is asked all
    /// the time. It does not wait.
    var isOn: Bool {
        let now = time.now()
        let (isOn, isDue) = state.withLock { state in
            let isDue = state.readAt.map { now - $0 >= Self.interval } ?? true
            if isDue { state.readAt = now }
            return (state.isOn, isDue)
        }
        if isDue {
            Task {
                let isOn = await read()
                state.withLock { $0.isOn = isOn }
            }
        }
        return isOn
    }
}
