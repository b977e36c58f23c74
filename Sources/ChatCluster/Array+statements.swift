extension Array {
    /// Slices for statements that store rows: of few different sizes, so that prepared statements are reused and no
    /// transaction waits for the server to prepare one; and none larger than the server's packet size.
    ///
    /// - Parameters:
    ///   - packet: the server's packet size, in bytes. An element that is too large for it is alone.
    ///   - values: the bytes of one element's values.
    func statements(within packet: Int, values: (Element) -> Int = { _ in 0 }) -> [ArraySlice<Element>] {
        var slices: [ArraySlice<Element>] = []
        var rest = self[...]
        let ends = reduce(into: [0]) { $0.append($0.last! + StatementSize.row(values($1))) }
        while !rest.isEmpty {
            let bytes = { (size: Int) in ends[rest.startIndex + size] - ends[rest.startIndex] }
            let size = rowCounts.last { size in
                size <= rest.count && StatementSize.fixed + bytes(size) <= packet
            }
            slices.append(rest.prefix(size ?? 1))
            rest = rest.dropFirst(size ?? 1)
        }
        return slices
    }
}

/// The numbers of values in statements that look up rows: a list is padded with its last value.
let statementSizes = [1, 4, 16, 64, 256]

/// The numbers of rows in statements that store rows. Rows cannot be padded, and each statement is a round trip with
/// locks held. So there are more sizes, and most batches need two or three statements.
let rowCounts = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256]

/// Upper bounds for the size of statements, in bytes, when prepared and when executed.
enum StatementSize {
    /// Header, names of the table and its columns.
    static let fixed = 300

    /// A row: up to 80 bytes of text; its numbers and times, with types and lengths, take fewer.
    static func row(_ values: Int) -> Int { values + 100 }
}

/// An entry does not fit into a statement of its own.
struct EntriesTooLarge: Error {
    /// The entries' places in the batch.
    let entries: [Int]
    /// The server's packet size, in bytes.
    let packet: Int
}
