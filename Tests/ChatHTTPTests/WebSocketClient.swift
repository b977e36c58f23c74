import Foundation
import TestSupport

/// A WebSocket client that can also break the protocol, with frames written byte by byte.
final class WebSocketClient {
    enum Opcode {
        static let continuation: UInt8 = 0
        static let text: UInt8 = 1
        static let binary: UInt8 = 2
        static let close: UInt8 = 8
        static let ping: UInt8 = 9
        static let pong: UInt8 = 10
    }

    struct Frame: Equatable {
        var opcode: UInt8
        var payload: [UInt8] = []

        var text: String { String(decoding: payload, as: UTF8.self) }
        var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(payload))) as? [String: Any] ?? [:] }
        /// Of a close frame.
        var code: Int? { opcode == Opcode.close && payload.count >= 2 ? Int(payload[0]) << 8 | Int(payload[1]) : nil }
    }

    static let handshake = [
        "Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ]

    let connection: RawConnection
    let answer: Answer
    private var rest: [UInt8] = []

    /// Connects, and reads the answer, which may be a refusal.
    ///
    /// - Parameter early: sent right behind the request, before there is an answer.
    init(_ port: Int, _ path: String, headers: [String: String] = handshake, early: [UInt8] = []) async throws {
        connection = try RawConnection(port: port)
        var head = "GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        await connection.send(Array((head + "\r\n").utf8) + early)
        var rest: [UInt8] = []
        guard let answer = try await connection.receiveAnswer(rest: &rest) else {
            throw RawConnection.Failure(description: "\(path): closed without an answer")
        }
        (self.answer, self.rest) = (answer, rest)
    }

    /// A frame as it goes over the wire.
    ///
    /// - Parameter first: the whole first byte, where that is not to be FIN and the opcode.
    static func bytes(
        _ opcode: UInt8, _ payload: [UInt8] = [], fin: Bool = true, first: UInt8? = nil, isMasked: Bool = true
    ) -> [UInt8] {
        var bytes = [first ?? (fin ? 0x80 : 0) | opcode]
        let mask: UInt8 = isMasked ? 0x80 : 0
        switch payload.count {
        case ..<126: bytes.append(mask | UInt8(payload.count))
        case ..<65_536: bytes += [mask | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        default: bytes += [mask | 127] + (0..<8).reversed().map { UInt8(payload.count >> ($0 * 8) & 0xFF) }
        }
        guard isMasked else { return bytes + payload }
        let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
        return bytes + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
    }

    static func bytes(close code: UInt16, _ reason: String = "") -> [UInt8] {
        bytes(Opcode.close, [UInt8(code >> 8), UInt8(code & 0xFF)] + Array(reason.utf8))
    }

    func send(_ text: String) async { await connection.send(Self.bytes(Opcode.text, Array(text.utf8))) }

    func send(_ bytes: [UInt8]) async { await connection.send(bytes) }

    /// The next frame, of any kind; nil when the server has closed.
    func next() async throws -> Frame? {
        while true {
            if let frame = try takeFrame() { return frame }
            let bytes = try await connection.receive()
            if bytes.isEmpty { return nil }
            rest += bytes
        }
    }

    /// The next text as JSON; empty for anything else.
    func answer() async throws -> [String: Any] { try await next()?.json ?? [:] }

    /// Reads to the end.
    ///
    /// - Returns: the code of the close frame, if there was one.
    func closeCode() async throws -> Int? {
        var code: Int?
        while let frame = try await next() { code = frame.code ?? code }
        return code
    }

    private func takeFrame() throws -> Frame? {
        guard rest.count >= 2 else { return nil }
        guard rest[0] & 0x70 == 0, rest[1] & 0x80 == 0, rest[0] & 0x80 != 0 else {
            throw RawConnection.Failure(description: "a frame that a server must not send")
        }
        var (length, start) = (Int(rest[1]), 2)
        if length == 126 {
            guard rest.count >= 4 else { return nil }
            (length, start) = (Int(rest[2]) << 8 | Int(rest[3]), 4)
        } else if length == 127 {
            guard rest.count >= 10 else { return nil }
            (length, start) = (rest[2..<10].reduce(0) { $0 << 8 | Int($1) }, 10)
        }
        guard rest.count >= start + length else { return nil }
        let frame = Frame(opcode: rest[0] & 0x0F, payload: Array(rest[start..<start + length]))
        rest.removeFirst(start + length)
        return frame
    }
}
