import Foundation

/// A message whose folded body, as a block has it, contains the folded text.
package struct SearchCandidate: Hashable, Sendable {
    package let number: Int64
    package let createdAt: Timestamp

    package init(number: Int64, createdAt: Timestamp) {
        self.number = number
        self.createdAt = createdAt
    }
}

/// A block that a search has looked through.
package struct ScannedBlock: Equatable, Sendable {
    package let span: ClosedRange<Int64>
    /// In the order of their numbers.
    package let candidates: [SearchCandidate]

    package init(span: ClosedRange<Int64>, candidates: [SearchCandidate] = []) {
        self.span = span
        self.candidates = candidates
    }

    /// Looks through a block as a store holds it (`SearchBlock`).
    ///
    /// - Parameters:
    ///   - numbers, times: if they are damaged, the rest of the block has no candidates.
    package init(
        span: ClosedRange<Int64>, numbers: UnsafeRawBufferPointer, times: UnsafeRawBufferPointer,
        folded: UnsafeRawBufferPointer, for needle: SearchNeedle
    ) {
        var candidates: [SearchCandidate] = []
        var walk = BlockWalk(before: span.lowerBound - 1, numbers, times)
        // The message at `place` is the next one of the walk.
        var place = 0
        while let hit = needle.nextMatch(in: folded, from: place) {
            while let end = folded.end(ofMessageAt: place), end < hit {
                _ = walk.next()
                place = end + 1
            }
            guard let candidate = walk.next(), span.contains(candidate.number),
                let end = folded.end(ofMessageAt: place)
            else { break }
            candidates.append(candidate)
            place = end + 1
        }
        self.init(span: span, candidates: candidates)
    }
}

/// The numbers and times of a block's messages, in order.
private struct BlockWalk {
    private var number: Int64
    private var time: Int64 = 0
    private let isDense: Bool
    private var numbers: LEB128
    private var times: LEB128

    init(before number: Int64, _ numbers: UnsafeRawBufferPointer, _ times: UnsafeRawBufferPointer) {
        self.number = number
        self.isDense = numbers.isEmpty
        self.numbers = LEB128(bytes: numbers)
        self.times = LEB128(bytes: times)
    }

    /// - Returns: nil past the end.
    mutating func next() -> SearchCandidate? {
        guard let gap = isDense ? 1 : numbers.next(), let delta = times.next() else { return nil }
        number &+= Int64(truncatingIfNeeded: gap)
        time &+= Int64(bitPattern: delta >> 1) ^ -Int64(bitPattern: delta & 1)
        return SearchCandidate(number: number, createdAt: Timestamp(microseconds: time))
    }
}

/// Reads unsigned integers of up to 64 bits.
private struct LEB128 {
    let bytes: UnsafeRawBufferPointer
    private var place = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// - Returns: nil past the end.
    @inline(__always)
    mutating func next() -> UInt64? {
        var (value, shift) = (UInt64(0), UInt64(0))
        while place < bytes.count, shift < 64 {
            let byte = bytes[place]
            place += 1
            value |= UInt64(byte & 0x7F) << shift
            guard byte & 0x80 != 0 else { return value }
            shift += 7
        }
        return nil
    }
}

extension UnsafeRawBufferPointer {
    /// The place of the NUL that ends a message.
    fileprivate func end(ofMessageAt place: Int) -> Int? {
        guard let start = baseAddress, place < count, let end = memchr(start + place, 0, count - place) else {
            return nil
        }
        return UnsafeRawPointer(end) - start
    }
}
