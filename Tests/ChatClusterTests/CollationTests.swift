import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// A search's fold beside MariaDB's collation that ignores case and accents, over every character that both know.
@Suite(.timeLimit(.minutes(2))) struct CollationTests {
    private static let collation = "uca1400_nopad_ai_ci"
    /// The Unicode of that collation. Our table knows a newer one, and folds its characters too.
    private static let age = (major: 14, minor: 0)

    private struct Difference: Sendable {
        let reason: String
        let scalars: [ClosedRange<UInt32>]
    }

    /// Where the two differ on purpose. docs/search.md explains each.
    private static let differences = [
        Difference(
            reason: "ASCII's controls are compared as they are", scalars: [0x01...0x08, 0x0E...0x1F, 0x7F...0x7F]),
        Difference(reason: "ß is a letter of its own, not ss", scalars: [0xDF...0xDF, 0x1E9E...0x1E9E]),
        Difference(reason: "ŀ is l and a middle dot, not l", scalars: [0x13F...0x140]),
        Difference(reason: "Thai and Lao nikhahit spells am with a", scalars: [0xE4D...0xE4D, 0xECD...0xECD]),
        Difference(
            reason: "a Hangul syllable in a circle is found by it", scalars: [0x326E...0x327B, 0x327E...0x327E]),
    ]

    @Test func everyCharacterFoldsAsMariaDBComparesIt() async throws {
        let theirs = try await weights()
        #expect(theirs.count > 140_000)
        let excepted = Set(Self.differences.flatMap { $0.scalars.joined() })
        // A weight and a fold belong together: of two characters both are the same, or neither.
        var (folds, weights): ([String: [UInt8]], [[UInt8]: String]) = ([:], [:])
        var wrong: [String] = []
        for (scalar, weight) in theirs where !excepted.contains(scalar.value) {
            let folded = fold(scalar)
            let (sameWeight, sameFold) = (folds[weight, default: folded], weights[folded, default: weight])
            if sameWeight != folded || sameFold != weight {
                wrong.append(
                    "\(scalar.escaped(asASCII: true)) \(scalar): \(String(decoding: folded, as: UTF8.self)), \(weight)")
            }
            (folds[weight], weights[folded]) = (folded, weight)
        }
        #expect(wrong == [])
        // The list names only what differs.
        let same = theirs.filter { scalar, weight in
            excepted.contains(scalar.value) && folds[weight] == fold(scalar) && weights[fold(scalar)] == weight
        }
        #expect(same.map(\.0) == [])
    }

    private func fold(_ scalar: Unicode.Scalar) -> [UInt8] {
        var folded: [UInt8] = []
        Array(String(scalar).utf8).withUnsafeBytes { SearchFold.append($0, to: &folded) }
        return folded
    }

    /// Of every character but those for private use, by number; "" for one that has none.
    private func weights() async throws -> [(Unicode.Scalar, String)] {
        let url = try await SharedServers.mysqlURL
        let connection = try await MySQLConnection.connect(MySQLConfiguration(url: url))
        let rows = try await connection.perform { connection in
            try connection.rows(
                """
                SELECT seq, HEX(WEIGHT_STRING(CONVERT(CHAR(seq USING utf32) USING utf8mb4) COLLATE \(Self.collation)))
                FROM (SELECT seq FROM seq_1_to_262143 UNION ALL SELECT seq FROM seq_917504_to_921599) AS every
                """
            ) { (UInt32(truncatingIfNeeded: $0.integer(0)), $0.text(1)) }
        }
        await connection.close()
        return rows.compactMap { value, weight in
            guard let scalar = Unicode.Scalar(value), let age = scalar.properties.age, age <= Self.age,
                scalar.properties.generalCategory != .privateUse
            else { return nil }
            return (scalar, weight)
        }
    }
}
