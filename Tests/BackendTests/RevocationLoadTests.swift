import Foundation
import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// Users are blocked and revoked while everybody writes and reads, in one process.
@Suite(.timeLimit(.minutes(3))) struct RevocationLoadTests {
    private static let last = "the last one"

    private final class Tally: Sendable {
        /// Stored messages by user.
        let counts = Mutex<[String: Int]>([:])
        /// Whether the block and the revocation are answered.
        let isOver = Atomic(false)
    }

    /// From the moment that it is answered, what the user sends is refused, and what is stored reaches no stream of the
    /// user. All others miss nothing, and get nothing twice.
    @Test(arguments: BackendKind.allCases)
    func streamsEndWithTheirUser(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            _ = try await scene.admin.send("PATCH", "/chats/1", json: #"{"access":"open"}"#)
            let users = ["blocked", "revoked", "kept"]
            var readers: [(user: String, task: Task<[String], any Error>)] = []
            for user in users {
                let caller = scene.caller(user)
                for isSocket in [false, true] {
                    let client =
                        isSocket ? try await caller.socket() : try await caller.stream("/chats/1/stream?after=0")
                    if isSocket { await client.send(#"{"type":"subscribe","chat":1,"after":"0"}"#) }
                    // Its message of before, or the answer: it is open.
                    #expect(try await client.next() != nil)
                    nonisolated(unsafe) let reader = client
                    readers.append((user, Task { try await reader.all(until: Self.last) }))
                }
            }
            let tally = Tally()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for user in users {
                    for writer in 0..<2 {
                        group.addTask { [caller = scene.caller(user)] in
                            for number in 0..<2000 {
                                let wasOver = tally.isOver.load(ordering: .acquiring)
                                let answer = try await caller.say("\(user) \(writer) \(number)")
                                guard answer.status == 201 else {
                                    #expect(user != "kept", "\(answer.text)")
                                    #expect(["user_blocked", "token_revoked"].contains(answer.code), "\(answer.text)")
                                    return
                                }
                                #expect(user == "kept" || !wasOver, "\(user) sends on")
                                tally.counts.withLock { $0[user, default: 0] += 1 }
                                if user == "kept", wasOver, number > 30 { return }
                            }
                            Issue.record("\(user) was not stopped")
                        }
                    }
                }
                try await eventually("all have written") { tally.counts.withLock { $0.values.count { $0 > 10 } == 3 } }
                async let block = scene.admin.send("POST", "/users/blocked/block")
                async let revoke = scene.admin.send("POST", "/users/revoked/revoke")
                #expect(try await [block.status, revoke.status] == [200, 200])
                tally.isOver.store(true, ordering: .releasing)
                try await group.waitForAll()
            }
            // By the key of the server.
            let after = try await scene.admin.say("after it")
            #expect(after.status == 201)
            #expect(try await scene.admin.say(Self.last).status == 201)
            // Numbers of refused messages may be void.
            var (stored, next): ([Int], String?) = ([], scene.admin.path + "/chats/1/messages?limit=1000")
            while let path = next {
                let page = try await scene.admin.client.get(path, headers: scene.admin.headers)
                stored += page.list.compactMap { $0["number"] as? Int }
                next = page.link("next")
            }
            #expect(stored.count > 60)
            let last = try #require(after.json["message_number"] as? Int)
            for (user, task) in readers {
                let texts = try await task.value
                let numbers = texts.compactMap { $0.firstMatch(of: /"number":(\d+),/).flatMap { Int($0.1) } }
                // The first one may have been the sign that the stream is open.
                let rest = stored.drop { $0 < numbers.first ?? 1 }
                #expect(stored.count - rest.count <= 1 && rest.starts(with: numbers), "\(user)")
                guard user != "kept" else {
                    #expect(numbers.last == stored.last)
                    continue
                }
                #expect(numbers.allSatisfy { $0 < last }, "\(user)")
                let reasons =
                    user == "blocked"
                    ? ["not_allowed", "This user is blocked"] : ["token_revoked", "The token was revoked"]
                #expect(reasons.contains { texts.last?.contains($0) == true }, "\(user): \(texts.last ?? "")")
            }
        }
    }
}
