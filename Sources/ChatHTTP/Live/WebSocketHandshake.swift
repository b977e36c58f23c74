import Cryptography
import Foundation
import HTTPTypes

/// The opening handshake of RFC 6455, 4.2: version 13, no extensions, no subprotocols.
enum WebSocketHandshake {
    /// - Returns: the `Sec-WebSocket-Accept` of the 101.
    /// - Throws: a `Problem`: 426 for a request that does not ask for a WebSocket, 400 for a malformed handshake.
    static func accept(_ request: Request) throws(Problem) -> String {
        let headers = request.headers
        guard request.method == .get, headers.list(.upgrade, has: "websocket"),
            headers.list(.connection, has: "upgrade"), headers[.secWebSocketVersion]?.isName("13") == true
        else { throw .upgradeRequired }
        guard let key = headers[.secWebSocketKey], let bytes = Data(base64Encoded: key), bytes.count == 16 else {
            throw .badHandshake("Sec-WebSocket-Key must be 16 bytes in base64.")
        }
        guard request.framing == .none else { throw .badHandshake("A handshake must not have a body.") }
        return Data(SHA1.hash((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)).base64EncodedString()
    }
}

extension Problem {
    static let upgradeRequired = Problem(
        status: .upgradeRequired, code: "upgrade_required",
        detail: "This is a WebSocket endpoint: connect with version 13 of the protocol, over HTTP/1.1.",
        upgrade: "websocket")
    static func badHandshake(_ detail: String) -> Problem {
        Problem(status: .badRequest, code: "bad_handshake", detail: detail)
    }
}
