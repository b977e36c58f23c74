/// The names of Sidekiq's keys in Redis, and of our own beside them.
package enum SidekiqKey {
    /// SET of the queues' names without prefix.
    package static let queues = "queues"
    /// ZSETs of payloads by the time they are due.
    package static let schedule = "schedule"
    package static let retry = "retry"
    /// ZSET of payloads by the time they died.
    package static let dead = "dead"
    /// SET of the identities of processes.
    package static let processes = "processes"

    /// LIST of payloads: pushed on the left, taken from the right.
    package static func queue(_ name: String) -> String { "queue:\(name)" }

    /// LIST of the payloads that a process has taken from a queue and not finished. Ours: Sidekiq has no such list.
    package static func held(_ identity: String, _ queue: String) -> String { "luciq:held:\(identity):\(queue)" }

    /// SET of `<identity> <queue>`: the held lists that may exist.
    package static let holders = "luciq:holders"
    /// The rescuers' lock.
    package static let rescue = "luciq:rescue"

    /// How often a job's process died while it ran.
    package static func deaths(_ jid: String) -> String { "luciq:deaths:\(jid)" }

    package static func unique(_ digest: String) -> String { "luciq:unique:\(digest)" }
}
