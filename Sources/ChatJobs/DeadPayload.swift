import ChatCore
import Cryptography
import RedisClient

/// A payload that can never run, in a form that Sidekiq's Dead page shows and people can find.
///
/// The page answers 500 for all its entries when one of them is JSON but not an object. So the payload becomes the only
/// argument of a job whose class does not exist.
enum DeadPayload {
    static let job = "Malformed"

    /// - Parameter queue: the queue it came from; nil if unknown.
    static func make(of bytes: [UInt8], error: any Error, queue: String?, format: SidekiqFormat, now: Timestamp)
        -> [UInt8]
    {
        var payload: JobPayload
        if let object = try? JobPayload(bytes) {  // Else it is wrapped.
            payload = object
            if payload.jid == nil { payload.set("jid", string: JobPayload.newJID()) }
        } else {
            // A retry by hand sends it back to the dead set at once.
            var options = JobOptions()
            options.retries = 0
            let text = String(decoding: bytes, as: UTF8.self)
            payload = JobPayload(
                job: job, arguments: Array(JSONText.strings([text]).utf8), queue: queue ?? options.queue,
                options: options, format: format, now: now)
            payload.set("failed_at", raw: format.timestamp(now))
        }
        if payload.queue == nil, let queue { payload.set("queue", string: queue) }
        JobFailure.describe(error, in: &payload)
        return payload.bytes
    }
}

extension JobEntry {
    /// The id for people: the job's, or one derived from its bytes if it has none.
    package var id: String {
        jid ?? "sha256-" + SHA256.hash(bytes).hexadecimal.prefix(24)
    }
}
