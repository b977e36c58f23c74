import ChatCore
import MySQLClient

/// The locks on applications, which a batch of changes takes before it changes anything.
///
/// All transactions lock in one order, so that none wait for each other in a circle: applications, `audit_heads`, users,
/// chats, members; in each table by the key. What users create shares all that it locks (`AuthorCheck`). A change of a user
/// or of a member shares the application, so that nobody else's creates wait for it; a change of the application itself
/// locks it alone.
struct TenantLocks {
    private static let statementPlaces = 256

    private struct Need {
        var isExclusive = false
        var isAudited = false
    }

    /// The tokens of now and of before, of the applications that are there.
    private var tokens: [Int64: [String]] = [:]

    init(_ batch: [TenantChange], _ connection: isolated MySQLConnection) throws {
        var needs: [Int64: Need] = [:]
        for change in batch {
            guard let tenant = change.share else { continue }
            var need = needs[tenant] ?? Need()
            if change.changesTenant { need.isExclusive = true }
            if case .audited = change { need.isAudited = true }
            needs[tenant] = need
        }
        let tenants = needs.sorted { $0.key < $1.key }
        for (tenant, need) in tenants {
            tokens[tenant] = try connection.first(
                """
                SELECT token, old_token FROM applications WHERE id = ? AND removed_at IS NULL
                \(need.isExclusive ? "FOR UPDATE" : "LOCK IN SHARE MODE")
                """, [.integer(tenant)]
            ) { [$0.text(0), $0.text(1)] }
        }
        try Self.lockAudit(
            of: tenants.filter { $0.value.isAudited && tokens[$0.key] != nil }.map { Tenant.ID($0.key) }, connection)
    }

    /// Whether a change's tenant is there, and has its token: on another server, the id may belong to another tenant. The
    /// token of before is as good: this process may not know yet that it was replaced.
    func has(_ change: TenantChange) -> Bool {
        guard let tenant = change.share else { return true }
        guard let tokens = tokens[tenant] else { return false }
        return change.token.map { tokens.contains($0.text) } ?? true
    }

    /// Makes the rows of the tenants' audits get rising ids in the order of the commits, so that a page after one of them
    /// misses none.
    ///
    /// - Parameter tenants: by their ids.
    static func lockAudit(of tenants: [Tenant.ID], _ connection: isolated MySQLConnection) throws {
        for some in tenants.chunks(of: statementPlaces).map(\.padded) {
            try connection.execute(
                """
                INSERT INTO audit_heads (application_id) VALUES \(some.map { _ in "(?)" }.joined(separator: ", "))
                ON DUPLICATE KEY UPDATE application_id = VALUES(application_id)
                """, some.map { .integer($0.rawValue) })
        }
    }
}

extension TenantChange {
    /// Whether it needs the application's row for itself: to change it, or to count what belongs to it.
    fileprivate var changesTenant: Bool {
        switch self {
        case .update, .addKey, .rotate, .suspend, .resume: true
        case .users(let change, _, _):
            switch change {
            case .revokeAll, .addKey: true
            case .add, .put, .patch, .block, .unblock, .revoke, .endKey: false
            }
        case .create, .revokeKey, .useKeys, .useTokenKeys, .member, .chat: false
        case .audited(let change, _): change.changesTenant
        }
    }

    /// The tenant's, as the request had it.
    fileprivate var token: Tenant.Token? {
        switch self {
        case .update(_, let token, _, _, _), .addKey(_, let token), .rotate(_, let token, _, _),
            .suspend(_, let token, _), .resume(_, let token), .users(_, _, let token):
            token
        case .member(let change): change.chat.token
        case .chat(let update): update.chat.token
        case .create, .revokeKey, .useKeys, .useTokenKeys: nil
        case .audited(let change, _): change.token
        }
    }

    /// What it locks besides: the rows of users come before those of chats.
    fileprivate var place: (table: Int, owner: Int64, user: String) {
        switch self {
        case .users(let change, let tenant, _):
            change.user.map { (1, tenant.rawValue, $0.text) } ?? (0, tenant.rawValue, "")
        case .member(let change): (2, change.chat.id.rawValue, "")
        case .chat(let update): (2, update.chat.id.rawValue, "")
        case .create, .update, .addKey, .revokeKey, .useKeys, .useTokenKeys, .rotate, .suspend, .resume:
            (0, share ?? 0, "")
        case .audited(let change, _): change.place
        }
    }
}

extension [TenantChange] {
    /// The places of the changes, in the order of the rows that they lock; those of one row as they are in the batch.
    var orderOfLocks: [Int] {
        let places = map(\.place)
        return indices.sorted { left, right in
            let (one, other) = (places[left], places[right])
            if one.table != other.table { return one.table < other.table }
            if one.owner != other.owner { return one.owner < other.owner }
            if !one.user.utf8.elementsEqual(other.user.utf8) {
                return one.user.utf8.lexicographicallyPrecedes(other.user.utf8)
            }
            return left < right
        }
    }
}
