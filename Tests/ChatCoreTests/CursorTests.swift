import TestSupport
import Testing

@testable import ChatCore

struct CursorTests {
    @Test(arguments: [
        ("0", Cursor(0)), ("43", Cursor(43)), ("43.0", Cursor(43, revision: 0)), ("43.17", Cursor(43, revision: 17)),
        ("e2.43.17", Cursor(43, revision: 17, epoch: 2)), ("e2.43", Cursor(43, epoch: 2)),
        ("e1.0.1", Cursor(0, revision: 1, epoch: 1)), ("43.17.5", Cursor(43, revision: 17, base: 5)),
        ("e2.43.17.0", Cursor(43, revision: 17, base: 0, epoch: 2)),
        (
            "e9223372036854775807.9223372036854775807.9223372036854775807",
            Cursor(.max, revision: .max, epoch: .max)
        ),
    ])
    func oneSpelling(_ text: String, _ cursor: Cursor) {
        #expect(Cursor(text[...]) == cursor)
        #expect(cursor.description == text)
    }

    /// Cursors that clients could write when a cursor was only a number.
    @Test func aNumberMayHaveZerosInFront() { #expect(Cursor("0043") == Cursor(43)) }

    @Test(arguments: [
        "", ".", "..", "e", "e.", "e2", "e2.", "e2..17", ".17", "43.", "43.17.", "43.17.5.1", "43.17.17", "43.17.18",
        "43.17.05", "43.0.0", "e2.43.17.", "43.00", "e0.43", "e02.43",
        "43.017", "E2.43", "e-2.43", "-43", "+43", "43.-1", " 43", "43 ", "43,17", "4٤", "e\u{301}2.43", "43.\u{301}17",
        "43\u{301}", "9223372036854775808", "43.9223372036854775808", "e9223372036854775808.43",
        "18446744073709551616", "43.18446744073709551659", "x", "43.17e2", "2.e43",
    ])
    func whatIsNone(_ text: String) { #expect(Cursor(text[...]) == nil) }

    @Test func everyCursorComesBack() {
        var random = SeededRandom(seed: 1)
        func part() -> Int64 {
            let edges: [Int64] = [0, 1, 9, 10, .max - 1, .max]
            return Bool.random(using: &random)
                ? edges.randomElement(using: &random)! : Int64.random(in: 0...(.max), using: &random)
        }
        for _ in 0..<10_000 {
            let revision = Bool.random(using: &random) ? part() : nil
            let base = Bool.random(using: &random) ? part() : nil
            let cursor = Cursor(part(), revision: revision, base: base, epoch: part())
            #expect(Cursor(cursor.description[...]) == cursor)
        }
    }

    /// Against the grammar, as a regular expression has it.
    @Test func nothingElseIsRead() {
        var random = SeededRandom(seed: 2)
        let alphabet = ["e", ".", "0", "1", "7", "9223372036854775807", "922337203685477580", "-", "E", "٤", "\u{301}"]
        var counts = (read: 0, refused: 0)
        for _ in 0..<20_000 {
            let length = Int.random(in: 0...6, using: &random)
            let text = (0..<length).map { _ in alphabet.randomElement(using: &random)! }.joined()
            let match = text.wholeMatch(
                of: /(?:e([1-9][0-9]*)\.)?([0-9]+)(?:\.(0|[1-9][0-9]*)(?:\.(0|[1-9][0-9]*))?)?/
                    .matchingSemantics(.unicodeScalar))
            let parts = match.map { [$0.1 ?? "0", $0.2, $0.3 ?? "0", $0.4 ?? "0"].map { Int64($0) } }
            if let match, let parts, let epoch = parts[0], let number = parts[1], let revision = parts[2],
                let base = parts[3], match.4 == nil || base < revision
            {
                let expected = Cursor(
                    number, revision: match.3 == nil ? nil : revision, base: match.4 == nil ? nil : base, epoch: epoch)
                #expect(Cursor(text[...]) == expected, "\(text)")
                counts.read += 1
            } else {
                #expect(Cursor(text[...]) == nil, "\(text)")
                counts.refused += 1
            }
        }
        #expect(counts.read > 1000 && counts.refused > 1000)
    }

    @Test func whatAClientGives() {
        func read(_ text: String?) -> (cursor: Cursor?, errors: [String]) {
            var errors: [String] = []
            let cursor = Cursor.read(text, "After", &errors)
            return (cursor, errors)
        }
        #expect(read("43") == (Cursor(43), []))
        for text in [nil, "", "x", "43."] {
            #expect(read(text) == (nil, ["After must be a number from 0 to 9223372036854775807"]))
        }
        #expect(read("e2.43.17") == (Cursor(43, revision: 17, epoch: 2), []))
    }
}
