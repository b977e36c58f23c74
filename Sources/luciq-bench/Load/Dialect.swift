import ArgumentParser
import Foundation
import NIOCore

/// The protocols: how to write a request, and as much of the answers' format as counting them takes.
enum Dialect: String, ExpressibleByArgument {
    case http, nats

    enum Event: Equatable {
        /// The connection may send requests.
        case ready
        case answer(isGood: Bool)
        /// The server expects a PONG.
        case ping
        /// Needs no reaction.
        case note
        /// The bytes are no valid answer. The connection cannot be used any more.
        case nonsense
    }

    /// What a connection sends before its first request.
    func greeting(connection: Int) -> ByteBuffer? {
        switch self {
        case .http: nil
        case .nats:
            ByteBuffer(
                string: "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB \(inbox(connection)) 1\r\nPING\r\n")
        }
    }

    /// - Parameter key: shown as `Authorization: Bearer`; nil for none.
    func request(to target: String, _ body: String?, key: String? = nil, connection: Int) -> ByteBuffer {
        switch self {
        case .http:
            let shown = key.map { "Authorization: Bearer \($0)\r\n" } ?? ""
            let head = "\(body == nil ? "GET" : "POST") \(target) HTTP/1.1\r\nHost: localhost\r\n\(shown)"
            guard let body else { return ByteBuffer(string: head + "\r\n") }
            let length = body.utf8.count
            return ByteBuffer(
                string: "\(head)Content-Type: application/json\r\nContent-Length: \(length)\r\n\r\n\(body)")
        case .nats:
            let body = body ?? ""
            return ByteBuffer(string: "PUB \(target) \(inbox(connection)) \(body.utf8.count)\r\n\(body)\r\n")
        }
    }

    /// The subject of the acknowledgements to this connection.
    private func inbox(_ connection: Int) -> String { "_INBOX.bench.\(connection)" }

    /// Removes the first event from the bytes.
    /// - Returns: nil until it is complete.
    func event(in bytes: inout ByteBuffer) -> Event? {
        let found = bytes.withUnsafeReadableBytes { self == .http ? Self.http($0) : Self.nats($0) }
        guard let (event, length) = found else { return nil }
        bytes.moveReaderIndex(forwardBy: length)
        return event
    }

    /// Accepts answers with a Content-Length only: all that the benchmarks request have one.
    private static func http(_ bytes: UnsafeRawBufferPointer) -> (Event, Int)? {
        var (start, length) = (0, 0)
        var isKnown = false
        while let line = line(of: bytes, from: start) {
            if line.isEmpty {
                guard isKnown, bytes.starts(with: "HTTP/1.1 ".utf8) else { return (.nonsense, bytes.count) }
                let whole = line.endIndex + 2 + length
                return whole <= bytes.count ? (.answer(isGood: bytes[9] == UInt8(ascii: "2")), whole) : nil
            }
            let (name, size) = ("content-length:", 15)
            if line.count > size, strncasecmp(text(of: bytes, from: line.startIndex), name, size) == 0 {
                guard let value = number(bytes[(line.startIndex + size)..<line.endIndex]) else {
                    return (.nonsense, bytes.count)
                }
                (length, isKnown) = (value, true)
            }
            start = line.endIndex + 2
        }
        return nil
    }

    /// An acknowledgement is `MSG subject sid length`, then JSON (docs.nats.io, client protocol; JetStream's PubAck).
    private static func nats(_ bytes: UnsafeRawBufferPointer) -> (Event, Int)? {
        guard let line = line(of: bytes, from: 0) else { return nil }
        let (word, end) = (bytes[line].prefix { $0 != UInt8(ascii: " ") }, line.endIndex + 2)
        if word.elementsEqual("MSG".utf8) {
            let last = bytes[line].lastIndex(of: UInt8(ascii: " ")) ?? line.startIndex
            guard let length = number(bytes[last..<line.endIndex]) else { return (.nonsense, bytes.count) }
            guard bytes.count >= end + length + 2 else { return nil }
            return (.answer(isGood: bytes[end..<end + length].starts(with: "{\"stream\":".utf8)), end + length + 2)
        }
        if word.elementsEqual("PONG".utf8) { return (.ready, end) }
        if word.elementsEqual("PING".utf8) { return (.ping, end) }
        if word.elementsEqual("INFO".utf8) || word.elementsEqual("+OK".utf8) { return (.note, end) }
        return (.nonsense, bytes.count)
    }

    /// The line that starts there, without its CRLF.
    private static func line(of bytes: UnsafeRawBufferPointer, from start: Int) -> Range<Int>? {
        guard start < bytes.count, let base = bytes.baseAddress,
            let end = memchr(base + start, 10, bytes.count - start)
        else { return nil }
        let length = UnsafeRawPointer(end) - (base + start)
        return start..<max(start, start + length - 1)
    }

    private static func text(of bytes: UnsafeRawBufferPointer, from start: Int) -> UnsafePointer<CChar> {
        (bytes.baseAddress! + start).assumingMemoryBound(to: CChar.self)
    }

    private static func number(_ digits: Slice<UnsafeRawBufferPointer>) -> Int? {
        var number = 0
        for digit in digits where digit != UInt8(ascii: " ") {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit), number < 1 << 40 else { return nil }
            number = number * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return number
    }
}
