import ChatCore
import MySQLClient

extension MySQLStore: TenantLog {
    func apply(
        _ batch: [TenantChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<TenantChange.Effect, ChatError>] {
        var retry = Retry(patience: min(messageLog.patience, time))
        var mayBeStored = false
        while true {
            do throws(MySQLError) {
                let (results, reached) = try await writes.run(within: retry.remaining) { connection in
                    try connection.transaction { try Self.apply(batch, at: now, $0) }
                }
                if !reached.isEmpty { bus.publish(revisions: reached) }
                // What changes nothing now may be what the first attempt has changed.
                return mayBeStored ? results.map { $0.map { $0 == .nothing ? .changedAccess : $0 } } : results
            } catch {
                // Tokens are random: a duplicate is our own, from an attempt whose connection was lost.
                if error.isDuplicate, mayBeStored { return try await outcomes(of: batch) }
                if error.leavesInDoubt { mayBeStored = true }
                guard !error.isDuplicate, await retry.mayGoOn(after: error) else {
                    throw mayBeStored ? ChatError.outcomeUnknown : ChatError(driver: error)
                }
            }
        }
    }

    private static func apply(
        _ batch: [TenantChange], at now: Timestamp, _ connection: isolated MySQLConnection
    ) throws -> (results: [Result<TenantChange.Effect, ChatError>], reached: [Chat.ID: Int64]) {
        let locks = try TenantLocks(batch, connection)
        var results: [Int: Result<TenantChange.Effect, ChatError>] = [:]
        for index in batch.orderOfLocks {
            let change = batch[index]
            results[index] =
                locks.has(change) ? try apply(change, at: now, connection) : .failure(.notFound)
        }
        // The last locks of all.
        let changed = batch.indices.filter { (try? results[$0]?.get()) ?? .nothing != .nothing }
        let reached = try ChatHeads.take(changed.compactMap { batch[$0].thing }, connection)
        return (batch.indices.map { results[$0]! }, reached)
    }

    /// The caller holds the locks that it needs (`TenantLocks`).
    private static func apply(
        _ change: TenantChange, at now: Timestamp, _ connection: isolated MySQLConnection
    ) throws -> Result<TenantChange.Effect, ChatError> {
        switch change {
        case .create(let name, let token, let publicID, let pathToken):
            try connection.execute(
                """
                INSERT INTO applications (name, token, public_id, path_token, created_at, updated_at)
                VALUES (?, ?, ?, ?, ?, ?)
                """,
                [
                    .text(name), .text(token.text), .text(publicID.text), .integer(pathToken.rawValue),
                    .timestamp(now.microseconds), .timestamp(now.microseconds),
                ])
            return .success(.changed)
        case .update(let id, _, let name, let pathToken, let rules):
            try connection.execute(
                """
                UPDATE applications SET name = IFNULL(?, name), path_token = IFNULL(?, path_token), updated_at = ?
                WHERE id = ?
                """,
                [
                    name.map { .text($0) } ?? .null, pathToken.map { .integer($0.rawValue) } ?? .null,
                    .timestamp(now.microseconds), .integer(id.rawValue),
                ])
            if let rules { try set(rules, of: id, connection) }
            if pathToken != nil || rules != nil { try AccessChanges.record(nil, of: id, connection) }
            return .success(.changed)
        // The application's lock makes the count exact.
        case .addKey(let key, _): return try KeyTable.add(key, at: now, connection)
        case .revokeKey(let key, let tenant):
            return try KeyTable.revoke(key, of: tenant, at: now, connection)
        case .useKeys(let uses):
            try KeyTable.note(uses, connection)
            return .success(.changed)
        case .users(let change, let id, _): return try UserTable.apply(change, of: id, at: now, connection)
        case .useTokenKeys(let uses):
            try UserTable.note(uses, connection)
            return .success(.changed)
        case .member(let change): return try MemberTable.apply(change, at: now, connection)
        case .chat(let update): return try MemberTable.apply(update, at: now, connection)
        case .rotate(let id, _, let new, let oldUntil):
            // Assigned from left to right. A repeated transaction finds the new token, and changes nothing.
            try connection.execute(
                """
                UPDATE applications
                SET old_token = token, old_token_until = ?, rotated_at = ?, updated_at = ?, token = ?
                WHERE id = ? AND token <> ?
                """,
                [
                    .timestamp(oldUntil.microseconds), .timestamp(now.microseconds), .timestamp(now.microseconds),
                    .text(new.text), .integer(id.rawValue), .text(new.text),
                ])
            try AccessChanges.record(nil, of: id, connection)
            return .success(.changed)
        case .suspend(let id, _, let deletesAt):
            try connection.execute(
                """
                UPDATE applications SET suspended_at = IFNULL(suspended_at, ?), delete_at = IFNULL(delete_at, ?)
                WHERE id = ?
                """,
                [
                    .timestamp(now.microseconds), deletesAt.map { .timestamp($0.microseconds) } ?? .null,
                    .integer(id.rawValue),
                ])
            try AccessChanges.record(nil, of: id, connection)
            return .success(.changed)
        case .resume(let id, _):
            try connection.execute(
                "UPDATE applications SET suspended_at = NULL, delete_at = NULL WHERE id = ?",
                [.integer(id.rawValue)])
            try AccessChanges.record(nil, of: id, connection)
            return .success(.changed)
        case .audited(let change, let record):
            let result = try apply(change, at: now, connection)
            guard case .success(let effect) = result, effect != .nothing else { return result }
            if case .create(_, _, let publicID, _) = change {
                try AuditTable.write(record, ofNew: publicID, at: now, connection)
            } else if let tenant = change.lane {
                try AuditTable.write(record, of: Tenant.ID(tenant), at: now, connection)
            }
            return result
        }
    }

    /// - Parameter id: of a row that is locked.
    private static func set(
        _ change: RulesChange, of id: Tenant.ID, _ connection: isolated MySQLConnection
    ) throws {
        let before =
            try connection.first(
                "SELECT limits, origins, receipts, presence FROM applications WHERE id = ?", [.integer(id.rawValue)]
            ) { TenantRow.rules($0, at: 0) } ?? nil
        let after = change.applied(to: before)
        try connection.execute(
            "UPDATE applications SET limits = ?, origins = ?, receipts = ?, presence = ? WHERE id = ?",
            [
                after.storedLimits.map { .text($0) } ?? .null, after.storedOrigins.map { .text($0) } ?? .null,
                .integer(after.receipts.rawValue), .integer(after.presence.rawValue), .integer(id.rawValue),
            ])
    }

    /// The outcomes of a batch that was committed without a confirmation.
    private func outcomes(of batch: [TenantChange]) async throws -> [Result<TenantChange.Effect, ChatError>] {
        var outcomes: [Result<TenantChange.Effect, ChatError>] = []
        for change in batch { outcomes.append(try await outcome(of: change)) }
        return outcomes
    }

    private func outcome(of change: TenantChange) async throws -> Result<TenantChange.Effect, ChatError> {
        switch change {
        case .update(let id, _, _, _, _), .rotate(let id, _, _, _), .suspend(let id, _, _), .resume(let id, _):
            let isThere = try await read { connection in
                try connection.first(
                    "SELECT 1 FROM applications WHERE id = ? AND removed_at IS NULL", [.integer(id.rawValue)]
                ) { $0.integer(0) }
            }
            return isThere == nil ? .failure(.notFound) : .success(.changed)
        case .addKey(let new, _):
            // Its application was there, and it was not one too many.
            return try await key(new.id) == nil ? .failure(.outcomeUnknown) : .success(.changed)
        case .revokeKey(let id, let tenant):
            return try await key(id)?.tenant == tenant ? .success(.changed) : .failure(.notFound)
        case .create, .useKeys, .users, .useTokenKeys: return .success(.changed)
        case .member, .chat: return .success(.changedAccess)
        case .audited(let change, _): return try await outcome(of: change)
        }
    }
}
