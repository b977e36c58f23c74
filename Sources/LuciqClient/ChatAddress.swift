import Foundation

/// The address of a chat: a server, an application and a number.
package struct ChatAddress: Sendable {
    package let server: ServerAddress
    /// Its id or its token.
    package let application: String
    package let chat: Int64

    package init(server: ServerAddress, application: String, chat: Int64) {
        self.server = server
        self.application = application
        self.chat = chat
    }

    /// For people. A token gives access, so most of it is left out.
    package var description: String {
        let name = application.hasPrefix("app_") ? application : application.prefix(6) + "…"
        return "chat \(chat) of application \(name)"
    }

    private var path: String { "\(server.path)/applications/\(application.inPath)/chats/\(chat)" }

    package var messages: String { "\(path)/messages" }

    /// - Parameter before: only messages below this number; nil for the newest.
    func page(before: Int64?, limit: Int) -> String {
        "\(messages)?order=desc&limit=\(limit)" + (before.map { "&before=\($0)" } ?? "")
    }

    func message(_ number: Int64) -> String { "\(messages)/\(number)" }

    /// - Parameter user: who reacts; nil for the user of the credentials.
    func reaction(_ name: String, to number: Int64, of user: String?) -> String {
        "\(message(number))/reactions/\(name.inPath)" + (user.map { "?user=\($0.inPath)" } ?? "")
    }

    /// - Parameters:
    ///   - cursor: the last one; nil to begin with the next message.
    ///   - hasChanges: whether edits and deletions are wanted, too.
    package func stream(after cursor: String?, hasChanges: Bool = false) -> String {
        // Opaque: sent back unchanged.
        let value = cursor?.addingPercentEncoding(withAllowedCharacters: .alphanumerics)
        let query = [value.map { "after=\($0)" }, hasChanges ? "changes=1" : nil].compactMap(\.self)
        return "\(path)/stream" + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
    }
}

extension String {
    /// With all but the characters that need no escape anywhere in a URL (RFC 3986, 2.3) escaped.
    fileprivate var inPath: String {
        addingPercentEncoding(withAllowedCharacters: .alphanumerics.union(["-", ".", "_", "~"])) ?? ""
    }
}
