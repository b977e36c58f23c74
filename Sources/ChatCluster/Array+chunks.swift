extension Array {
    /// Slices of at most `size` elements, in order.
    func chunks(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }

    /// Slices for statements that store rows: of few different sizes, so that what is prepared is used again and no
    /// transaction waits for the server to prepare another; and none larger than what the server takes at once.
    ///
    /// - Parameters:
    ///   - packet: what it takes, in bytes. An element that is too large for it is alone.
    ///   - values: of one element's texts and the like, in bytes.
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

/// How many values a statement that looks for some has: a list is filled up with its last one.
let statementSizes = [1, 4, 16, 64, 256]

/// How many rows a statement stores. Rows cannot be filled up, and each statement is a round trip with locks held: so there
/// are more of these, by which most batches take two or three.
let rowCounts = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256]

/// What statements come to, in bytes: no less than they are, as they are prepared and as they are executed.
enum StatementSize {
    /// Header, names of the table and its columns.
    static let fixed = 300

    /// A row: its text has up to 80, and its numbers and times with their types and lengths fewer.
    static func row(_ values: Int) -> Int { values + 100 }
}

/// An entry does not fit into a statement of its own.
struct EntriesTooLarge: Error {
    /// Places in the batch.
    let entries: [Int]
    /// What the server takes, in bytes.
    let packet: Int
}
