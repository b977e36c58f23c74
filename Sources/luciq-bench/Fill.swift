import ArgumentParser
import ChatCluster
import ChatCore
import ChatSQLite
import Logging

struct Fill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fill a database through the store's own log, and print the token of an application.")

    @Option(help: "Messages, spread over the chats in turn.") var messages: Int64
    @Option(help: "Chats.") var chats: Int64

    func run() async throws {
        let logger = Logger(label: "luciq-bench") { _ in SwiftLogNoOpLogHandler() }
        let backend =
            switch try LuciqBench.Store.named() {
            case .sqlite(let path): try Backend.sqlite(path: path, logger: logger)
            case .cluster(let configuration): try await Backend.cluster(configuration, logger: logger)
            }
        let token = Tenant.Token.random()
        _ = try await backend.tenantLog.apply([.create(name: "bench", token: token)], at: WallClock.system.now())
        guard let tenant = try await backend.tenants.id(of: token) else { throw ChatError.notFound }
        var ids: [Chat.ID] = []
        for start in stride(from: 0, to: chats, by: 1000) {
            let new = Array(repeating: NewChat(tenant: tenant), count: Int(min(1000, chats - start)))
            for result in try await backend.newChatLog.append(new, at: WallClock.system.now()) {
                let chat = try result.get()
                var id = chat.id
                if id == nil { id = try await backend.chats.id(of: chat.number, in: tenant) }
                guard let id else { throw ChatError.notFound }
                ids.append(id)
            }
        }
        for start in stride(from: 0, to: messages, by: 10_000) {
            let batch = (start..<min(start + 10_000, messages)).map { index in
                NewMessage(tenant: tenant, chat: ids[Int(index % chats)], body: Self.body(index))
            }
            _ = try await backend.chatLog.append(batch, at: WallClock.system.now())
        }
        try backend.close()
        print(token.text)
    }

    /// About 100 bytes; only every 50,000th message has the word that the search looks for.
    static func body(_ index: Int64) -> String {
        let text = "message \(index): the quick brown fox jumps over the lazy dog and then it sleeps until the morning"
        return index % 50_000 == 49_999 ? text + " xylophone" : text
    }
}
