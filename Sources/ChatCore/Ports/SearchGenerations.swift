/// Stores the generations of the engine's index (`SearchEngine`), and reads what a search through the engine needs.
///
/// There is at most one generation in each state. All methods throw `ChatError.unavailable` when the store cannot answer.
package protocol SearchGenerations: Sendable {
    func generations() async throws -> [SearchGeneration]
    /// Adds a generation in the state `building`.
    ///
    /// - Returns: false if there is one.
    func begin(_ generation: SearchGeneration) async throws -> Bool
    /// Raises a generation's marker, durably, unless it is that high. Call it before the cursors move.
    ///
    /// - Returns: false if the generation is gone.
    func confirm(_ marker: Int64, of generation: SearchGeneration.ID) async throws -> Bool
    /// Makes the generation that was being built the live one, and retires the one that was.
    ///
    /// - Returns: false if it is not being built any more, or another one is still retired.
    func promote(_ generation: SearchGeneration.ID) async throws -> Bool
    /// Retires a generation that is not believed any more.
    ///
    /// - Returns: false if it was not there, or another one is still retired.
    func retire(_ generation: SearchGeneration.ID) async throws -> Bool
    /// Removes a generation and the cursors of its readers.
    func remove(_ generation: SearchGeneration.ID) async throws
    /// The tenants of chats, without chats that are gone.
    func tenants(of chats: [Chat.ID]) async throws -> [Chat.ID: Tenant.ID]
    /// The live generation, and the hits among the messages of a tenant that its readers have not passed: those above a
    /// cursor of `reader`, and those whose last change is above one of `changeReader`. Together with
    /// what an index of that marker holds, these are all hits whose create was answered before the call.
    ///
    /// The cost depends on what has changed since the reader's last finished sweep began.
    ///
    /// - Returns: nil if there is no live generation of this `SearchFold.version`, more is left than `limits` allow, or the
    ///   reader has not finished a sweep (in the embedded store: in this process).
    func unfed(
        _ query: SearchQuery, in tenant: Tenant.ID, page: TenantSearchPage, within limits: UnfedLimits
    ) async throws -> (generation: SearchGeneration, hits: TenantHits)?
    /// The messages at these places, without those that are gone or another tenant's.
    func hits(at places: [SearchPlace], in tenant: Tenant.ID) async throws -> [TenantHit]
    /// How many messages the reader of a generation has not passed, of all tenants, void numbers included. Costs a look
    /// at every chat.
    func unfedCount(of generation: SearchGeneration.ID) async throws -> Int64
}

/// An index of the engine, under a name that is never used again.
package struct SearchGeneration: Equatable, Sendable {
    package struct ID: Hashable, Sendable, CustomStringConvertible {
        package let text: String

        package init(_ text: String) { self.text = text }

        package static func random() -> ID {
            let digits = String(UInt64.random(in: 0...UInt64.max), radix: 16)
            return ID(String(repeating: "0", count: 16 - digits.count) + digits)
        }

        /// The log reader that feeds it.
        package var reader: LogReader.Name { LogReader.Name("engine-\(text)") }
        /// Its cursors are revisions: the feed has sent what has changed up to them.
        package var changeReader: LogReader.Name { LogReader.Name("engine-\(text)-changes") }
        package var description: String { text }
    }

    package enum State: String, Sendable {
        /// It is fed from the beginning of every chat, and not searched.
        case building
        /// It is fed and searched.
        case live
        /// It is neither, and will be deleted.
        case retired
    }

    package let id: ID
    package var state: State
    package let foldVersion: Int
    /// An index with a lower marker is not believed; 0 if the index may not be there yet.
    package var marker: Int64

    package init(id: ID, state: State, foldVersion: Int, marker: Int64) {
        self.id = id
        self.state = state
        self.foldVersion = foldVersion
        self.marker = marker
    }
}

/// How far behind the engine may be for a search through it.
package struct UnfedLimits: Sendable {
    /// Chats of the tenant with messages that the engine does not have.
    package var chats = 256
    /// These messages.
    package var messages: Int64 = 4096
    /// Those of them that the engine has as they were before a change.
    package var changes: Int64 = 512

    package init() {}
}
