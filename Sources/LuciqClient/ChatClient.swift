import Foundation
import NIOHTTP1

/// A client of one chat. Copies share connections and credentials.
public struct ChatClient: Sendable {
    let address: ChatAddress
    let server: ServerClient

    /// - Parameters:
    ///   - url: the server's, http or https; with a path if a proxy serves it there.
    ///   - application: its id, `app_…`; or its token.
    ///   - chat: the chat's number.
    /// - Throws: a failure for a URL that is not a server's, and for an `SSL_CERT_FILE` that has no certificates.
    public init(
        url: String, application: String, chat: Int64, credentials: ChatCredentials = .none
    ) throws(CallFailure) {
        let server: ServerAddress
        do {
            server = try ServerAddress(url: url)
        } catch {
            throw CallFailure(sentence: error.sentence, outlook: .final)
        }
        try self.init(ChatAddress(server: server, application: application, chat: chat), credentials: credentials)
    }

    package init(_ address: ChatAddress, credentials: ChatCredentials) throws(CallFailure) {
        self.address = address
        server = try ServerClient(address.server, credentials: credentials)
    }

    /// The chat's states, from its newest messages on.
    ///
    /// - Parameters:
    ///   - newest: messages to begin with, 1 to 100.
    ///   - most: messages to keep; the oldest ones go.
    public func states(newest: Int = 50, keeping most: Int = 1000) -> ChatStates {
        ChatStates(updates: updates(from: .newest(newest)), most: most)
    }

    /// What happens in the chat, for a `ChatState` of your own.
    ///
    /// - Parameters:
    ///   - hasChanges: false for new messages alone.
    ///   - silence: how long the server may say nothing before its connection counts as dead. It writes every 15 seconds.
    public func updates(
        from start: ChatStart = .newest(50), hasChanges: Bool = true, silence: Duration = .seconds(40)
    ) -> ChatUpdates {
        ChatUpdates(client: self, start: start, hasChanges: hasChanges, silence: silence)
    }

    /// A page of the history, for `ChatState.merge`.
    ///
    /// - Parameters:
    ///   - before: only messages below this number, such as `ChatState.first`; nil for the newest.
    ///   - limit: 1 to 100.
    public func messages(before: Int64? = nil, limit: Int = 50) async throws(CallFailure) -> ChatPage {
        // The server cuts a page at 1 MiB of bodies, which are up to six times as long in JSON; and metadata.
        let answer = try await server.call(.GET, address.page(before: before, limit: limit), mostBytes: 16 << 20)
        guard answer.status == 200, let rows = try? JSONDecoder().decode([ChatMessage].self, from: Data(answer.body))
        else { throw answer.failure(of: address) }
        guard let cursor = answer.cursor, ChatCursor(cursor)?.revision != nil else {
            throw CallFailure(
                sentence: "The server at \(address.server.base) is too old: its lists have no cursor.",
                outlook: .final)
        }
        return ChatPage(
            messages: rows.reversed(), cursor: cursor, hasOlder: answer.next != nil, before: before, json: answer.body)
    }

    func stream(
        after cursor: String?, hasChanges: Bool, silence: Duration
    ) async throws(CallFailure) -> EventBytes {
        let target = address.stream(after: cursor, hasChanges: hasChanges)
        switch try await server.stream(target, silence: silence) {
        case .stream(let stream): return stream
        case .answer(let answer): throw answer.failure(of: address)
        }
    }
}
