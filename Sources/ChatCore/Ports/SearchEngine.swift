/// An engine beside the store (Elasticsearch, OpenSearch) that gives candidates for searches across a tenant
/// (docs/decisions/0028-search-engine.md). Its answers are believed only with a marker (`SearchMarker`), and every
/// candidate's row is read and matched again.
///
/// Each generation has an index of its own, which only `create` makes: whatever else meets a missing index fails with
/// `.missing`. All methods have deadlines of their own.
package protocol SearchEngine: Sendable {
    /// Makes the index of a generation, with its first marker, unless they are there.
    func create(_ generation: SearchGeneration.ID) async throws(SearchEngineFailure)
    /// The marker as it was written last, whether searches see it or not; nil if there is no such index, or it has none.
    func marker(of generation: SearchGeneration.ID) async throws(SearchEngineFailure) -> SearchMarker?
    /// Stores documents in place of those of the same message whose revision is not higher.
    ///
    /// - Returns: the outcome of each, in their order.
    func put(
        _ documents: [SearchDocument], into generation: SearchGeneration.ID
    ) async throws(SearchEngineFailure) -> [SearchDocument.Outcome]
    /// Writes the next marker, if `marker` is still the last, and makes searches see all that was stored before.
    ///
    /// - Returns: nil if another process has written one meanwhile.
    func mark(
        _ generation: SearchGeneration.ID, after marker: SearchMarker
    ) async throws(SearchEngineFailure) -> SearchMarker?
    /// Messages that may match, newest first, and the marker that this very search saw.
    func candidates(
        _ request: EngineCandidates.Request, in generation: SearchGeneration.ID
    ) async throws(SearchEngineFailure) -> EngineCandidates
    /// Makes the alias, for people and their tools, point to this generation alone.
    func publish(_ generation: SearchGeneration.ID) async throws(SearchEngineFailure)
    /// Deletes the index of a generation, if it is there.
    func drop(_ generation: SearchGeneration.ID) async throws(SearchEngineFailure)
    /// The numbers of a chat's messages that a search sees, ascending.
    func numbers(
        of chat: Chat.ID, in tenant: Tenant.ID, after number: Int64, limit: Int, _ generation: SearchGeneration.ID
    ) async throws(SearchEngineFailure) -> [Int64]
    /// Deletes some documents of a tenant; searches do not see them any more.
    ///
    /// - Returns: whether there were any.
    func remove(_ tenant: Tenant.ID, from generation: SearchGeneration.ID) async throws(SearchEngineFailure) -> Bool
    /// The tenant with the next id of which a search sees documents; nil after the last one.
    func tenant(
        after id: Tenant.ID?, in generation: SearchGeneration.ID
    ) async throws(SearchEngineFailure) -> Tenant.ID?
    /// How many documents a search sees.
    func count(of generation: SearchGeneration.ID) async throws(SearchEngineFailure) -> Int64
}

/// Why the engine did not do it. The sentences are for people, and hold neither a password nor a URL.
package enum SearchEngineFailure: Error, Equatable, Sendable {
    /// It cannot be reached, or has no capacity. A retry may succeed.
    case unavailable(String)
    /// It did not answer in time, which may be because of the request. A retry may succeed.
    case late
    /// It answered, and had searched only a part by then. This says something about the search, not about the engine.
    case incomplete
    /// It refuses: the credentials, the permissions, or the request.
    case refused(String)
    /// There is no such index.
    case missing

    /// Whether the same request may succeed later.
    package var mayPass: Bool {
        switch self {
        case .unavailable, .late: true
        case .incomplete, .refused, .missing: false
        }
    }

    package var sentence: String {
        switch self {
        case .unavailable(let text), .refused(let text): text
        case .late: "The search engine does not answer in time."
        case .incomplete: "The search engine has searched only a part."
        case .missing: "The index is gone."
        }
    }
}

/// A document that each index holds. Its number rises by one whenever documents were stored, and the store keeps the
/// number from which on an index is believed: an index that was wiped, restored from a snapshot, or made by somebody else
/// has a lower one or none.
package struct SearchMarker: Equatable, Sendable {
    package let number: Int64
    /// The place of its last write, which the next one names (`_seq_no` and `_primary_term`).
    package let sequence: Int64
    package let term: Int64

    package init(number: Int64, sequence: Int64, term: Int64) {
        self.number = number
        self.sequence = sequence
        self.term = term
    }
}

/// What the engine stores of a message.
package struct SearchDocument: Equatable, Sendable {
    package enum Outcome: Equatable, Sendable {
        case stored
        /// The engine had no capacity for it.
        case busy
        /// The engine never accepts it.
        case refused(reason: String)
        /// There is no index.
        case missing
    }

    package let tenant: Tenant.ID
    package let chat: Chat.ID
    package let number: Message.Number
    package let createdAt: Timestamp
    /// The folded body.
    package let folded: String
    /// Rises with each change of the message.
    package let revision: Int64

    package init(_ message: Message, of chat: Chat.ID, in tenant: Tenant.ID) {
        self.tenant = tenant
        self.chat = chat
        self.number = message.number
        self.createdAt = message.createdAt
        var body = message.body
        var folded: [UInt8] = []
        body.withUTF8 { SearchFold.append(UnsafeRawBufferPointer($0), to: &folded) }
        self.folded = String(decoding: folded, as: UTF8.self)
        self.revision = message.revision + 1
    }
}

/// One answer of the engine to a search.
package struct EngineCandidates: Equatable, Sendable {
    package struct Request: Sendable {
        package let tenant: Tenant.ID
        package let needle: SearchNeedle
        /// Both exclusive.
        package let after: Timestamp?
        package let before: Timestamp?
        /// Only places before this one.
        package var place: SearchPlace?
        package var limit: Int

        package init(
            tenant: Tenant.ID, needle: SearchNeedle, after: Timestamp? = nil, before: Timestamp? = nil,
            place: SearchPlace? = nil, limit: Int
        ) {
            self.tenant = tenant
            self.needle = needle
            self.after = after
            self.before = before
            self.place = place
            self.limit = limit
        }
    }

    /// The number of the marker that this search saw; nil if it saw none.
    package let marker: Int64?
    package let places: [SearchPlace]

    package init(marker: Int64?, places: [SearchPlace]) {
        self.marker = marker
        self.places = places
    }
}
