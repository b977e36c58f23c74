import TestSupport
import Testing

extension Load {
    /// Expects that every server has all answered messages, each once and at its number, and nothing else; that the
    /// counts agree; and that a retry still gets the first answer.
    func expectPromisesKept() async throws {
        #expect(problems.isEmpty)
        #expect(messages.count == total)
        var stored: [String: [Int: String]] = [:]
        for outcome in messages {
            let earlier = stored[outcome.owner, default: [:]].updateValue(body(outcome.key), forKey: outcome.number)
            if let earlier {
                Issue.record("\(outcome.owner)/messages/\(outcome.number): answered to \(earlier) and \(outcome.key)")
            }
        }
        let chatNumbers = chats.compactMap { Int($0.split(separator: "/").last ?? "") } + madeChats.map(\.number)
        #expect(Set(chatNumbers).count == chatNumbers.count, "a chat's number was given twice")

        for (index, node) in cluster.nodes.enumerated() where node.process.isRunning {
            var caller = Caller([node], patience: 10)
            for chat in chats {
                let wanted = stored[chat] ?? [:]
                let found = try await list(chat + "/messages", &caller) { $0["body"] as? String }
                expectSame(found, wanted, "\(chat) on server \(index)")
                let count = await caller.send("GET", chat + "/message_count", to: 0)
                #expect(count?.json["messages_count"] as? Int == wanted.count, "\(chat) on server \(index)")
                for number in wanted.keys.filter({ $0 % 16 == index }) {
                    let answer = await caller.send("GET", "\(chat)/messages/\(number)", to: 0)
                    #expect(answer?.json["body"] as? String == wanted[number])
                }
            }
            let listed = try await list(application + "/chats", &caller) { $0["created_at"] as? String }
            #expect(Set(listed.keys) == Set(chatNumbers), "on server \(index)")
            let count = await caller.send("GET", application + "/message_count", to: 0)
            #expect(count?.json["messages_count"] as? Int == total, "on server \(index)")
            for outcome in messages.filter({ $0.node % cluster.nodes.count != index }).prefix(100) {
                let again = await caller.send(
                    "POST", outcome.owner + "/messages", to: 0, key: outcome.key,
                    body: "{\"body\":\"\(body(outcome.key))\"}")
                #expect(again?.json["message_number"] as? Int == outcome.number)
                #expect(again?["Idempotent-Replayed"] == "true")
            }
        }
    }

    /// Expects every number from 1 on, as it must be when no server was lost.
    func expectDense() {
        for (chat, outcomes) in Dictionary(grouping: messages, by: \.owner) {
            #expect(outcomes.map(\.number).sorted() == Array(1...outcomes.count), "\(chat)")
        }
        let made = madeChats.map(\.number).sorted()
        #expect(made == Array(chats.count + 1..<chats.count + 1 + made.count))
    }

    /// Walks a list from page to page.
    private func list(
        _ path: String, _ caller: inout Caller, _ read: ([String: Any]) -> String?
    ) async throws -> [Int: String] {
        var found: [Int: String] = [:]
        var next: String? = path + "?limit=1000"
        while let page = next {
            let answer = try #require(await caller.send("GET", page, to: 0))
            #expect(answer.status == 200)
            for item in answer.list { found[try #require(item["number"] as? Int)] = read(item) }
            next = answer.link("next")
        }
        return found
    }

    private func expectSame(_ found: [Int: String], _ wanted: [Int: String], _ place: String) {
        for (number, body) in wanted where found[number] != body {
            Issue.record("\(place): \(number) holds \(found[number] ?? "nothing"), answered to \(body)")
        }
        for (number, body) in found where wanted[number] == nil {
            Issue.record("\(place): \(number) holds \(body), which was not answered")
        }
    }
}
