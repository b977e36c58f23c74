/// Folds text into the bytes that a search compares. Texts fold alike if they differ only in case, accents and forms of
/// their letters (docs/search.md).
///
/// Folded text is UTF-8, of letters that each stand for all with the same primary weight. So it contains the folded
/// query as bytes where the text contains the query as characters. It never contains NUL.
package enum SearchFold {
    /// The version of the rules and of their table, stored with folded text. A change to what any text folds to raises
    /// it, and text that another version folded is folded again.
    package static let version = 1

    /// Made once for a process, in a few milliseconds.
    static let table = FoldTable(letters: letters, joins: joins)
    private static let zeros = [UInt8](repeating: 0, count: 4096)

    /// Appends the folded text. Each malformed byte becomes U+FFFD.
    package static func append(_ utf8: UnsafeRawBufferPointer, to folded: inout [UInt8]) {
        let end = fold(utf8, into: &folded, at: folded.count)
        folded.removeLast(folded.count - end)
    }

    /// Writes the folded text over what `buffer` has from `start` on, and makes the buffer larger if need be.
    ///
    /// - Returns: where the folded text ends; what follows means nothing.
    static func fold(_ utf8: UnsafeRawBufferPointer, into buffer: inout [UInt8], at start: Int = 0) -> Int {
        var (read, written) = (0, 0)
        repeat {
            let room = start + written + utf8.count - read + FoldTable.longest
            while buffer.count < room { buffer.append(contentsOf: zeros.prefix(room - buffer.count)) }
            buffer.withUnsafeMutableBytes {
                table.fold(utf8, &read, into: UnsafeMutableRawBufferPointer(rebasing: $0[start...]), &written)
            }
        } while read < utf8.count
        return start + written
    }
}
