/// A user whose reading a request is about.
package struct ChatReader: Sendable {
    package let user: User.ID
    /// The messages that are there for it.
    let numbers: NumberSpan
}

extension ChatScope {
    /// The most members of a chat that shows how far they have read.
    package static let mostReceipts = 100

    private var reads: any ReadStates { tenant.service.backend.reads }

    /// The reader that a request is about: a user itself, or the one that a key or the path's token names.
    ///
    /// - Throws: `ChatError.insufficientRole` for a user who names another; `.invalid` without a name; `.notFound` if the
    ///   chat is not there for the one that is named.
    package func reader(named name: User.ID?) async throws -> ChatReader {
        let user = try actor(name)
        if let standing { return ChatReader(user: user, numbers: standing.numbers) }
        let place = try await tenant.service.memberships.find(
            Memberships.Key(tenant: tenant.id, chat: number, user: user))
        return ChatReader(user: user, numbers: place.standing.numbers)
    }

    /// How far a user has read, and what it has not.
    ///
    /// - Throws: `ChatError.notAllowed`.
    package func readState(of reader: ChatReader) async throws -> ReadState {
        try await read { scope in
            // The number first: one that rises meanwhile leaves a count that is too high, and not one that is too low.
            let number = try await reads.readNumbers(of: reader.user, in: [scope.id])[scope.id] ?? 0
            return try await scope.readState(of: reader, at: number)
        }
    }

    private func readState(of reader: ChatReader, at number: Int64) async throws -> ReadState {
        let head = try await reads.chatHeads(of: [id])[id] ?? .empty
        let tail = try await tenant.service.tails.tail(
            of: id, at: head, after: max(number, reader.numbers.first - 1))
        return ReadState(
            number: number, unread: tail.unread(of: reader.user, after: number, in: reader.numbers),
            asOf: Cursor(
                min(tail.high, reader.numbers.last), revision: tail.revision,
                epoch: tenant.service.backend.cursorEpoch))
    }

    /// Says how far a user has read; durable when this returns. The stored number only rises, and never beyond the chat's
    /// highest message.
    ///
    /// - Parameter lowersFrom: it may fall, if it is still this one.
    /// - Throws: `ChatError.notAllowed`, `.readElsewhere`; what `GroupCommit.submit` throws.
    package func mark(_ reader: ChatReader, upTo number: Int64, loweringFrom lowersFrom: Int64? = nil) async throws
        -> ReadState
    {
        try tenant.access.require(.write)
        if let lowersFrom, number > lowersFrom { throw ChatError.invalid(["Number must not be above if"]) }
        let highest = try await reads.chatHeads(of: [id])[id]?.number ?? 0
        let stored = try await tenant.service.readWriter.submit(
            ReadMark(
                chat: place, user: reader.user, number: min(number, highest, reader.numbers.last),
                lowersFrom: lowersFrom, client: tenant.access.client))
        return try await readState(of: reader, at: stored)
    }

    /// How far the members have read, by their ids; 0 for who never said.
    ///
    /// - Throws: `ChatError.notAllowed`; `.insufficientRole` for a user who was removed; `.receiptsOff`,
    ///   `.tooManyReaders`.
    package func memberReads() async throws -> [(user: User.ID, number: Int64)] {
        if let standing, standing.role == nil { throw ChatError.insufficientRole }
        return try await read { scope in
            let backend = tenant.service.backend
            guard let chat = try await scope.storedDetails() else { throw ChatError.notFound }
            guard chat.settings.receipts == .members else { throw ChatError.receiptsOff }
            let (members, hasMore) = try await backend.members.members(
                of: scope.id, after: nil, limit: Self.mostReceipts)
            guard !hasMore else { throw ChatError.tooManyReaders }
            let users = members.filter { $0.role != .banned }.map(\.user)
            let numbers = try await backend.reads.readNumbers(of: users, in: scope.id)
            return users.map { ($0, numbers[$0] ?? 0) }
        }
    }
}
