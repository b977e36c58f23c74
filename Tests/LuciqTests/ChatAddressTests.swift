import Foundation
import Testing

@testable import LuciqClient
@testable import luciq

/// The address that a client calls, and how it handles an unexpected answer.
@Suite struct ChatAddressTests {
    static let token = "0123456789abcdef0123456789abcdef"

    @Test(arguments: [
        ("http://127.0.0.1:3000", "127.0.0.1", 3000, "127.0.0.1:3000", ""),
        ("http://127.0.0.1:3000/", "127.0.0.1", 3000, "127.0.0.1:3000", ""),
        ("http://chat.example.com", "chat.example.com", 80, "chat.example.com", ""),
        ("https://chat.example.com", "chat.example.com", 443, "chat.example.com", ""),
        ("HTTPS://example.com/a%20b/chat//", "example.com", 443, "example.com", "/a%20b/chat"),
        ("http://[::1]:3000", "::1", 3000, "[::1]:3000", ""),
    ])
    func goodAddresses(_ url: String, _ host: String, _ port: Int, _ authority: String, _ prefix: String) throws {
        let address = try ChatAddress(url: url, token: Self.token, chat: "7")
        #expect(address.server.host == host && address.server.port == port && address.server.authority == authority)
        #expect(address.server.isSecure == url.lowercased().hasPrefix("https"))
        #expect(address.server.base + "/" == url + "/" || url.hasPrefix(address.server.base + "/"))
        let path = "\(prefix)/applications/\(Self.token)/chats/7"
        #expect(address.messages == path + "/messages")
        #expect(address.stream(after: "41") == path + "/stream?after=41")
        #expect(address.stream(after: "a&b=é") == path + "/stream?after=a%26b%3D%C3%A9")
    }

    @Test(arguments: [
        ("", token, "7", "must look like"), ("127.0.0.1:3000", token, "7", "must look like"),
        ("ftp://x", token, "7", "must look like"), ("http://", token, "7", "must look like"),
        ("http://x y", token, "7", "must look like"), ("http://x:99999", token, "7", "port"),
        ("http://u:p@x", token, "7", "no user"), ("http://x/?a=b", token, "7", "no query"),
        ("http://x/#a", token, "7", "fragment"), ("http://x", "abc", "7", "TOKEN"),
        ("http://x", token.uppercased(), "7", "TOKEN"), ("http://x", token, "0", "CHAT"),
        ("http://x", token, "-1", "CHAT"), ("http://x", token, "1x", "CHAT"),
        ("http://x", token, "9223372036854775808", "CHAT"),
    ])
    func badAddresses(_ url: String, _ token: String, _ chat: String, _ words: String) {
        do throws(ServerAddress.Invalid) {
            _ = try ChatAddress(url: url, token: token, chat: chat)
            Issue.record("it is taken")
        } catch {
            #expect(error.sentence.contains(words))
        }
    }

    @Test(arguments: [
        (
            404, #"{"code":"not_found","detail":"x"}"#, "There is no chat 7 of application 012345… at http://x.",
            luciq.ExitStatus.unavailable
        ),
        (404, #"{"detail":"Nothing here"}"#, "Nothing here.", luciq.ExitStatus.unavailable),
        (
            401, #"{"code":"credentials_required","detail":"x"}"#,
            "http://x needs a key: set LUCIQ_KEY or LUCIQ_ADMIN_KEY.", .unavailable
        ),
        (
            422, #"{"detail":"no","errors":["Body can't be blank","And\u001b[2J more"]}"#,
            "Body can't be blank; And␛[2J more.", .refused
        ),
        (413, #"{"detail":"Too large."}"#, "Too large.", .refused),
        (503, #"{"detail":"Busy."}"#, "Busy.", .tryLater),
        (409, #"{"detail":"In flight."}"#, "In flight.", .tryLater),
        (409, #"{"code":"message_deleted","detail":"Deleted."}"#, "Deleted.", .refused),
        (409, #"{"code":"cursor_epoch","detail":"Restored."}"#, "Restored.", luciq.ExitStatus.unavailable),
        (429, "", "The server cannot take it now (429).", .tryLater),
        (400, #"{"detail":"Bad."}"#, "Bad.", luciq.ExitStatus.unavailable),
        (
            200, "", "There is no Luciq Chat server at http://x: it answers 200 with application/problem+json.",
            luciq.ExitStatus.unavailable
        ),
    ])
    func answers(_ status: Int, _ body: String, _ sentence: String, _ ending: luciq.ExitStatus) throws {
        let address = try ChatAddress(url: "http://x", token: Self.token, chat: "7")
        let failure = HTTPAnswer(status: status, contentType: "application/problem+json", body: Array(body.utf8))
            .failure(of: address)
        #expect(failure.words == sentence)
        #expect(failure.exitStatus == ending)
    }

    @Test func answersOfOthers() throws {
        let address = try ChatAddress(url: "http://x", token: Self.token, chat: "7")
        let page = HTTPAnswer(status: 404, contentType: "text/html", body: Array(#"{"code":"not_found"}"#.utf8))
        #expect(
            page.failure(of: address).sentence.hasPrefix(
                "There is no Luciq Chat server at http://x: it answers 404 with text/html."))
        let moved = HTTPAnswer(status: 301, location: "https://x/").failure(of: address)
        #expect(moved.sentence == "http://x sends us on to https://x/; give the server's own URL.")
        let gateway = HTTPAnswer(status: 502, contentType: "text/html", retryAfter: "7").failure(of: address)
        #expect(gateway.outlook == .passing(asked: .seconds(7)))
        // A date is allowed there; then our own pause must do.
        let date = HTTPAnswer(status: 503, retryAfter: "Sun, 22 Nov 2026 16:57:44 GMT").failure(of: address)
        #expect(date.outlook == .passing(asked: nil))
    }
}
