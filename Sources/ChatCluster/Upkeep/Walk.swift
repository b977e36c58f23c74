import MySQLClient

/// Reconciles every chat and every application, by id, and stores its position.
struct Walk: Sendable {
    let chats: JobPosition.Name
    let applications: JobPosition.Name
    /// The stripes of an application with more chats are not recounted.
    var chatsAtMost = Int.max
    let context: JobContext

    /// - Parameter chunks: the most chunks for this call.
    /// - Returns: whether it has reached the end.
    func run(_ stint: Stint, chunks: Int = .max) async throws -> Bool {
        let reconciler = Reconciler(context: context)
        var left = chunks
        let isThrough = try await walk(chats, table: "chats", chunk: 256, &left, stint) { ids in
            try await reconciler.reconcile(chats: ids, stint)
        }
        guard isThrough else { return false }
        return try await walk(applications, table: "applications", chunk: 64, &left, stint) { ids in
            try await reconciler.reconcile(ids.map { .init(id: $0, dense: 0, chatsAtMost: chatsAtMost) }, stint)
        }
    }

    /// Starts a finished walk again.
    func restart() async throws {
        for name in [chats, applications] {
            let position = JobPosition(name, context)
            try await position.move(from: position.read(), to: 0)
        }
    }

    private func walk(
        _ name: JobPosition.Name, table: String, chunk: Int, _ left: inout Int, _ stint: Stint,
        each: ([Int64]) async throws -> Void
    ) async throws -> Bool {
        let progress = JobPosition(name, context)
        // Two concurrent walks share the work: each continues from the stored position.
        while case var last = try await progress.read(), last < JobPosition.end {
            guard left > 0, try await stint.goesOn() else { return false }
            left -= 1
            let start = last
            let ids = try await context.read { connection in
                try connection.rows(
                    "SELECT id FROM \(table) WHERE id > ? ORDER BY id LIMIT \(chunk)", [.integer(start)]
                ) { $0.integer(0) }
            }
            if !ids.isEmpty { try await each(ids) }
            last = ids.last ?? JobPosition.end
            try await progress.move(from: start, to: last)
        }
        return true
    }
}
