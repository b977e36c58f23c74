import Metrics

/// The engine's index, for a command (`luciq search`).
package struct EngineUpkeep: Sendable {
    /// The pause after another process has written the marker.
    private static let contention = Duration.milliseconds(200)
    private static let chatsAtOnce = 256

    private let engine: any SearchEngine
    private let source: EngineSource
    private let limits: EngineFeedLimits
    private let time: Timekeeper

    package init(
        _ engine: any SearchEngine, _ source: EngineSource, limits: EngineFeedLimits = EngineFeedLimits(),
        time: Timekeeper = .continuous
    ) {
        self.engine = engine
        self.source = source
        self.limits = limits
        self.time = time
    }

    /// One generation, as the store and the engine know it.
    package struct Status: Encodable, Sendable {
        package let generation: String
        package let state: String
        /// Documents in the index, without the marker; nil if the engine does not say.
        package var documents: Int64?
        /// Messages that it does not have.
        package let behind: Int64
        /// Why searches do not believe it; nil if they do.
        package var problem: String?
    }

    package func status() async throws -> [Status] {
        var all: [Status] = []
        for generation in try await source.generations.generations() {
            var status = Status(
                generation: generation.id.text, state: generation.state.rawValue,
                behind: try await source.generations.unfedCount(of: generation.id))
            do throws(SearchEngineFailure) {
                status.problem = try await problem(with: generation)
                // The marker is a document, too.
                if status.problem == nil { status.documents = try await engine.count(of: generation.id) - 1 }
            } catch {
                status.problem = error.sentence
            }
            all.append(status)
        }
        return all
    }

    /// - Returns: nil if searches believe the index.
    private func problem(with generation: SearchGeneration) async throws(SearchEngineFailure) -> String? {
        guard generation.foldVersion == SearchFold.version else {
            return "Another version of luciq has folded its text."
        }
        guard let marker = try await engine.marker(of: generation.id) else {
            return "The index is gone, or was not made by luciq."
        }
        guard marker.number >= generation.marker, marker.number > 0 else {
            return "The index is older than what was stored in it: it was restored, or replaced."
        }
        return nil
    }

    /// Builds a new index while the one there is answers searches, and puts it in its place. If it is stopped, the next
    /// run goes on.
    ///
    /// - Parameter progress: called now and then with messages passed, and messages stored.
    package func reindex(progress: (_ passed: Int64, _ messages: Int64) -> Void) async throws {
        try await removeRetired()
        let building = try await begin()
        let feeder = EngineFeeder(
            engine, source, limits: limits, time: time, clock: .system,
            metrics: EngineFeedMetrics(NOOPMetricsHandler.instance))
        let behind = try await source.generations.unfedCount(of: building.id)
        var passed: Int64 = 0
        while true {
            guard let generation = try await source.generations.generations().first(where: { $0.id == building.id })
            else { throw StoreProblem("Another process has given this index up. Try again.") }
            // A worker may have completed it.
            if generation.state == .live { break }
            do {
                let isWhole = try await feeder.pass(generation) {
                    passed += $0
                    progress(min(passed, behind), behind)
                }
                if isWhole, try await source.generations.promote(building.id) { break }
                // At a gap that may still be filled.
                if !isWhole { try await time.sleep(time.now() + limits.pause) }
            } catch EngineFeeder.Stop.contended {
                try await time.sleep(time.now() + Self.contention)
            } catch EngineFeeder.Stop.gone {
                continue
            } catch EngineFeeder.Stop.lost(let reason) {
                _ = try await source.generations.retire(building.id)
                throw StoreProblem("The new index was lost: \(reason). Try again.")
            } catch EngineFeeder.Stop.refused(let reason) {
                _ = try await source.generations.retire(building.id)
                throw StoreProblem("The search engine refused a document: \(reason).")
            }
        }
        progress(behind, behind)
        try await engine.publish(building.id)
        try await removeRetired()
    }

    private func begin() async throws -> SearchGeneration {
        while true {
            let building = try await source.generations.generations().first { $0.state == .building }
            if let building, building.foldVersion == SearchFold.version { return building }
            if let building {
                _ = try await source.generations.retire(building.id)
                try await removeRetired()
            }
            let generation = SearchGeneration(
                id: .random(), state: .building, foldVersion: SearchFold.version, marker: 0)
            if try await source.generations.begin(generation) { return generation }
        }
    }

    private func removeRetired() async throws {
        for generation in try await source.generations.generations() where generation.state == .retired {
            try await engine.drop(generation.id)
            try await source.generations.remove(generation.id)
        }
    }

    /// What was compared, and one sentence for each chat of which the engine lacks messages.
    package struct Findings: Encodable, Sendable {
        package var chats: Int64 = 0
        /// Messages that the live index must have.
        package var messages: Int64 = 0
        /// Documents without a message: searches drop them.
        package var strays: Int64 = 0
        package var problems: [String] = []

        fileprivate mutating func add(_ problem: String) {
            if problems.count < StoreReport.listedProblems { problems.append(problem) }
        }
    }

    /// Compares the numbers in the live index with the rows below the cursors.
    ///
    /// - Parameter progress: called now and then with messages compared.
    package func verify(progress: (_ compared: Int64) -> Void) async throws -> Findings {
        var (findings, last) = (Findings(), Chat.ID?.none)
        guard let live = try await source.generations.generations().first(where: { $0.state == .live }) else {
            findings.add("There is no live index")
            return findings
        }
        if let problem = try await problem(with: live) {
            findings.add(problem)
            return findings
        }
        while true {
            let chats = try await source.index.chats(below: last, limit: Self.chatsAtOnce)
            guard let lowest = chats.last else { return findings }
            last = lowest
            let cursors = try await source.readers.cursors(of: live.id.reader, in: chats)
            let tenants = try await source.generations.tenants(of: chats)
            for chat in chats {
                guard let tenant = tenants[chat] else { continue }
                try Task.checkCancellation()
                findings.chats += 1
                try await verify(chat, in: tenant, upTo: cursors[chat, default: 0], live.id, &findings)
                progress(findings.messages)
            }
        }
    }

    private func verify(
        _ chat: Chat.ID, in tenant: Tenant.ID, upTo cursor: Int64, _ generation: SearchGeneration.ID,
        _ findings: inout Findings
    ) async throws {
        let page = StreamLimits.Size(messages: 1000, bytes: 4 << 20)
        var (place, missing, first) = (Int64(0), 0, Int64(0))
        while true {
            let entries = place < cursor ? try await source.messages.entries(in: chat, after: place, limit: page) : []
            let end = entries.isEmpty ? Int64.max : min(cursor, entries[entries.count - 1].last.rawValue)
            let rows = entries.filter { $0.message != nil && $0.number.rawValue <= cursor }.map(\.number.rawValue)
            var stored: Set<Int64> = []
            var after = place
            while after < end {
                let numbers = try await engine.numbers(
                    of: chat, in: tenant, after: after, limit: page.messages, generation)
                stored.formUnion(numbers.filter { $0 <= end })
                guard numbers.count == page.messages, let number = numbers.last else { break }
                after = number
            }
            for row in rows where !stored.contains(row) {
                if missing == 0 { first = row }
                missing += 1
            }
            findings.messages += Int64(rows.count)
            // Above the cursor, documents may have been sent that do not count yet.
            findings.strays += Int64(stored.subtracting(rows).count { $0 <= cursor })
            if entries.isEmpty { break }
            place = end
        }
        if missing > 0 {
            findings.add("Chat id \(chat.rawValue): the engine lacks \(missing) messages, message \(first) first")
        }
    }
}
