extension Array {
    /// Slices of at most `size` elements, in order.
    func chunks(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }

    /// Slices for statements that store rows: of few different sizes, so that what is prepared is used again and no
    /// transaction waits for the server to prepare another.
    var statements: [ArraySlice<Element>] {
        var slices: [ArraySlice<Element>] = []
        var rest = self[...]
        for size in statementSizes.reversed() {
            while rest.count >= size {
                slices.append(rest.prefix(size))
                rest = rest.dropFirst(size)
            }
        }
        return slices
    }
}

/// How many rows or values a statement has.
let statementSizes = [1, 4, 16, 64, 256]
