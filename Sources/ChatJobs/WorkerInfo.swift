import ChatCore

/// `info` in a process' hash: a JSON object, in the shapes of Sidekiq 6, 7 and 8 at once.
enum WorkerInfo {
    static let version = "luciq"

    static func json(_ context: WorkerContext, startedAt: Timestamp) -> String {
        let configuration = context.configuration
        let hostname = context.identity.prefix { $0 != ":" }
        let weights =
            "{" + configuration.queues.map { "\(JSONText.string($0.name)):\($0.weight)" }.joined(separator: ",")
            + "}"
        let mode =
            if configuration.isStrict { "strict" } else if configuration.queues.allSatisfy({ $0.weight == 1 }) {
                "random"
            } else {
                "weighted"
            }
        let capsule = "{\"concurrency\":\(configuration.concurrency),\"mode\":\"\(mode)\",\"weights\":\(weights)}"
        let members: [(String, String)] = [
            ("hostname", JSONText.string(String(hostname))), ("started_at", String(startedAt.seconds)),
            ("pid", String(ProcessFacts.pid)), ("tag", JSONText.string(configuration.tag)),
            ("concurrency", String(configuration.concurrency)), ("queues", JSONText.strings(context.queues)),
            ("labels", JSONText.strings(configuration.labels)), ("identity", JSONText.string(context.identity)),
            ("version", JSONText.string(version)), ("embedded", "false"), ("weights", "[\(weights)]"),
            ("capsules", "{\"default\":\(capsule)}"),
        ]
        return "{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
    }
}
