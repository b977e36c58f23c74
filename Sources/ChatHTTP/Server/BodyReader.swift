import NIOCore

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Reads a request's body piece by piece: of a known length, or chunked (RFC 9112, 7.1).
struct BodyReader {
    private enum Chunk {
        case size
        case data(Int)
        /// The line end after a chunk's data.
        case dataEnd
        case trailers(bytes: Int)
    }

    private enum Rest {
        case length(Int)
        case chunked(Chunk)
        case none
    }

    /// The limit of a line with a chunk's size, or of a trailer, in bytes. Chunk extensions and trailers are checked
    /// and ignored.
    private static let longestLine = 1024

    private var rest: Rest

    init(_ framing: BodyFraming) {
        switch framing {
        case .none: rest = .none
        case .length(let length): rest = .length(length)
        case .chunked: rest = .chunked(.size)
        }
    }

    /// Removes the part of the body that is there from the front of the received bytes.
    ///
    /// - Parameter piece: called with each part of the body.
    /// - Returns: whether the body has ended.
    /// - Throws: a `Problem`; later bytes cannot be parsed as a request.
    mutating func read(
        _ bytes: inout ByteBuffer, _ piece: (ByteBuffer) throws(Problem) -> Void
    ) throws(Problem) -> Bool {
        while true {
            switch rest {
            case .none: return true
            case .length(let length):
                guard let part = bytes.readSlice(length: min(length, bytes.readableBytes)) else { return false }
                rest = part.readableBytes == length ? .none : .length(length - part.readableBytes)
                if part.readableBytes > 0 { try piece(part) }
                if case .length = rest { return false }
            case .chunked(let chunk):
                guard try readChunk(chunk, &bytes, piece) else { return false }
            }
        }
    }

    /// - Returns: false if it needs more bytes.
    private mutating func readChunk(
        _ chunk: Chunk, _ bytes: inout ByteBuffer, _ piece: (ByteBuffer) throws(Problem) -> Void
    ) throws(Problem) -> Bool {
        switch chunk {
        case .size:
            guard let line = try Self.line(&bytes, longest: Self.longestLine) else { return false }
            let size = try Self.size(line)
            rest = .chunked(size == 0 ? .trailers(bytes: 0) : .data(size))
        case .data(let left):
            guard bytes.readableBytes > 0, let part = bytes.readSlice(length: min(left, bytes.readableBytes)) else {
                return false
            }
            rest = .chunked(part.readableBytes == left ? .dataEnd : .data(left - part.readableBytes))
            try piece(part)
        case .dataEnd:
            guard let line = try Self.line(&bytes, longest: 2) else { return false }
            guard line.isEmpty else { throw .notHTTP }
            rest = .chunked(.size)
        case .trailers(let count):
            guard let line = try Self.line(&bytes, longest: Self.longestLine) else { return false }
            guard line.isEmpty || Self.isField(line), count + line.count <= RequestLimits.headers else {
                throw .notHTTP
            }
            rest = line.isEmpty ? .none : .chunked(.trailers(bytes: count + line.count))
        }
        return true
    }

    /// - Parameter longest: the limit in bytes, including the line end.
    /// - Returns: a line without its line end; nil if it is incomplete.
    private static func line(_ bytes: inout ByteBuffer, longest: Int) throws(Problem) -> [UInt8]? {
        let length = bytes.withUnsafeReadableBytes { bytes -> Int? in
            guard let start = bytes.baseAddress, let end = memchr(start, 0x0A, min(bytes.count, longest)) else {
                return nil
            }
            return UnsafeRawPointer(end) - start + 1
        }
        guard let length else {
            guard bytes.readableBytes < longest else { throw .notHTTP }
            return nil
        }
        guard let line = bytes.readBytes(length: length), line.dropLast().last == 0x0D else { throw .notHTTP }
        return Array(line.dropLast(2))
    }

    /// Whether the line is a field that a trailer may have. The fields that say where a body ends are not allowed there
    /// (RFC 9110, 6.5.1).
    private static func isField(_ line: [UInt8]) -> Bool {
        let name = line.prefix(while: \.isInToken)
        let rest = line[name.endIndex...]
        guard !name.isEmpty, rest.first == UInt8(ascii: ":"), rest.allSatisfy(\.isInValue) else { return false }
        let known = name.withUnsafeBytes { HeaderName($0) }
        return known != .contentLength && known != .transferEncoding
    }

    private static func size(_ line: [UInt8]) throws(Problem) -> Int {
        var size = 0
        let digits = line.prefix { $0.hexValue != nil }
        guard (1...8).contains(digits.count) else { throw .notHTTP }
        for digit in digits { size = size << 4 | Int(digit.hexValue ?? 0) }
        let rest = line[digits.endIndex...]
        guard areExtensions(rest) else { throw .notHTTP }
        return size
    }

    /// Whether these are chunk extensions (RFC 9112, 7.1.1): `;name`, `;name=value` or `;name="value"`.
    private static func areExtensions(_ text: ArraySlice<UInt8>) -> Bool {
        var rest = text
        while let mark = rest.popFirst() {
            let name = rest.prefix(while: \.isInToken)
            guard mark == UInt8(ascii: ";"), !name.isEmpty else { return false }
            rest = rest[name.endIndex...]
            guard rest.first == UInt8(ascii: "=") else { continue }
            rest.removeFirst()
            let quote = UInt8(ascii: "\"")
            if rest.first == quote {
                rest = rest.dropFirst().drop { (0x20...0x7E).contains($0) && $0 != quote && $0 != UInt8(ascii: "\\") }
                guard rest.popFirst() == quote else { return false }
            } else {
                let value = rest.prefix(while: \.isInToken)
                guard !value.isEmpty else { return false }
                rest = rest[value.endIndex...]
            }
        }
        return true
    }
}
