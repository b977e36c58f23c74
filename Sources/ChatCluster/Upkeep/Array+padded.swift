extension Collection {
    /// With its last element repeated up to one of few sizes, at most 256, so that prepared statements are used again.
    /// For lists in which an element counts once.
    var padded: [Element] {
        guard let size = statementSizes.first(where: { $0 >= count }), let last = Array(suffix(1)).first else {
            return Array(self)
        }
        return Array(self) + repeatElement(last, count: size - count)
    }
}
