extension Array {
    /// Slices of at most `size` elements, in order.
    func chunks(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }

    /// Slices for multi-row statements: of few different sizes, so that the prepared ones are used again.
    var statements: [ArraySlice<Element>] {
        var slices: [ArraySlice<Element>] = []
        var rest = self[...]
        while !rest.isEmpty {
            let size = [256, 128, 64].first { $0 <= rest.count } ?? rest.count
            slices.append(rest.prefix(size))
            rest = rest.dropFirst(size)
        }
        return slices
    }
}
