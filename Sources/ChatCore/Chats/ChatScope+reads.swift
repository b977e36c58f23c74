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
                lowersFrom: lowersFrom, client: tenant.access.client)
        ).number
        return try await readState(of: reader, at: stored)
    }

    /// How far the members have read, as others see it, by their ids.
    ///
    /// - Throws: `ChatError.notAllowed`; `.insufficientRole` for a user who was removed; `.receiptsOff`,
    ///   `.tooManyReaders`.
    package func memberReads() async throws -> [ReadReceipt] {
        if let standing, standing.role == nil { throw ChatError.insufficientRole }
        return try await read { scope in
            let users = try await tenant.service.backend.usersShowingReads(in: scope.id)
            let numbers = try await reads.receipts(of: users, in: scope.id)
            return users.map { ReadReceipt(user: $0, number: numbers[$0] ?? 0) }
        }
    }

    /// The same for a reader that begins to listen: nothing where the chat shows none, which may change while it listens.
    ///
    /// - Throws: `ChatError.notFound`, `.insufficientRole`; the store's errors.
    func greetingReads() async throws -> [Signal] {
        do {
            return [.reads(try await memberReads())]
        } catch ChatError.receiptsOff, ChatError.tooManyReaders {
            return []
        }
    }
}
