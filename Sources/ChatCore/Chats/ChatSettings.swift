extension Chat {
    /// Who is in a chat. The raw values are stored.
    package enum Access: Int64, CaseIterable, Sendable {
        /// Every user of the application reads and writes as a `member`.
        case open
        /// Its members alone.
        case members

        package var name: String { String(describing: self) }
    }

    /// What a new member sees of a chat. The raw values are stored.
    package enum History: Int64, CaseIterable, Sendable {
        case all
        /// What is said from then on.
        case sinceJoin

        package var name: String { self == .all ? "all" : "since_join" }
    }

    /// Whether the readers of a chat see how far others have read. The raw values are stored.
    package enum Receipts: Int64, CaseIterable, Sendable {
        case off
        case members

        package var name: String { String(describing: self) }

        /// - Returns: nil if there is no such setting.
        package init?(name: String) {
            guard let value = Self.allCases.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else { return nil }
            self = value
        }
    }

    package struct Settings: Equatable, Sendable {
        package var name: String?
        /// A JSON object.
        package var metadata: String?
        package var access: Access
        package var history: History
        package var receipts: Receipts

        package init(
            name: String? = nil, metadata: String? = nil, access: Access = .open, history: History = .all,
            receipts: Receipts = .off
        ) {
            self.name = name
            self.metadata = metadata
            self.access = access
            self.history = history
            self.receipts = receipts
        }

        /// As stored; what a newer version may have stored counts as the narrower setting.
        package init(name: String?, metadata: String?, access: Int64, history: Int64, receipts: Int64) {
            self.init(
                name: name, metadata: metadata, access: Access(rawValue: access) ?? .members,
                history: History(rawValue: history) ?? .sinceJoin, receipts: Receipts(rawValue: receipts) ?? .off)
        }

        /// - Throws: `ChatError.invalid` if the metadata become too long.
        package func applying(_ patch: Patch) throws(ChatError) -> Settings {
            var new = self
            if let name = patch.name { new.name = name }
            if let metadata = patch.metadata {
                new.metadata = if let metadata { try Metadata.merge(metadata.utf8, into: new.metadata) } else { nil }
            }
            new.access = patch.access ?? new.access
            new.history = patch.history ?? new.history
            new.receipts = patch.receipts ?? new.receipts
            return new
        }

        package static func == (left: Settings, right: Settings) -> Bool {
            Text.areSame(left.name, right.name) && Text.areSame(left.metadata, right.metadata)
                && left.access == right.access && left.history == right.history && left.receipts == right.receipts
        }

        /// What waits to be stored, in bytes.
        package var size: Int { (name?.utf8.count ?? 0) + (metadata?.utf8.count ?? 0) }
    }

    /// What to change of a chat's settings; nil stays as it is.
    package struct Patch: Equatable, Sendable {
        /// `.some(nil)`: none from now on.
        package var name: String??
        /// A JSON object, which is merged into the present one (RFC 7396); `.some(nil)`: none from now on.
        package var metadata: String??
        package var access: Access?
        package var history: History?
        package var receipts: Receipts?

        package init(
            name: String?? = nil, metadata: String?? = nil, access: Access? = nil, history: History? = nil,
            receipts: Receipts? = nil
        ) {
            self.name = name
            self.metadata = metadata
            self.access = access
            self.history = history
            self.receipts = receipts
        }

        /// - Throws: `ChatError.invalid` for a bad name.
        func check() throws(ChatError) { if case .some(let name?) = name { try Text.checkName(name) } }

        var size: Int { (name??.utf8.count ?? 0) + (metadata??.utf8.count ?? 0) }

        /// For the audit: nothing that users wrote.
        var summary: String {
            let members = [
                name.map { _ in "name" }, metadata.map { _ in "metadata" }, access.map { "access=\($0.name)" },
                history.map { "history=\($0.name)" }, receipts.map { "receipts=\($0.name)" },
            ]
            return members.compactMap(\.self).joined(separator: ",")
        }
    }
}
