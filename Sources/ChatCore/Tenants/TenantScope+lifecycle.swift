/// Changes of the tenant as a whole: another token, suspension, deletion; and the audit of all changes.
extension TenantScope {
    /// How long the old token may work after a rotation, in seconds.
    package static let overlaps: ClosedRange<Int64> = 0...30 * 86_400

    /// Submits a change, and its row in the audit in the same transaction.
    ///
    /// - Parameter target: what is changed, such as the id of a key; nil for the tenant itself. No secret, and nothing
    ///   that users wrote.
    @discardableResult
    func submit(
        _ change: TenantChange, _ action: AuditAction, target: String? = nil
    ) async throws -> TenantChange.Effect {
        try await service.tenantWriter.submit(.audited(change, access.audit(action, target: target)))
    }

    /// Replaces the token: the one of now works for a while beside the new one. One that was replaced before ends at once.
    ///
    /// - Parameter overlap: in seconds, of `overlaps`; 0 ends it now, and what is open by it.
    /// - Returns: the new token, and until when the old one works; nil if it does not.
    /// - Throws: `ChatError.notAllowed`; `.invalid` for another overlap; what `GroupCommit.submit` throws.
    package func rotate(overlap: Int64) async throws -> (token: Tenant.Token, oldUntil: Timestamp?) {
        try access.require(.admin)
        guard Self.overlaps.contains(overlap) else {
            throw ChatError.invalid(["Overlap_s must be a number from 0 to \(Self.overlaps.upperBound)"])
        }
        let new = Tenant.Token.random()
        let until = service.clock.now().adding(.seconds(overlap))
        try await submit(
            .rotate(id, token: token, to: new, oldUntil: until), .rotateToken, target: "overlap_s=\(overlap)")
        await changed()
        return (new, overlap == 0 ? nil : until)
    }

    /// Refuses everyone but the server's own keys from now on, and ends what is open.
    ///
    /// - Throws: `ChatError.notAllowed`; what `GroupCommit.submit` throws.
    package func suspend() async throws -> Tenant {
        try access.require(.server)
        try await submit(.suspend(id, token: token), .suspendApplication)
        end()
        return try await found()
    }

    /// Suspends the tenant, and has it deleted after `ChatService.deletionDelay`. Until then `resume` takes it back.
    ///
    /// - Throws: likewise.
    package func delete() async throws -> Tenant {
        try access.require(.server)
        var tenant = try await found()
        let now = service.clock.now()
        if tenant.suspendedAt == nil { tenant.suspendedAt = now }
        if tenant.deletesAt == nil { tenant.deletesAt = now.adding(service.deletionDelay) }
        try await submit(.suspend(id, token: token, deletesAt: tenant.deletesAt), .deleteApplication)
        end()
        // Without a delay it may be gone by now.
        return try await service.backend.tenants.tenant(id) ?? tenant
    }

    /// Ends a suspension, and takes a deletion back that has not begun.
    ///
    /// - Throws: likewise; `.notFound` from the beginning of the deletion on.
    package func resume() async throws -> Tenant {
        try access.require(.server)
        try await submit(.resume(id, token: token), .resumeApplication)
        await changed()
        return try await found()
    }

    /// The audit, by the ids of its rows.
    ///
    /// - Throws: `ChatError.notAllowed`.
    package func audit(_ page: Page) async throws -> PageOf<AuditEntry> {
        try access.require(.admin)
        return try await service.backend.audits.audit(of: found().publicID, page: page)
    }

    private func found() async throws -> Tenant {
        guard let tenant = try await service.backend.tenants.tenant(id) else { throw ChatError.notFound }
        return tenant
    }

    private func end() {
        // First here, without asking the store, which may fail by now.
        service.authenticator.end(id)
        service.backend.bus.change(id)
    }

    /// Whoever is refused from now on ends, in this process before this returns.
    func changed() async {
        await service.authenticator.review(id)
        service.backend.bus.change(id)
    }
}

extension Access {
    func audit(_ action: AuditAction, target: String? = nil) -> AuditRecord {
        AuditRecord(action, by: principal, target: target, source: source)
    }
}

extension AdminScope {
    /// The audit of an application that was deleted.
    ///
    /// - Throws: `ChatError.notFound` if there are no rows of it.
    package func audit(ofDeleted id: Tenant.PublicID, _ page: Page) async throws -> PageOf<AuditEntry> {
        let entries = try await service.backend.audits.audit(of: id, page: page)
        guard !entries.items.isEmpty || entries.hasPrevious || entries.hasNext else { throw ChatError.notFound }
        return entries
    }
}
