extension Collection {
    /// Repeats the last element up to one of a few sizes, at most 256, so that prepared statements are reused. For
    /// lists in which duplicates do not matter.
    var padded: [Element] {
        guard let size = statementSizes.first(where: { $0 >= count }), let last = Array(suffix(1)).first else {
            return Array(self)
        }
        return Array(self) + repeatElement(last, count: size - count)
    }
}
