package import ChatCore

/// A job in one of the sorted sets.
package struct JobEntry: Sendable {
    package let kind: JobSets.Kind
    /// When it is due, or when it died.
    package let at: Timestamp
    /// The entry's bytes; not always a job.
    package let bytes: [UInt8]
    package let payload: JobPayload?

    init(_ kind: JobSets.Kind, at: Timestamp, bytes: [UInt8]) {
        self.kind = kind
        self.at = at
        self.bytes = bytes
        // Nil unless it is a JSON object: other entries can still be listed and deleted.
        payload = try? JobPayload(bytes)
    }

    package var jid: String? { payload?.jid }
    /// The class, of an ActiveJob the inner one; the raw text if it is not a job.
    package var job: String { call?.job ?? payload?.job ?? "(malformed)" }
    package var queue: String { payload?.queue ?? "" }
    /// A JSON array.
    package var arguments: String { call.map { String(decoding: $0.arguments, as: UTF8.self) } ?? "" }
    package var retryCount: Int? { payload?.integer("retry_count").map { Int($0) } }
    package var errorClass: String? { payload?.string("error_class") }
    package var errorMessage: String? { payload?.string("error_message") }

    private var call: JobCall? { payload.flatMap { try? JobCall($0) } }
}
