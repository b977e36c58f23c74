import ChatJobs
import Logging

/// Recounts what changed since the last time, whoever changed it and whether it was marked or not: counts, numbers that
/// were lost on their way, and Redis' counters and copies.
struct Reconcile: Job {
    static let name = "Reconcile"
    static var options: JobOptions { .recurring }

    /// Rows a round: after each the positions move on.
    private static let round = 500_000
    /// Chats of an application that are counted each time it has changed.
    private static let small = 1000
    /// Chats of an application that are counted when somebody else has stored in it.
    private static let medium = 100_000

    let context: JobContext
    var time = Duration.seconds(240)

    func perform(_ arguments: NoArguments) async throws {
        let stint = Stint(time, in: context)
        let (chats, messages) = (JobPosition(.chats, context), JobPosition(.messages, context))
        for (position, table) in [(chats, NumberedTable.chats), (messages, .messages)] {
            try await check(position, table)
        }
        // What an adopted database holds may be wrong anywhere. The positions come first: nothing falls between.
        guard try await Walk(chats: .firstChats, applications: .firstApplications, context: context).run(stint) else {
            return context.logger.notice("The first walk goes on at the next run")
        }
        while try await stint.goesOn() {
            if try await reconcileRound(chats, messages, stint) { return }
        }
        context.logger.notice("The reconciler is behind; it goes on at the next run")
    }

    /// A position beyond the table's end is of other tables than these: everything is looked at anew.
    private func check(_ position: JobPosition, _ table: NumberedTable) async throws {
        let row = try await position.read(orStartAt: { try await RowChanges.start(of: table, context) })
        guard row.position > 0, try await row.position > RowChanges.end(of: table, context) else { return }
        for name in [position.name, .firstChats, .firstApplications] { try await JobPosition(name, context).forget() }
        _ = try await position.read(orStartAt: { try await RowChanges.start(of: table, context) })
    }

    /// - Returns: whether there is nothing left that may be done now.
    private func reconcileRound(_ chats: JobPosition, _ messages: JobPosition, _ stint: Stint) async throws -> Bool {
        let chatStart = try await chats.read()?.position ?? 0
        let messageStart = try await messages.read()?.position ?? 0
        let newChats = try await RowChanges.scan(.chats, after: chatStart, limit: Self.round, stint, context)
        let newMessages = try await RowChanges.scan(.messages, after: messageStart, limit: Self.round, stint, context)

        var applications = newChats.owners.mapValues(\.isForeign)
        for ids in newMessages.owners.keys.sorted().chunks(of: 256) {
            guard try await stint.goesOn() else { return false }
            for chat in try await Reconciler(context: context).reconcile(chats: Array(ids), stint) {
                let isForeign = newMessages.owners[chat.id]?.isForeign == true
                applications[chat.application] = isForeign || applications[chat.application] == true
            }
        }
        for some in applications.sorted(by: { $0.key < $1.key }).chunks(of: 64) {
            guard try await stint.goesOn() else { return false }
            var changed: [Reconciler.Application] = []
            for (id, isForeign) in some {
                let lowest = newChats.owners[id]?.lowestNumber
                var dense: Int64?
                if let lowest { dense = try await Reconciler(context: context).number(before: lowest, in: id) }
                changed.append(.init(id: id, dense: dense, chatsAtMost: isForeign ? Self.medium : Self.small))
            }
            try await Reconciler(context: context).reconcile(changed, stint)
        }
        // Another run that has moved them has done the same.
        try await chats.move(from: chatStart, to: newChats.settled)
        try await messages.move(from: messageStart, to: newMessages.settled)
        return newChats.isDone && newMessages.isDone
    }
}
