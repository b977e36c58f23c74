import ChatCore
import Foundation

/// The address of a chat: a server, an application and a number.
struct ChatAddress {
    /// The arguments are not an address.
    struct Invalid: Error, Equatable {
        let sentence: String
    }

    /// The server's URL, without a slash at its end: `https://chat.example.com`, `http://127.0.0.1:3000/prefix`.
    let base: String
    let isSecure: Bool
    /// A name or an address, without brackets.
    let host: String
    let port: Int
    /// The value of the Host header.
    let authority: String
    /// The server's path on that host: empty, or without a slash at its end.
    private let path: String
    let token: Tenant.Token
    let chat: Int64

    /// - Parameter url: http or https; with a path if a proxy serves it there.
    init(url: String, token: String, chat: String) throws(Invalid) {
        guard let parts = URLComponents(string: url), let scheme = parts.scheme?.lowercased(),
            ["http", "https"].contains(scheme), let host = parts.host, !host.isEmpty
        else {
            throw Invalid(
                sentence: "The server's URL must look like http://127.0.0.1:3000 or https://chat.example.com.")
        }
        guard parts.query == nil, parts.fragment == nil, parts.user == nil, parts.password == nil else {
            throw Invalid(sentence: "The server's URL must have no user, no query and no fragment.")
        }
        if let port = parts.port, !(1...65_535).contains(port) {
            throw Invalid(sentence: "The server's URL must have a port from 1 to 65535.")
        }
        guard let token = Tenant.Token(token) else {
            throw Invalid(sentence: "TOKEN must be the 32 hex digits, in lower case, that the application was given.")
        }
        guard let chat = Chat.Number(digits: chat[...]) else {
            throw Invalid(sentence: "CHAT must be a chat's number, from 1.")
        }
        base = String(url.reversed().drop { $0 == "/" }.reversed())
        isSecure = scheme == "https"
        self.host = host.trimmingCharacters(in: ["[", "]"])
        port = parts.port ?? (isSecure ? 443 : 80)
        authority = parts.port.map { "\(host):\($0)" } ?? host
        path = String(parts.percentEncodedPath.reversed().drop { $0 == "/" }.reversed())
        self.token = token
        self.chat = chat.rawValue
    }

    var messages: String { "\(path)/applications/\(token.text)/chats/\(chat)/messages" }

    /// - Parameter cursor: the last one; nil to begin with the next message.
    func stream(after cursor: String?) -> String {
        // Opaque: sent back unchanged.
        let value = cursor?.addingPercentEncoding(withAllowedCharacters: .alphanumerics)
        let query = value.map { "?after=\($0)" } ?? ""
        return "\(path)/applications/\(token.text)/chats/\(chat)/stream\(query)"
    }
}
