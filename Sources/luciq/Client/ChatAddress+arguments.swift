import ChatCore
import LuciqClient

extension ChatAddress {
    /// Reads the arguments of a command.
    init(url: String, token: String, chat: String) throws(ServerAddress.Invalid) {
        let server = try ServerAddress(url: url)
        guard let application = Tenant.Name(token[...]) else {
            throw ServerAddress.Invalid(
                sentence: "TOKEN must be the 32 hex digits, in lower case, that the application was given, or its id.")
        }
        guard let chat = Chat.Number(digits: chat[...]) else {
            throw ServerAddress.Invalid(sentence: "CHAT must be a chat's number, from 1.")
        }
        self.init(server: server, application: application.text, chat: chat.rawValue)
    }
}
