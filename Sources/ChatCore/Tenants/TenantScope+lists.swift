/// Lists of chats. Of a token that is good for some chats only, they show these.
extension TenantScope {
    /// Of a token's chats, those that one query looks for.
    private static let chatsAtOnce = 64

    private var members: any MemberStore { service.backend.members }

    /// The chats whose member a user is.
    ///
    /// - Parameter named: nil for the user itself.
    /// - Throws: `ChatError.notAllowed`, also for a user who asks for another's.
    package func ownChats(of named: User.ID? = nil, _ page: Page) async throws -> PageOf<MemberChat> {
        let user = try owner(named)
        return try await read { scope in
            guard let numbers = access.userToken?.chats else {
                return try await members.chats(of: user, in: scope.id, page: page)
            }
            return try await Self.page(page, of: numbers) { some in
                try await members.chats(seenBy: user, among: some, in: scope.id).compactMap { MemberChat($0) }
            }
        }
    }

    /// The chats that are there for the principal.
    package func chats(_ page: Page) async throws -> PageOf<Chat> {
        try await read { scope in
            guard let user = access.user else {
                return try await service.backend.chats.chats(in: scope.id, page: page)
            }
            let found: PageOf<SeenChat>
            if let numbers = access.userToken?.chats {
                found = try await Self.page(page, of: numbers) {
                    try await members.chats(seenBy: user, among: $0, in: scope.id)
                }
            } else {
                found = try await members.chats(seenBy: user, in: scope.id, page: page)
            }
            return PageOf(found.items.map(\.chat), as: found)
        }
    }

    /// The ids of those of some chats that are there for the user.
    ///
    /// - Parameter numbers: ascending.
    func ids(of numbers: [Chat.Number]) async throws -> Set<Chat.ID> {
        guard let user = access.user else { return [] }
        var ids: Set<Chat.ID> = []
        var unknown: [Chat.Number] = []
        for number in numbers {
            if let id = service.chatIDs[ChatAddress(tenant: id, number: number)] {
                ids.insert(id)
            } else {
                unknown.append(number)
            }
        }
        for some in unknown.chunks(of: Self.chatsAtOnce) {
            for seen in try await members.chats(seenBy: user, among: Array(some), in: id) {
                let address = ChatAddress(tenant: id, number: seen.chat.number)
                service.chatIDs.insert(seen.id, for: address, at: .init(epoch: epoch))
                ids.insert(seen.id)
            }
        }
        return ids
    }

    /// A page of those of some chats that are found. Costs a query for 64 that it looks for.
    ///
    /// - Parameters:
    ///   - numbers: ascending.
    ///   - find: finds those of a few, by number.
    private static func page<Item: Sendable>(
        _ page: Page, of numbers: [Chat.Number], _ find: ([Chat.Number]) async throws -> [Item]
    ) async throws -> PageOf<Item> {
        let wanted = numbers.filter { $0.rawValue > page.lowerBound && $0.rawValue < page.upperBound }
        var walked: [Item] = []
        for some in (page.walksUp ? wanted : wanted.reversed()).chunks(of: chatsAtOnce)
        where walked.count <= page.limit {
            let found = try await find(some.sorted())
            walked += page.walksUp ? found : found.reversed()
        }
        var isPreceded = false
        if let start = page.walksUp ? page.after : page.before {
            let passed = numbers.filter { page.walksUp ? $0.rawValue <= start : $0.rawValue >= start }
            for some in (page.walksUp ? passed.reversed() : passed).chunks(of: chatsAtOnce) where !isPreceded {
                isPreceded = try await !find(some.sorted()).isEmpty
            }
        }
        return PageOf(walked: walked, page: page, isPrecededBy: isPreceded)
    }
}

extension MemberChat {
    /// - Returns: nil if the user is no member.
    fileprivate init?(_ seen: SeenChat) {
        guard let member = seen.member, member.isActive else { return nil }
        var chat = seen.chat
        chat.messagesCount = 0
        self.init(chat: chat, role: member.role, joinedAt: member.joinedAt)
    }
}
