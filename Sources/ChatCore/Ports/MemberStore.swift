/// Reads the members of chats. `TenantLog` changes them.
package protocol MemberStore: Sendable {
    /// The chat with a number, and what a user is there.
    ///
    /// - Returns: nil if there is no such chat, or it is not there for the user. Both take the same look-ups.
    func place(
        of user: User.ID, in chat: Chat.Number, of tenant: Tenant.ID
    ) async throws -> MemberPlace?
    /// A member, or one that was removed.
    func member(_ user: User.ID, in chat: Chat.ID) async throws -> Member?
    /// Some members, as `member`, without those who have no row. One query.
    ///
    /// - Parameter users: at most 64.
    func members(_ users: [User.ID], of chat: Chat.ID) async throws -> [User.ID: Member]
    /// The members that were not removed, in the order of their ids' bytes. Costs O(limit).
    ///
    /// - Returns: at most `limit`, and whether there are more.
    func members(
        of chat: Chat.ID, after user: User.ID?, limit: Int
    ) async throws -> (members: [Member], hasMore: Bool)
    /// The chats that are there for a user, by number. Costs O(page), and passes over those where the user is banned.
    func chats(seenBy user: User.ID, in tenant: Tenant.ID, page: Page) async throws -> PageOf<SeenChat>
    /// Those of a few chats that are there for a user, by number. One query, and what it takes to count.
    ///
    /// - Parameter numbers: at most 64.
    func chats(
        seenBy user: User.ID, among numbers: [Chat.Number], in tenant: Tenant.ID
    ) async throws -> [SeenChat]
    /// The chats whose member a user is, by number. Their `messagesCount` is 0. Costs O(page).
    func chats(of user: User.ID, in tenant: Tenant.ID, page: Page) async throws -> PageOf<MemberChat>
    /// How many messages with these numbers there are. Costs as much as `MessageStore.count`.
    func messageCount(of chat: Chat.ID, in numbers: NumberSpan) async throws -> Int64
}
