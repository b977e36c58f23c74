import Logging
import Synchronization

/// Tracks refusals of a server that answers: it is full, cannot save, denies us rights, or is a node of a cluster.
///
/// Logs each new cause, and the end of the last one. A command's refusal ends when the command succeeds some seconds
/// after its last refusal, so that a server at its limit does not fill the log.
final class RedisRefusals: Sendable {
    private struct Refusal {
        let cause: String
        let last: ContinuousClock.Instant
    }

    private static let settled = Duration.seconds(5)

    private let logger: Logger
    private let byCommand = Mutex<[String: Refusal]>([:])
    private let isRefusing = Atomic(false)
    private let observers = Mutex<[@Sendable (String) -> Void]>([])

    init(logger: Logger) { self.logger = logger }

    /// The causes, sorted; empty if none.
    var causes: [String] {
        guard isRefusing.load(ordering: .relaxed) else { return [] }
        return byCommand.withLock { Set($0.values.map(\.cause)).sorted() }
    }

    /// Calls `body` with the cause of each refused command; it must be quick.
    func onRefusal(_ body: @escaping @Sendable (_ cause: String) -> Void) { observers.withLock { $0.append(body) } }

    func note(_ commands: [RedisCommand], _ replies: [RedisReply], now: ContinuousClock.Instant = .now) {
        let isAnyRefused = replies.contains { $0.refusal != nil }
        guard isAnyRefused || isRefusing.load(ordering: .relaxed) else { return }
        var (new, isOver): ([(cause: String, text: String)], Bool) = ([], false)
        byCommand.withLock { known in
            let before = Set(known.values.map(\.cause))
            for (command, reply) in zip(commands, replies) {
                let name = command.family
                switch reply {
                case .failure(let error):
                    guard let cause = error.refusal else { continue }
                    if !before.contains(cause), !new.contains(where: { $0.cause == cause }) {
                        new.append((cause, error.text))
                    }
                    known[name] = Refusal(cause: cause, last: now)
                case .success:
                    if let refusal = known[name], now - refusal.last >= Self.settled { known[name] = nil }
                }
            }
            isOver = !before.isEmpty && known.isEmpty
            isRefusing.store(!known.isEmpty, ordering: .relaxed)
        }
        for refusal in new {
            logger.warning(
                "Redis refuses commands", metadata: ["cause": "\(refusal.cause)", "error": "\(refusal.text)"])
        }
        if isOver { logger.notice("Redis accepts commands again") }
        guard isAnyRefused else { return }
        let observers = observers.withLock { $0 }
        for cause in replies.lazy.compactMap(\.refusal) { for observer in observers { observer(cause) } }
    }
}

extension RedisCommand {
    /// The key of a command's refusals: its name, the same for both ways to run a script.
    fileprivate var family: String {
        let name = String(decoding: arguments.first ?? [], as: UTF8.self).uppercased()
        return name == "EVALSHA" ? "EVAL" : name
    }
}

extension RedisReply {
    fileprivate var refusal: String? { if case .failure(let error) = self { error.refusal } else { nil } }
}

extension RedisError {
    /// The cause, one of a few words, if the server refuses such commands in general; nil for errors of one command or
    /// key, and for a replica, whose connection is closed.
    ///
    /// Redis 6 and older wrap a script's error in an `ERR`.
    var refusal: String? {
        guard case .server(let text) = self, let prefix else { return nil }
        let causes = [
            "OOM", "NOPERM", "NOAUTH", "MISCONF", "MOVED", "ASK", "CLUSTERDOWN", "TRYAGAIN", "LOADING", "MASTERDOWN",
            "NOREPLICAS", "BUSY",
        ]
        if let cause = causes.first(where: { $0 == prefix }) { return cause }
        guard prefix == "ERR" else { return nil }
        if text.contains("can't run this command") { return "NOPERM" }
        return causes.first { text.contains("-\($0) ") }
    }
}
