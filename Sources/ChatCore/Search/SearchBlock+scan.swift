import Foundation

/// A block that a search has looked through.
package struct ScannedBlock: Equatable, Sendable {
    package let span: ClosedRange<Int64>
    /// The numbers of the messages whose folded bodies contain the folded text, ascending.
    package let candidates: [Int64]

    package init(span: ClosedRange<Int64>, candidates: [Int64]) {
        self.span = span
        self.candidates = candidates
    }

    /// Looks through a block as a store holds it (`SearchBlock`).
    ///
    /// - Parameter numbers: if they are damaged, the rest of the block has no candidates.
    package init(
        span: ClosedRange<Int64>, numbers: UnsafeRawBufferPointer, folded: UnsafeRawBufferPointer,
        for needle: SearchNeedle
    ) {
        var candidates: [Int64] = []
        var walk = NumberWalk(before: span.lowerBound - 1, numbers)
        // The message at `place` is the next one of the walk.
        var place = 0
        while let hit = needle.nextMatch(in: folded, from: place) {
            while let end = folded.end(ofMessageAt: place), end < hit {
                walk.skip()
                place = end + 1
            }
            guard let number = walk.next(), span.contains(number), let end = folded.end(ofMessageAt: place) else {
                break
            }
            candidates.append(number)
            place = end + 1
        }
        self.init(span: span, candidates: candidates)
    }
}

/// The numbers of a block's messages, in order.
private struct NumberWalk {
    private var number: Int64
    private let gaps: UnsafeRawBufferPointer
    private var place = 0

    init(before number: Int64, _ gaps: UnsafeRawBufferPointer) {
        self.number = number
        self.gaps = gaps
    }

    mutating func skip() { _ = next() }

    /// - Returns: nil past the end.
    mutating func next() -> Int64? {
        guard !gaps.isEmpty else {
            number += 1
            return number
        }
        var (gap, shift) = (UInt64(0), UInt64(0))
        while place < gaps.count, shift < 63 {
            let byte = gaps[place]
            place += 1
            gap |= UInt64(byte & 0x7F) << shift
            shift += 7
            guard byte & 0x80 != 0 else {
                number &+= Int64(truncatingIfNeeded: gap)
                return number
            }
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
