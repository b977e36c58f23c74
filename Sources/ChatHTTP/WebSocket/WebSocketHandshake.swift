import Crypto
import Foundation
import HTTPTypes
import Hummingbird

/// The opening handshake of RFC 6455, 4.2, of version 13 and with no extension and no subprotocol.
enum WebSocketHandshake {
    /// - Returns: the headers of the 101.
    /// - Throws: a `Problem`: 426 for a request that does not ask for this, 400 for one that asks wrongly.
    static func answer(_ request: Request) throws(Problem) -> HTTPFields {
        let headers = request.headers
        guard request.method == .get, headers.list(.upgrade).contains("websocket"),
            headers.list(.connection).contains("upgrade"), headers[.secWebSocketVersion] == "13"
        else { throw .upgradeRequired }
        guard let key = headers[.secWebSocketKey], let bytes = Data(base64Encoded: key), bytes.count == 16 else {
            throw .badHandshake("Sec-WebSocket-Key must be 16 bytes in base64.")
        }
        guard headers[.transferEncoding] == nil, (headers[.contentLength] ?? "0") == "0" else {
            throw .badHandshake("A handshake has no body.")
        }
        let hash = Insecure.SHA1.hash(data: Data((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return [
            .upgrade: "websocket", .connection: "upgrade", .secWebSocketAccept: Data(hash).base64EncodedString(),
        ]
    }

    /// Whether a page of that origin may open a socket.
    ///
    /// Browsers do not ask before they open one from any page, as they do before other requests (CORS); they only say
    /// which page it is. There is no cookie that a foreign page could use unseen: who connects knows the token. So nothing
    /// is lost where an origin is let in, but the setting that tells which pages may use the API has to mean this as well.
    /// A page of this server may, as it may send all other requests: its origin is the host that it asked for, whatever the
    /// scheme, for TLS may end before us. What is no browser says no origin.
    static func accepts(origin: String?, host: String?, corsOrigin: String?) -> Bool {
        guard let origin else { return true }
        if corsOrigin == "*" || corsOrigin == origin { return true }
        guard let host, let scheme = origin.firstRange(of: "://") else { return false }
        return origin[scheme.upperBound...].lowercased() == host.lowercased()
    }
}

extension HTTPFields {
    /// The elements of a comma-separated header, in lower case.
    fileprivate func list(_ name: HTTPField.Name) -> [String] {
        (self[name] ?? "").split(separator: ",").map { element in
            element.lowercased().trimmingCharacters(in: CharacterSet(charactersIn: " \t"))
        }
    }
}

extension Problem {
    static let upgradeRequired = Problem(
        status: .upgradeRequired, code: "upgrade_required",
        detail: "This is a WebSocket: connect with a client of version 13 of its protocol.",
        upgrade: "websocket")
    static let foreignOrigin = Problem(
        status: .forbidden, code: "origin_not_allowed", detail: "Pages of this origin may not connect.")

    static func badHandshake(_ detail: String) -> Problem {
        Problem(status: .badRequest, code: "bad_handshake", detail: detail)
    }
}
