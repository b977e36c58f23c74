import ChatCore
import ChatSearch
import Foundation
import TestSupport
import Testing

/// Edits and deletions, in searches through the engine on both backends.
struct EngineEditTests {
    @Test(arguments: BackendKind.allCases)
    func anEditIsFoundAtOnceAndFed(_ kind: BackendKind) async throws {
        try await EngineStage.run(kind) { stage in
            let id = try await stage.makeChat()
            try await stage.send((1...50).map { "hay \($0)" }, to: id)
            let chat = try await stage.scope.chat("1")
            try await stage.feed()
            for (number, body) in [(7, "needle"), (9, "needle too")] {
                _ = try await chat.submit(chat.editing("\(number)", MessagePatch(body: body)))
            }
            // The feed is stopped: the rows say it.
            func expect(_ query: String, _ numbers: [Int64]) async throws {
                let found = try await stage.search(query)
                #expect(!found.fellBack, "\(query)")
                #expect(Set(found.hits.map(\.message.number.rawValue)) == Set(numbers), "\(query)")
            }
            try await expect("needle", [7, 9])
            try await expect("hay 7", [])
            try await stage.feedChanges(of: id)
            try await expect("needle", [7, 9])
            try await expect("hay 9", [])
            #expect(try await stage.candidates("needle") == [7, 9])
            #expect(try await chat.submit(chat.deleting("9")).isChanged)
            try await expect("needle", [7])
            try await stage.feedChanges(of: id)
            try await expect("needle", [7])
            // The text is gone from the engine.
            #expect(try await stage.candidates("too") == [])
        }
    }

    /// Changes that a pass does not see, because it has read the rows before, are in the next one.
    @Test(arguments: BackendKind.allCases)
    func nothingIsLostWhileTheFeedRuns(_ kind: BackendKind) async throws {
        try await EngineStage.run(kind) { stage in
            let id = try await stage.makeChat()
            let chat = try await stage.scope.chat("1")
            try await stage.send((1...20).map { "hay \($0)" }, to: id)
            try await stage.whileFed {
                for step in 1...60 {
                    _ = try await chat.submit(chat.editing("\(1 + step % 20)", MessagePatch(body: "needle \(step)")))
                }
                for number in 1...5 { _ = try await chat.submit(chat.deleting("\(number)")) }
            }
            try await stage.feed()
            try await stage.feedChanges(of: id)
            let found = try await stage.search("needle")
            #expect(!found.fellBack && found.hits.count == 15)
            #expect(try await stage.candidates("needle") == Set(6...20))
            for hit in found.hits {
                #expect(try await stage.candidates(hit.message.body).contains(hit.message.number.rawValue))
            }
        }
    }
}

extension EngineStage {
    /// Feeds until the engine has all changes of a chat.
    func feedChanges(of chat: Chat.ID) async throws {
        try await whileFed {
            try await eventually("the engine has the changes") {
                let live = try await backend.generations.generations().first { $0.state == .live }
                guard let reader = live?.id.changeReader else { return false }
                let cursor = try await backend.readers.cursors(of: reader, in: [chat])[chat] ?? 0
                return try await backend.changes.revisions(of: [chat])[chat] ?? 0 == cursor
            }
        }
    }

    /// The messages whose text the engine itself says has this one.
    func candidates(_ text: String) async throws -> Set<Int64> {
        guard let live = try await backend.generations.generations().first(where: { $0.state == .live }),
            let needle = SearchQuery(try SearchText(text)).needle
        else { throw ChatError.notFound }
        let request = EngineCandidates.Request(
            tenant: tenant, needle: needle, after: nil, before: nil, place: nil, limit: 500)
        return Set(try await engine.candidates(request, in: live.id).places.map(\.number.rawValue))
    }
}
