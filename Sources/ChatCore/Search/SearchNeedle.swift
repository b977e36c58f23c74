import Foundation

/// The folded query, and where folded text contains it.
package struct SearchNeedle: Sendable {
    package let bytes: [UInt8]
    /// Where the needle has its rarest byte, and the next rarest.
    package let rarest: Int
    private let nextRarest: Int
    /// The needle's first eight bytes, with zeros after a shorter one, and a mask of those it has.
    private let prefix: UInt64
    private let mask: UInt64

    /// - Parameter folded: not empty.
    init(_ folded: [UInt8]) {
        bytes = folded
        let order = folded.indices.sorted { Self.frequency(at: $0, in: folded) < Self.frequency(at: $1, in: folded) }
        rarest = order[0]
        nextRarest = order.first { folded[$0] != folded[order[0]] } ?? order[order.count - 1]
        let padded = folded.prefix(8) + [UInt8](repeating: 0, count: 8)
        prefix = padded.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
        mask = folded.count < 8 ? (1 << (8 * UInt64(folded.count)) - 1).littleEndian : .max
    }

    /// A byte that every text that matches has, if possible a rare one.
    var rarestByte: UInt8 { bytes[rarest] }

    /// Whether that byte is in ASCII and makes less than about a hundredth of most texts.
    package var hasRareByte: Bool {
        bytes[rarest] < 0x80 && Self.frequencies[Int(bytes[rarest])] <= Self.frequencies[Int(UInt8(ascii: "v"))]
    }

    /// The first match that begins at `start` or later: the offset of its first byte.
    ///
    /// Several messages may be searched as one text with NUL between them, because no needle has a NUL.
    package func nextMatch(in folded: UnsafeRawBufferPointer, from start: Int = 0) -> Int? {
        guard let base = folded.baseAddress else { return nil }
        let byte = CInt(bytes[rarest])
        let end = folded.count - bytes.count + 1
        var at = start
        var misses = 0
        while at < end {
            guard let hit = memchr(base + at + rarest, byte, end - at) else { return nil }
            at = base.distance(to: hit) - rarest
            if isMatch(at, in: folded) { return at }
            at += 1
            misses += 1
            // Not a rare byte here: a call for each one costs more than looking at all the bytes.
            if misses * 32 > at - start + 128 { return nextMatchOfPair(in: folded, base, from: at) }
        }
        return nil
    }

    /// The same, by comparing eight positions at a time with two bytes of the needle.
    private func nextMatchOfPair(in folded: UnsafeRawBufferPointer, _ base: UnsafeRawPointer, from start: Int) -> Int? {
        let (each, top): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
        let (one, other) = (each &* UInt64(bytes[rarest]), each &* UInt64(bytes[nextRarest]))
        let last = folded.count - bytes.count
        let lastWord = folded.count - 8 - max(rarest, nextRarest)
        var at = start
        while at <= min(last, lastWord) {
            // A byte of it is zero where both are right.
            let differences =
                (base.loadUnaligned(fromByteOffset: at + rarest, as: UInt64.self) ^ one)
                | (base.loadUnaligned(fromByteOffset: at + nextRarest, as: UInt64.self) ^ other)
            // Exact for the lowest one; a higher one may be a mistake, which the comparison finds.
            var hits = (differences &- each) & ~differences & top
            if UInt64(1).littleEndian != 1 { hits = hits.byteSwapped }
            while hits != 0 {
                let match = at + hits.trailingZeroBitCount / 8
                if match <= last, isMatch(match, in: folded) { return match }
                hits &= hits - 1
            }
            at += 8
        }
        while at <= last {
            if isMatch(at, in: folded) { return at }
            at += 1
        }
        return nil
    }

    @inline(__always)
    private func isMatch(_ at: Int, in folded: UnsafeRawBufferPointer) -> Bool {
        if at + 8 <= folded.count {
            let differences = folded.loadUnaligned(fromByteOffset: at, as: UInt64.self) ^ prefix
            if bytes.count <= 8 || differences & mask != 0 { return differences & mask == 0 }
        }
        return memcmp(folded.baseAddress! + at, bytes, bytes.count) == 0
    }

    /// Roughly how often the byte occurs in folded text. Of a letter's bytes the last one tells it from the others of
    /// its script; those before it are the script's.
    private static func frequency(at index: Int, in folded: [UInt8]) -> Int {
        let isLast = index + 1 == folded.count || folded[index + 1] & 0xC0 != 0x80
        return isLast ? frequencies[Int(folded[index])] : .max
    }

    /// Of each byte as the last one of a letter, in chats in European languages; bytes that are not listed are rare.
    private static let frequencies: [Int] = {
        var frequencies = [Int](repeating: 0, count: 256)
        for byte in 0x80...0xBF { frequencies[byte] = 16 }
        for (index, byte) in "zjxq9876543:!?'-210,.kvbwyfgpmucdlhrsnioate ".utf8.enumerated() {
            frequencies[Int(byte)] = index + 1
        }
        return frequencies
    }()
}
