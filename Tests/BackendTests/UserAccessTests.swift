import ChatHTTP
import Cryptography
import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// User tokens against what is stored: who their bearers are, what they may do, and how that ends.
@Suite(.timeLimit(.minutes(4))) struct UserAccessTests {
    @Test(arguments: BackendKind.allCases)
    func aTokenIsItsUser(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let (own, other) = (try await SignedUsers(server), try await SignedUsers(server))
            let token = own.token("u1")
            let access = try await own.access(token)
            #expect(access.principal == .user(own.application.scope.id, User.ID("u1")!))
            // The news of its own key may come late, and make the process look things up again.
            try await eventually("it is known") {
                _ = try await own.access(token)
                return try own.knownAccess(token)?.principal == access.principal
            }
            #expect(try await own.application.scope.user(User.ID("u1")!).name == nil)

            // Whatever else the path calls the application; another application looks like none.
            let (id, path) = (own.application.new.publicID.text, own.application.new.token.text)
            for (pathToken, name, principal) in [
                (.identifier, path, access.principal), (.credential, path, access.principal),
                (.credential, id, access.principal), (.off, id, access.principal),
            ] as [(Tenant.PathToken, String, Principal)] {
                _ = try await own.application.scope.update(pathToken: pathToken)
                #expect(try await own.access(token, at: name).principal == principal)
            }
            await #expect(throws: ChatError.notFound) { try await own.access(token, at: path) }
            for name in [other.application.new.publicID.text, Tenant.PublicID.random().text] {
                await #expect(throws: ChatError.notFound) { try await own.access(token, at: name) }
            }
            let theirs = other.application
            await #expect(throws: ChatError.notFound) { try await own.access(token, at: theirs.new.token.text) }
            _ = try await theirs.scope.update(pathToken: .credential)
            await #expect(throws: ChatError.ambiguousCredentials) {
                try await own.access(token, at: theirs.new.token.text)
            }
        }
    }

    /// Reads and writes what is open to all, and nothing of the application itself.
    @Test(arguments: BackendKind.allCases)
    func aUserReadsAndWrites(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let users = try await SignedUsers(server)
            let scope = try await users.access(users.token("u1")).tenant
            _ = try await scope.chat("1").send(MessageContent(body: "by a user"))
            #expect(try await scope.chat("1").messages(Page()).items.map(\.body) == ["x", "by a user"])
            #expect(try await scope.createChat().number == Chat.Number(2))
            #expect(try await scope.chats(Page()).items.map(\.number.rawValue) == [1, 2])
            let victim = users.application.victim.text[...]
            await #expect(throws: ChatError.notAllowed) { try await scope.details() }
            await #expect(throws: ChatError.notAllowed) { try await scope.messageCount() }
            await #expect(throws: ChatError.notAllowed) { try await scope.update(name: "b") }
            await #expect(throws: ChatError.notAllowed) { try await scope.createKey(name: "k", scopes: .read) }
            await #expect(throws: ChatError.notAllowed) { try await scope.revokeKey(victim) }
            await #expect(throws: ChatError.notAllowed) { try await scope.createTokenKey() }
            await #expect(throws: ChatError.notAllowed) { try await scope.tokenKeys() }
            await #expect(throws: ChatError.notAllowed) { try await scope.user(User.ID("u2")!) }
            await #expect(throws: ChatError.notAllowed) { try await scope.block(User.ID("u2")!) }
            await #expect(throws: ChatError.notAllowed) { try await scope.revokeTokens(of: User.ID("u1")!) }
            await #expect(throws: ChatError.notAllowed) { try await scope.revokeAllTokens() }
            #expect(try await scope.user(User.ID("u1")!).id == User.ID("u1"))
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aTokenForSomeChatsShowsNoOthers(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let users = try await SignedUsers(server)
            let all = users.application.scope
            for number in 2...6 {
                _ = try await all.createChat()
                _ = try await all.chat("\(number)").send(MessageContent(body: "x\(number)"))
            }
            let scope = try await users.access(users.token("u1", chats: [2, 3, 5, 77])).tenant
            for number in ["1", "4", "6", "77", "78"] {
                await #expect(throws: ChatError.notFound) { try await scope.chat(number[...]) }
                #expect(scope.knownChat(number[...]) == nil)
            }
            for number in ["2", "3", "5"] { _ = try await scope.chat(number[...]) }
            await #expect(throws: ChatError.notAllowed) { try await scope.createChat() }
            for (page, numbers, next, previous) in [
                (Page(), [2, 3, 5], false, false), (Page(limit: 2), [2, 3], true, false),
                (Page(after: 3), [5], false, true), (Page(after: 1), [2, 3, 5], false, false),
                (Page(limit: 1, before: 5), [3], true, true), (Page(order: .desc), [5, 3, 2], false, false),
                (Page(limit: 2, before: 6, order: .desc), [5, 3], true, false), (Page(after: 77), [], false, true),
            ] as [(Page, [Int64], Bool, Bool)] {
                let found = try await scope.chats(page)
                #expect(found.items.map(\.number.rawValue) == numbers, "\(page)")
                #expect(found.hasNext == next && found.hasPrevious == previous, "\(page)")
                let whole = try await all.chats(page)
                #expect(whole.items.count >= found.items.count)
            }
            let found = try await scope.search(
                SearchQuery(SearchText("x")), TenantSearchPage(limit: 2), from: .unspecified
            ).found
            #expect(Set(found.hits.map(\.chatNumber.rawValue)) == [5, 3] && found.hasMore)
            // More than one query looks for.
            let many = try await users.access(users.token("u1", chats: Array(2...3) + Array(5...300))).tenant
            for (page, numbers, next, previous) in [
                (Page(), [2, 3, 5, 6], false, false), (Page(limit: 2, after: 2), [3, 5], true, true),
                (Page(limit: 3, order: .desc), [6, 5, 3], true, false), (Page(limit: 1, before: 200), [6], false, true),
                (Page(after: 250), [], false, true),
            ] as [(Page, [Int64], Bool, Bool)] {
                let found = try await many.chats(page)
                #expect(found.items.map(\.number.rawValue) == numbers, "\(page)")
                #expect(found.hasNext == next && found.hasPrevious == previous, "\(page)")
            }
            for number in [1, 2, 5] { _ = try await all.chat("\(number)").setMember(User.ID("u1")!, role: .reader) }
            for (scope, numbers) in [(scope, [2, 5]), (many, [2, 5])] as [(TenantScope, [Int64])] {
                let found = try await scope.ownChats(Page())
                #expect(found.items.map(\.chat.number.rawValue) == numbers)
                #expect(found.items.allSatisfy { $0.role == .reader && $0.chat.messagesCount == 0 })
                #expect(try await scope.ownChats(Page(after: 2)).items.map(\.chat.number.rawValue) == [5])
            }
            let none = try await users.access(users.token("u1", chats: [])).tenant
            #expect(try await none.chats(Page()).items.isEmpty)
            #expect(
                try await none.search(
                    SearchQuery(SearchText("x")), TenantSearchPage(), from: .unspecified
                ).found.hits.isEmpty)
        }
    }

    /// Names that databases like to take for one.
    @Test(arguments: BackendKind.allCases)
    func usersAreToldApartByTheirBytes(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let users = try await SignedUsers(server)
            let names = [
                "u", "U", "u ", " u", "é", "e\u{301}", "É", "ß", "ss", "a/b", "a%2Fb", "100%", "ﬀ", "𝕦",
                String(repeating: "é", count: 64),
            ]
            for name in names { _ = try await users.access(users.token(name)) }
            _ = try await users.application.scope.block(User.ID("u")!)
            _ = try await users.application.scope.block(User.ID("é")!)
            for name in names {
                let isBlocked = ["u", "é"].contains { name.utf8.elementsEqual($0.utf8) }
                let stored = try await users.application.scope.user(User.ID(name)!)
                #expect((stored.blockedAt != nil) == isBlocked, "\(name)")
                if isBlocked {
                    await #expect(throws: ChatError.userBlocked) { try await users.access(users.token(name)) }
                } else {
                    _ = try await users.access(users.token(name))
                }
            }
        }
    }

    /// A stranger makes no rows, and learns nothing of users.
    @Test(arguments: BackendKind.allCases)
    func aForgedTokenMakesNoUser(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let users = try await SignedUsers(server)
            _ = try await users.application.scope.block(User.ID("blocked")!)
            for name in ["u1", "blocked"] {
                let forged = users.token(name, secret: .random())
                await #expect(throws: ChatError.unauthorized(.userToken(.invalid(.signature)))) {
                    try await users.access(forged)
                }
            }
            await #expect(throws: ChatError.notFound) { try await users.application.scope.user(User.ID("u1")!) }
            // The same as for a key that is not there: it does not tell whether there is the application.
            let nowhere = users.token("u1", audience: Tenant.PublicID.random().text)
            await #expect(throws: ChatError.unauthorized(.userToken(.invalid(.key)))) {
                try await users.access(nowhere)
            }
        }
    }

    /// How a user is shut out, by name; each also ends what the user has open, and stops what it is about to store.
    static let ends: [String] = ["block", "revoke", "revoke all", "revoke key", "retire key"]

    private static func end(_ how: String, _ users: SignedUsers) async throws {
        let (scope, user) = (users.application.scope, User.ID("u1")!)
        switch how {
        case "block": _ = try await scope.block(user)
        case "revoke": _ = try await scope.revokeTokens(of: user)
        case "revoke all": _ = try await scope.revokeAllTokens()
        case "revoke key": _ = try await scope.endTokenKey(users.key.id, .revoked)
        default: _ = try await scope.endTokenKey(users.key.id, .retiring(until: WallClock.system.now()))
        }
    }

    @Test(arguments: BackendKind.allCases, ends)
    func itEndsAtOnce(_ kind: BackendKind, _ how: String) async throws {
        try await AccessServer.run(kind) { server in
            let (users, others) = (try await SignedUsers(server), try await SignedUsers(server))
            let access = try await users.access(users.token("u1"))
            let stream = try await access.tenant.chat("1").subscribe(after: Cursor(1))
            let kept = try await others.access(others.token("u1")).tenant.chat("1").subscribe(after: Cursor(1))
            let idle = try await access.open()
            let ended = Mutex(false)
            idle.whenRevoked { ended.withLock { $0 = true } }

            try await Self.end(how, users)
            // No waiting: it holds once it is answered.
            let refusal = how == "block" ? ChatError.userBlocked : .unauthorized(.userToken(.revoked))
            await #expect(throws: refusal) { try await users.access(users.token("u1")) }
            #expect(ended.withLock(\.self) == true)
            await #expect(throws: how == "block" ? StreamEnd.blocked : .revoked) { try await stream.next() }
            if !how.hasSuffix("key") {
                // Requests that were let in before.
                let chat = try await users.application.scope.chat("1")
                let late = ChatScope(id: chat.id, number: chat.number, tenant: access.tenant)
                await #expect(throws: refusal) { try await late.send(MessageContent(body: "late")) }
                await #expect(throws: refusal) { try await access.tenant.createChat() }
                #expect(try await chat.messages(Page()).items.map(\.body) == ["x"])
                // In the cluster the number of the refused one is void.
                let next = try await users.application.scope.createChat().number.rawValue
                #expect(next == (kind == .sqlite ? 2 : 3))
                #expect(try await chat.send(MessageContent(body: "y")).isReplay == false)
                #expect(try await chat.messages(Page()).items.map(\.body) == ["x", "y"])
            }
            _ = try await others.application.scope.chat("1").send(MessageContent(body: "y"))
            #expect(try await kept.next().messages.map(\.body) == ["y"])
            kept.cancel()
            withExtendedLifetime(idle) {}
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aUserComesBack(_ kind: BackendKind) async throws {
        let now = Mutex(WallClock.system.now())
        try await AccessServer.run(kind, clock: WallClock(now: { now.withLock(\.self) })) { server in
            let users = try await SignedUsers(server)
            func token() -> String { users.token("u1", at: now.withLock(\.self)) }
            let user = User.ID("u1")!
            let old = token()
            _ = try await users.access(old)
            #expect(try await users.application.scope.block(user).blockedAt != nil)
            await #expect(throws: ChatError.userBlocked) { try await users.access(old) }
            #expect(try await users.application.scope.unblock(user).blockedAt == nil)
            _ = try await users.access(old)
            await #expect(throws: ChatError.notFound) { try await users.application.scope.unblock(User.ID("u9")!) }

            let first = try #require(try await users.application.scope.revokeTokens(of: user).validAfter)
            #expect(first.microseconds % 1_000_000 == 0)
            await #expect(throws: ChatError.unauthorized(.userToken(.revoked))) { try await users.access(old) }
            now.withLock { $0 = $0.adding(.seconds(7)) }
            _ = try await users.access(token())
            await #expect(throws: ChatError.unauthorized(.userToken(.revoked))) { try await users.access(old) }
            // A clock that was set back takes nothing back.
            now.withLock { $0 = $0.adding(.seconds(-100)) }
            #expect(try await users.application.scope.revokeTokens(of: user).validAfter == first)
            let all = try await users.application.scope.revokeAllTokens()
            now.withLock { $0 = $0.adding(.seconds(-100)) }
            #expect(try await users.application.scope.revokeAllTokens() == all)
        }
    }

    /// Creates that are under way while the user is shut out: none is stored once that is answered.
    @Test(arguments: BackendKind.allCases, ["block", "revoke", "revoke all"])
    func noCreateCommitsAfterTheAnswer(_ kind: BackendKind, _ how: String) async throws {
        try await AccessServer.run(kind) { server in
            let users = try await SignedUsers(server)
            let chat = try await users.access(users.token("u1")).tenant.chat("1")
            let creates = Creates(chat)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for _ in 0..<8 { tasks.addTask { await creates.run() } }
                try await eventually("creates run") { creates.stored.withLock { $0 > 50 } }
                try await Self.end(how, users)
                creates.isAnswered.withLock { $0 = true }
                let owner = try await users.application.scope.chat("1")
                let count = try await owner.messageCount()
                try await tasks.waitForAll()
                #expect(try await owner.messageCount() == count)
            }
            #expect(creates.late.withLock(\.self) == 0)
        }
    }

    /// Creates one after the other, by a request that was let in before, until one is refused.
    private final class Creates: Sendable {
        let isAnswered = Mutex(false)
        let stored = Mutex(0)
        let late = Mutex(0)
        private let chat: ChatScope

        init(_ chat: ChatScope) { self.chat = chat }

        func run() async {
            while true {
                let wasAnswered = isAnswered.withLock(\.self)
                do {
                    _ = try await chat.send(MessageContent(body: "m"))
                    stored.withLock { $0 += 1 }
                    if wasAnswered { late.withLock { $0 += 1 } }
                } catch {
                    #expect((error as? ChatError)?.mayRetry == false, "\(error)")
                    return
                }
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func keysAreBounded(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let scope = try await server.makeApplication().scope
            for _ in 0..<StoredTokenKey.most { _ = try await scope.createTokenKey() }
            await #expect(throws: ChatError.tooManyTokenKeys) { try await scope.createTokenKey() }
            for _ in 0..<2 * StoredTokenKey.mostKept {
                let oldest = try #require(try await scope.tokenKeys().first { $0.revokedAt == nil })
                let revoked = try await scope.endTokenKey(oldest.key.id, .revoked)
                #expect(revoked.key.state == .revoked && revoked.revokedAt != nil)
                // It stays so.
                #expect(try await scope.endTokenKey(oldest.key.id, .retiring(until: TestBackend.time)) == revoked)
                _ = try await scope.createTokenKey()
            }
            #expect(try await scope.tokenKeys().count == StoredTokenKey.mostKept)
            #expect(try await scope.tokenKeys().count { $0.revokedAt == nil } == StoredTokenKey.most)
            await #expect(throws: ChatError.notFound) { try await scope.endTokenKey(.random(), .revoked) }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func theLastUseIsStored(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let users = try await SignedUsers(server)
            let unused = try await users.application.scope.createTokenKey()
            _ = try await users.access(users.token("u1"))
            try await eventually("it is stored") {
                try await users.application.scope.tokenKey(users.key.id).lastUsedAt != nil
            }
            #expect(try await users.application.scope.tokenKey(unused.key.id).lastUsedAt == nil)
        }
    }
}

/// An application that signs its users' tokens.
struct SignedUsers: Sendable {
    let application: AccessServer.Application
    let key: UserTokenKey
    let secret: SecretKey
    private let service: ChatService

    init(_ server: AccessServer, _ application: AccessServer.Application? = nil) async throws {
        if let application {
            self.application = application
        } else {
            self.application = try await server.makeApplication()
        }
        let application = self.application
        key = try await application.scope.createTokenKey().key
        guard case .secret(let secret) = key.material else { throw ChatError.notFound }
        self.secret = secret
        self.service = server.service
    }

    func token(
        _ user: String, at time: Timestamp = WallClock.system.now(), chats: [Int64]? = nil,
        audience: String? = nil, secret: SecretKey? = nil
    ) -> String {
        UserToken.sign(
            for: User.ID(user)!, audience: audience ?? application.new.publicID.text, issuedAt: time,
            expiresAt: time.adding(.seconds(3600)), chats: chats?.map { Chat.Number($0) }, keyID: key.id,
            secret: secret ?? self.secret)
    }

    private func credentials(_ token: String, _ name: String?) -> Credentials {
        Credentials(
            application: (name ?? application.new.publicID.text)[...], authorization: .userToken(token))
    }

    func access(_ token: String, at name: String? = nil) async throws -> Access {
        try await service.access(credentials(token, name))
    }

    func knownAccess(_ token: String) throws -> Access? { try service.knownAccess(credentials(token, nil)) }
}
