import Foundation
import NIOCore

/// Finds the messages in a stream's bytes. Not a parser: it relies on the exact bytes of this server.
struct StreamScanner {
    enum Event {
        case opened(cursor: Int64)
        /// - Parameter body: where the message's text begins.
        case message(number: Int64, body: UnsafeRawPointer)
        /// - Parameter body: likewise.
        case changed(body: UnsafeRawPointer)
        case ping
        case closed(reason: String)
        /// An unexpected answer.
        case failed
    }

    private enum Phase { case status, headers, events, messages }

    let kind: StreamKind
    private var phase = Phase.status
    /// The last number; -1 before the first one, at which the stream begins.
    private var id: Int64 = -1
    private var isOpen = false

    init(_ kind: StreamKind) { self.kind = kind }

    /// - Returns: how many bytes are consumed.
    mutating func scan(_ bytes: UnsafeRawBufferPointer, _ body: (Event) -> Void) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        var position = 0
        while position < bytes.count {
            let length =
                phase == .messages
                ? scanFrame(base + position, bytes.count - position, body)
                : scanLine(base + position, bytes.count - position, body)
            if length == 0 { break }
            position += length
        }
        return position
    }

    /// Pieces of a stream end with an event, so the headers of chunks are on separate lines.
    private mutating func scanLine(_ base: UnsafeRawPointer, _ count: Int, _ body: (Event) -> Void) -> Int {
        guard let end = memchr(base, 10, count) else { return 0 }
        let length = UnsafeRawPointer(end) - base
        switch phase {
        case .status:
            if base.starts(kind == .sse ? "HTTP/1.1 200" : "HTTP/1.1 101", length) {
                phase = .headers
            } else {
                body(.failed)
            }
        case .headers where length == 1: phase = kind == .sse ? .events : .messages
        case .headers: break
        default:
            if base.starts("id: ", length) {
                id = (base + 4).digits(length - 4)
            } else if base.starts("data: {\"number\":", length), let text = (base + 16).find("\"body\":\"", length - 16)
            {
                let isChange = (base + 16).find("\"parts\":", length - 16) != nil
                body(isChange ? .changed(body: text) : .message(number: (base + 16).digits(length - 16), body: text))
            } else if base.starts("data: {\"code\":\"", length) {
                body(.closed(reason: (base + 15).text(length - 15)))
            } else if length == 0, id >= 0, !isOpen {
                isOpen = true
                body(.opened(cursor: id))
            }
        }
        return length + 1
    }

    private mutating func scanFrame(_ base: UnsafeRawPointer, _ count: Int, _ body: (Event) -> Void) -> Int {
        guard count >= 2 else { return 0 }
        var (length, start) = (Int(base.load(fromByteOffset: 1, as: UInt8.self) & 0x7F), 2)
        if length == 126 {
            guard count >= 4 else { return 0 }
            (length, start) = (Int(UInt16(bigEndian: base.loadUnaligned(fromByteOffset: 2, as: UInt16.self))), 4)
        } else if length == 127 {
            guard count >= 10 else { return 0 }
            (length, start) = (Int(UInt64(bigEndian: base.loadUnaligned(fromByteOffset: 2, as: UInt64.self))), 10)
        }
        guard count >= start + length else { return 0 }
        let payload = base + start
        switch base.load(as: UInt8.self) {
        case 0x81:
            guard let cursor = payload.find("\"cursor\":\"", length) else {
                body(.failed)
                break
            }
            let number = cursor.digits(payload + length - cursor)
            if let text = cursor.find("\"body\":\"", payload + length - cursor) {
                let isChange = payload.starts("{\"type\":\"message.changed\"", length)
                body(isChange ? .changed(body: text) : .message(number: number, body: text))
            } else {
                body(.opened(cursor: number))
            }
        case 0x88 where length >= 2:
            body(.closed(reason: String(UInt16(bigEndian: payload.loadUnaligned(as: UInt16.self)))))
        case 0x89: body(.ping)
        default: body(.failed)
        }
        return start + length
    }
}

extension UnsafeRawPointer {
    fileprivate func starts(_ text: StaticString, _ count: Int) -> Bool {
        count >= text.utf8CodeUnitCount && memcmp(self, text.utf8Start, text.utf8CodeUnitCount) == 0
    }

    /// - Returns: the bytes after the first occurrence of the text.
    fileprivate func find(_ text: StaticString, _ count: Int) -> UnsafeRawPointer? {
        let end = self + count
        var start = self
        while start < end, let quote = memchr(start, Int32(text.utf8Start[0]), end - start) {
            start = UnsafeRawPointer(quote)
            if start.starts(text, end - start) { return start + text.utf8CodeUnitCount }
            start += 1
        }
        return nil
    }

    /// - Returns: the number at this place; 0 if there is none.
    func digits(_ count: Int) -> Int64 {
        var value: Int64 = 0
        for offset in 0..<Swift.max(0, count) {
            let digit = load(fromByteOffset: offset, as: UInt8.self) &- 48
            if digit > 9 { break }
            value = value &* 10 &+ Int64(digit)
        }
        return value
    }

    /// - Returns: the bytes before the next quotation mark.
    fileprivate func text(_ count: Int) -> String {
        String(decoding: UnsafeRawBufferPointer(start: self, count: count).prefix { $0 != 34 }, as: UTF8.self)
    }
}
