import Foundation
import NIOCore

/// What a server sends to a subscriber.
enum StreamEvent {
    /// Where a subscription starts. The chat is nil where a connection has one only.
    case began(chat: Int?, cursor: Int)
    case message(chat: Int?, StreamSubscriber.Row)
    /// The HTTP answer, if it is not the expected one.
    case refused(status: Int)
    /// The end of one chat's stream, or of all: a code.
    case ended(String)
    /// The connection speaks WebSocket now.
    case switched
    /// Sign of life.
    case beat(ping: ByteBuffer?)
}

/// Parses what a server sends, as cheaply as possible because there are many readers: it searches for the few fields it
/// needs, and relies on bodies without escapes.
struct StreamDecoder {
    enum Transport: CaseIterable, Sendable {
        case events, socket
    }

    private let transport: Transport
    private var input = ByteBuffer()
    /// Of server-sent events, without HTTP's chunks.
    private var text = ByteBuffer()
    private var hasHead = false
    private var isChunked = false
    private var chunkLeft = 0

    init(_ transport: Transport) { self.transport = transport }

    mutating func read(_ bytes: inout ByteBuffer) -> [StreamEvent] {
        input.writeBuffer(&bytes)
        var events: [StreamEvent] = []
        if !hasHead {
            guard let head = input.readPart(before: "\r\n\r\n") else { return [] }
            hasHead = true
            let line = String(buffer: head)
            let status = Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0
            guard status == (transport == .events ? 200 : 101) else { return [.refused(status: status)] }
            isChunked = line.lowercased().contains("transfer-encoding: chunked")
            if transport == .socket { events.append(.switched) }
        }
        switch transport {
        case .events:
            let isOver = readChunks()
            while true {
                // A comment has no blank line of its own.
                while text.readPrefix(":\n") { events.append(.beat(ping: nil)) }
                guard let block = text.readPart(before: "\n\n") else { break }
                events.append(Self.event(block))
            }
            text.discardReadBytes()
            if isOver { events.append(.ended("end of stream")) }
        case .socket:
            while let event = readFrame() { events.append(event) }
        }
        input.discardReadBytes()
        return events
    }

    /// - Returns: whether that was the last one, after which a proxy may keep the connection.
    private mutating func readChunks() -> Bool {
        guard isChunked else {
            text.writeBuffer(&input)
            return false
        }
        while input.readableBytes > 0 {
            if chunkLeft == 0 {
                guard let line = input.readPart(before: "\r\n") else { return false }
                // Empty after a chunk.
                guard let size = Int(String(buffer: line), radix: 16) else { continue }
                if size == 0 { return true }
                chunkLeft = size
            } else if var part = input.readSlice(length: min(chunkLeft, input.readableBytes)) {
                chunkLeft -= part.readableBytes
                text.writeBuffer(&part)
            }
        }
        return false
    }

    private static func event(_ block: ByteBuffer) -> StreamEvent {
        guard let id = block.integer(after: "id: ") else {
            return .ended(block.text(after: "\"code\":\"") ?? "no event")
        }
        guard let row = row(block, id) else { return .began(chat: nil, cursor: id) }
        return .message(chat: nil, row)
    }

    /// - Parameter cursor: which its number must be.
    private static func row(_ text: ByteBuffer, _ cursor: Int?) -> StreamSubscriber.Row? {
        guard let number = text.integer(after: "{\"number\":"), let body = text.text(after: "\"body\":\"") else {
            return nil
        }
        return StreamSubscriber.Row(number: number == cursor ? number : -1, body: body)
    }

    private mutating func readFrame() -> StreamEvent? {
        let start = input.readerIndex
        guard let first = input.readInteger(as: UInt8.self), let second = input.readInteger(as: UInt8.self) else {
            input.moveReaderIndex(to: start)
            return nil
        }
        let length: Int? =
            switch second {
            case 127: input.readInteger(as: UInt64.self).map(Int.init)
            case 126: input.readInteger(as: UInt16.self).map(Int.init)
            default: Int(second)
            }
        guard let length, let payload = input.readSlice(length: length) else {
            input.moveReaderIndex(to: start)
            return nil
        }
        switch first & 0x0F {
        case 9: return .beat(ping: payload)
        case 1: return Self.event(ofText: payload)
        default: return .ended("frame \(first & 0x0F)")
        }
    }

    private static func event(ofText text: ByteBuffer) -> StreamEvent {
        let (chat, cursor) = (text.integer(after: "\"chat\":"), text.integer(after: "\"cursor\":\""))
        if let row = row(text, cursor) { return .message(chat: chat, row) }
        if let cursor { return .began(chat: chat, cursor: cursor) }
        return .ended(text.text(after: "\"code\":\"") ?? String(buffer: text))
    }

    /// A masked frame, as a client sends it.
    static func frame(_ opcode: UInt8, _ payload: ByteBuffer) -> ByteBuffer {
        var frame = ByteBuffer(bytes: [0x80 | opcode])
        if payload.readableBytes < 126 {
            frame.writeInteger(0x80 | UInt8(payload.readableBytes))
        } else {
            frame.writeInteger(0x80 | UInt8(126))
            frame.writeInteger(UInt16(payload.readableBytes))
        }
        // A mask of zeros changes nothing.
        frame.writeInteger(UInt32(0))
        frame.writeImmutableBuffer(payload)
        return frame
    }
}

extension ByteBuffer {
    /// Reads up to a text, which is skipped.
    fileprivate mutating func readPart(before text: StaticString) -> ByteBuffer? {
        guard let place = place(of: text) else { return nil }
        defer { moveReaderIndex(forwardBy: text.utf8CodeUnitCount) }
        return readSlice(length: place)
    }

    /// - Returns: whether it begins with a text, which is then skipped.
    fileprivate mutating func readPrefix(_ text: StaticString) -> Bool {
        guard readableBytesView.starts(with: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        else { return false }
        moveReaderIndex(forwardBy: text.utf8CodeUnitCount)
        return true
    }

    /// The digits that follow the first occurrence of a text.
    fileprivate func integer(after text: StaticString) -> Int? {
        guard let place = place(of: text) else { return nil }
        return withUnsafeReadableBytes { bytes in
            var value: Int?
            for byte in bytes[(place + text.utf8CodeUnitCount)...] {
                guard (0x30...0x39).contains(byte) else { break }
                value = (value ?? 0) * 10 + Int(byte - 0x30)
            }
            return value
        }
    }

    /// What is between the first occurrence of a text and the next quotation mark.
    fileprivate func text(after text: StaticString) -> String? {
        guard let start = place(of: text).map({ $0 + text.utf8CodeUnitCount }) else { return nil }
        return withUnsafeReadableBytes { bytes in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
            guard let base = rest.baseAddress, let end = memchr(base, 0x22, rest.count) else { return nil }
            return String(decoding: rest[..<(UnsafeRawPointer(end) - base)], as: UTF8.self)
        }
    }

    /// Bytes from the reader's index on.
    private func place(of text: StaticString) -> Int? {
        let count = text.utf8CodeUnitCount
        return withUnsafeReadableBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            var start = 0
            while bytes.count - start >= count {
                guard let found = memchr(base + start, Int32(text.utf8Start[0]), bytes.count - start - count + 1)
                else { return nil }
                if memcmp(found, text.utf8Start, count) == 0 { return UnsafeRawPointer(found) - base }
                start = UnsafeRawPointer(found) - base + 1
            }
            return nil
        }
    }
}
