import ChatCore
import Foundation

/// The address of a chat: a server, an application and a number.
struct ChatAddress {
    let server: ServerAddress
    let application: Tenant.Name
    let chat: Int64

    init(url: String, token: String, chat: String) throws(ServerAddress.Invalid) {
        server = try ServerAddress(url: url)
        guard let application = Tenant.Name(token[...]) else {
            throw ServerAddress.Invalid(
                sentence: "TOKEN must be the 32 hex digits, in lower case, that the application was given, or its id.")
        }
        guard let chat = Chat.Number(digits: chat[...]) else {
            throw ServerAddress.Invalid(sentence: "CHAT must be a chat's number, from 1.")
        }
        self.application = application
        self.chat = chat.rawValue
    }

    private var path: String { "\(server.path)/applications/\(application.text)/chats/\(chat)" }

    var messages: String { "\(path)/messages" }

    /// - Parameters:
    ///   - cursor: the last one; nil to begin with the next message.
    ///   - hasChanges: whether edits and deletions are wanted, too.
    func stream(after cursor: String?, hasChanges: Bool = false) -> String {
        // Opaque: sent back unchanged.
        let value = cursor?.addingPercentEncoding(withAllowedCharacters: .alphanumerics)
        let query = [value.map { "after=\($0)" }, hasChanges ? "changes=1" : nil].compactMap(\.self)
        return "\(path)/stream" + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
    }
}
