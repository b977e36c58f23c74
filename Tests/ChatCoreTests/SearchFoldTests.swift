import Testing

@testable import ChatCore

/// Stored text was folded by a version: what a version folds to never changes.
@Suite(.timeLimit(.minutes(1))) struct SearchFoldTests {
    /// Of each version, a checksum of what everything folds to. A change of the fold needs a new version, and a new line.
    private static let checksums: [Int: UInt64] = [1: 3_390_940_601_479_330_767]

    @Test func aVersionIsOneFold() {
        var checksum = Checksum()
        var folded: [UInt8] = []
        for value in UInt32(0)...0x10_FFFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            folded.removeAll(keepingCapacity: true)
            // A letter before it shows which signs join.
            Array("\u{438}\(scalar)A\(scalar)".utf8).withUnsafeBytes { SearchFold.append($0, to: &folded) }
            checksum.add(folded)
        }
        // The letters that signs join.
        SearchFold.joins.withUTF8Buffer { checksum.add(Array($0)) }
        #expect(checksum.value == Self.checksums[SearchFold.version], "version \(SearchFold.version)")
    }

    /// FNV-1a (draft-eastlake-fnv), with 64 bits.
    private struct Checksum {
        private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

        mutating func add(_ bytes: [UInt8]) {
            for byte in bytes + [0] { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
        }
    }
}
