/// One tenant, with the permissions of the request's principal.
package struct TenantScope: Sendable {
    package let access: Access

    package var id: Tenant.ID { access.tenantID }
    package var token: Tenant.Token { access.token }
    /// What the request's path calls the tenant, and answers call it too: the token is a secret to who does not use it.
    package var name: Tenant.Name { access.name }
    var epoch: UInt64 { access.epoch }
    var service: ChatService { access.service }

    /// Reads by ids. If another server has come into use since the look-up, the ids may belong to another tenant there.
    /// Then the result is dropped, the principal is looked up again, and the read is repeated.
    func read<Result>(_ body: (TenantScope) async throws -> Result) async throws -> Result {
        try access.require(.read)
        return try await lookUp(body)
    }

    /// The same for what the principal needs for any other permission.
    func lookUp<Result>(_ body: (TenantScope) async throws -> Result) async throws -> Result {
        var scope = self
        while true {
            let result: Swift.Result<Result, any Error>
            do { result = .success(try await body(scope)) } catch { result = .failure(error) }
            if service.backend.epoch() == scope.epoch { return try result.get() }
            scope = try await access.renewed().tenant
        }
    }

    /// - Throws: `ChatError.notFound` if it is gone.
    package func details() async throws -> Tenant {
        try access.requireApplication()
        return try await read { scope in
            guard let tenant = try await service.backend.tenants.tenant(scope.id) else { throw ChatError.notFound }
            return tenant
        }
    }

    /// Changes the name, what the token is worth and what holds for requests, as far as they are not nil.
    ///
    /// - Returns: the name from now on, and the rules if they are changed.
    /// - Throws: `ChatError.notAllowed`; `.invalid` for a bad name or bad limits; what `GroupCommit.submit` throws.
    @discardableResult
    package func update(
        name: String? = nil, pathToken: Tenant.PathToken? = nil, rules: RulesChange? = nil
    ) async throws -> (name: String, rules: TenantRules?) {
        try access.require(.admin)
        if let name { try Text.checkName(name) }
        if let limits = rules?.limits { try await check(limits) }
        let members = [
            name.map { _ in "name" }, pathToken.map { "path_token=\($0.name)" }, rules?.limits.map { _ in "limits" },
            rules?.origins.map { _ in "origins" }, rules?.receipts.map { "receipts=\($0.name)" },
            rules?.presence.map { "presence=\($0.name)" },
        ]
        try await submit(
            .update(id, token: token, name: name, pathToken: pathToken, rules: rules), .updateApplication,
            target: members.compactMap(\.self).joined(separator: ","))
        switch pathToken {
        case .identifier, .off:
            service.revoke(.pathToken(token))
            await changed()
        // Other processes notice within seconds, and no stream ends.
        case .credential: await service.authenticator.review(id)
        case nil: if rules != nil { await changed() }
        }
        if let name, rules == nil { return (name, nil) }
        guard let tenant = try await service.backend.tenants.tenant(id) else { throw ChatError.notFound }
        return (tenant.name, rules == nil ? nil : tenant.rules ?? TenantRules())
    }

    /// Where the server has keys of its own, only these loosen the limits of an application as a whole: it would be no
    /// limit for who may lift it.
    ///
    /// - Throws: `ChatError.invalid`, `.notAllowed`.
    private func check(_ change: LimitsChange) async throws {
        guard change.errors.isEmpty else { throw ChatError.invalid(change.errors) }
        if case .admin = access.principal { return }
        guard service.policy.hasAdmins else { return }
        let stored = try await service.backend.tenants.identity(of: name)
        let defaults = service.limiter.defaults.limits.application
        if change.loosens(stored?.rules?.limits ?? TenantLimits(), defaults: defaults) { throw ChatError.notAllowed }
    }

    /// Makes a key; durable when this returns.
    ///
    /// - Returns: the key, which nobody can see again, and what is stored of it.
    /// - Throws: `ChatError.notAllowed`; `.invalid` for a bad name, no scope, a time that is past, or too many keys; what
    ///   `GroupCommit.submit` throws.
    package func createKey(
        name: String, scopes: Abilities, expiresAt: Timestamp? = nil
    ) async throws -> (shown: AccessKey, stored: ApplicationKey) {
        try access.require(.admin)
        try Text.checkName(name)
        let now = service.clock.now()
        var errors: [String] = []
        if scopes.isEmpty { errors.append("Scopes can't be blank") }
        if let expiresAt, expiresAt <= now { errors.append("Expires_at must be in the future") }
        guard errors.isEmpty else { throw ChatError.invalid(errors) }
        let shown = AccessKey.random(.application)
        let stored = ApplicationKey(
            id: shown.id, tenant: id, name: name, digest: shown.digest, scopes: scopes, createdAt: now,
            expiresAt: expiresAt)
        try await submit(.addKey(stored, token: token), .createKey, target: shown.id.text)
        return (shown, stored)
    }

    /// The tenant's keys, the oldest first.
    ///
    /// - Throws: `ChatError.notAllowed`.
    package func keys() async throws -> [ApplicationKey] {
        try access.require(.admin)
        return try await lookUp { try await service.backend.keys.keys(of: $0.id) }
    }

    /// - Throws: `ChatError.notAllowed`; `.notFound` when this tenant has no such key.
    package func key(_ text: Substring) async throws -> ApplicationKey {
        try access.require(.admin)
        guard let id = AccessKey.ID(text) else { throw ChatError.notFound }
        return try await lookUp { scope in
            guard let key = try await service.backend.keys.key(id), key.tenant == scope.id else {
                throw ChatError.notFound
            }
            return key
        }
    }

    /// Revokes a key: when this returns, it is revoked in the store and in this process. The others learn of it over the
    /// bus or, without it, within seconds.
    ///
    /// - Returns: the key as it is now; the same if it was revoked before.
    /// - Throws: the errors of `key(_:)`; what `GroupCommit.submit` throws.
    package func revokeKey(_ text: Substring) async throws -> ApplicationKey {
        let key = try await key(text)
        guard key.revokedAt == nil else { return key }
        try await submit(.revokeKey(key.id, of: id), .revokeKey, target: key.id.text)
        service.revoke(.applicationKey(key.id))
        return try await self.key(text)
    }

    /// Exact as soon as a create is answered.
    package func messageCount() async throws -> Int64 {
        try access.requireApplication()
        return try await read { scope in
            guard let count = try await service.backend.tenants.messageCount(of: scope.id) else {
                throw ChatError.notFound
            }
            return count
        }
    }

    /// Creates the next chat; durable when this returns. A user becomes its owner, and it is for members unless the user
    /// says otherwise.
    ///
    /// - Throws: `ChatError.notAllowed`; `.invalid` for a bad name or metadata; what `GroupCommit.submit` throws.
    package func createChat(
        _ settings: Chat.Patch = Chat.Patch(), key: IdempotencyKey? = nil
    ) async throws -> AppendedChat {
        try access.require(.write)
        // A token for some chats only makes no other.
        if access.userToken?.chats != nil { throw ChatError.notAllowed }
        try settings.check()
        let defaults = Chat.Settings(
            access: access.user == nil ? .open : .members, receipts: access.rules?.receipts ?? .off)
        let chat = try await service.newChatWriter.submit(
            NewChat(
                tenant: id, settings: defaults.applying(settings), key: key,
                origin: Origin(token: token, epoch: epoch), client: access.client, author: access.author))
        if let chatID = chat.id {
            service.chatIDs.insert(
                chatID, for: ChatAddress(tenant: id, number: chat.number), at: .init(epoch: epoch))
        }
        return chat
    }

    /// What the fingerprint of an idempotency key covers in the application: a key is its user's own.
    package func fingerprinted(_ content: [UInt8]) -> [UInt8] {
        content + (access.user.map { [0] + Array($0.text.utf8) } ?? [])
    }

    /// Searches all chats. Waits for the tenant's turn; ends soon after the task is cancelled.
    ///
    /// - Parameter cursor: the place of the last hit of the page before.
    /// - Returns: the hits, and the highlights of each.
    /// - Throws: what `ScanGate.pass` throws; `ChatError.searchTimedOut`.
    package func search(
        _ query: SearchQuery, _ page: TenantSearchPage, after cursor: SearchCursor? = nil, from client: IPAddress
    ) async throws -> (found: TenantHits, highlights: [[Range<Int>]]) {
        try await read { scope in
            var (page, query) = (page, query)
            if let cursor {
                page.before = try await scope.place(of: cursor.createdAt, cursor.chat, cursor.number)
                page.progress = try await scope.progress(of: cursor)
            }
            if let numbers = access.userToken?.chats {
                query.chats = try await scope.ids(of: numbers)
            }
            // An engine does not stop on the way, and knows neither tokens nor members.
            query.viewer = access.user
            if query.viewer == nil, page.progress == nil,
                let found = try await service.engine?.search(query, in: scope.id, page: page, from: client)
            {
                return found
            }
            return try await service.scans.pass(scope.id, from: client) { [page, query] in
                var found = try await service.backend.messages.search(query, in: scope.id, page: page)
                found.fellBack = service.engine != nil && query.viewer == nil
                return (found, try SearchHighlights(query.text).ranges(ofHits: found.hits.map(\.message)))
            }
        }
    }

    /// A place here. If its chat is not here, the place after every message of a later time, so that no hit is missed.
    private func place(
        of time: Timestamp, _ chat: Chat.Number, _ number: Message.Number
    ) async throws -> SearchPlace {
        var id = Chat.ID(.max)
        do { id = try await self.chat(chat).id } catch ChatError.notFound {}
        return SearchPlace(createdAt: time, chat: id, number: number)
    }

    private func progress(of cursor: SearchCursor) async throws -> TenantSearchProgress? {
        guard let progress = cursor.progress else { return nil }
        var hits: [SearchPlace] = []
        for hit in progress.hits { hits.append(try await place(of: hit.createdAt, hit.chat, hit.number)) }
        return TenantSearchProgress(
            chat: progress.chat, number: progress.number, hits: hits, isFull: progress.isFull)
    }

    /// The chat with that number.
    ///
    /// - Throws: `ChatError.notFound` when this tenant has none, or `number` is not a number.
    package func chat(_ number: Substring) async throws -> ChatScope {
        guard let number = Chat.Number(digits: number) else { throw ChatError.notFound }
        return try await lookUp { try await $0.chat(number) }
    }

    /// The chat with that number; nil if its id is not cached.
    package func knownChat(_ number: Substring) -> ChatScope? {
        guard let number = Chat.Number(digits: number), access.includes(number) else { return nil }
        if let user = access.user {
            guard let place = service.memberships.known(Memberships.Key(tenant: id, chat: number, user: user)),
                service.backend.epoch() == epoch
            else { return nil }
            return ChatScope(id: place.chat, number: number, tenant: self, standing: place.standing)
        }
        guard let id = service.chatIDs[ChatAddress(tenant: id, number: number)], service.backend.epoch() == epoch else {
            return nil
        }
        return ChatScope(id: id, number: number, tenant: self)
    }

    /// Reads on this thread, without waiting.
    ///
    /// - Returns: nil if the caller must use `read`: the store cannot read at once, or another server has come into use
    ///   since the look-up of the ids.
    func readNow<Result>(_ body: (any LocalReads) throws -> Result?) throws -> Result? {
        guard let local = service.backend.local else { return nil }
        try access.require(.read)
        let result = Swift.Result { try body(local) }
        guard service.backend.epoch() == epoch else { return nil }
        return try result.get()
    }

    /// The chat with that number, without checking the epoch: for `read`.
    func chat(_ number: Chat.Number) async throws -> ChatScope {
        guard access.includes(number) else { throw ChatError.notFound }
        if let user = access.user {
            let place = try await service.memberships.find(Memberships.Key(tenant: id, chat: number, user: user))
            return ChatScope(id: place.chat, number: number, tenant: self, standing: place.standing)
        }
        guard let id = try await idOfChat(number) else { throw ChatError.notFound }
        return ChatScope(id: id, number: number, tenant: self)
    }

    private func idOfChat(_ number: Chat.Number) async throws -> Chat.ID? {
        let address = ChatAddress(tenant: id, number: number)
        if let id = service.chatIDs[address] { return id }
        guard let id = try await service.backend.chats.id(of: number, in: id) else { return nil }
        service.chatIDs.insert(id, for: address, at: .init(epoch: epoch))
        return id
    }
}
