/// A request for a slice of a numbered list.
///
/// `after` and `before` are exclusive. A page starts at its cursor: `after` alone gives the items right after it,
/// `before` alone those right before it (a chat scrolled back), in either order. With both or neither, the page starts
/// at the end that comes first in `order`.
package struct Page: Equatable, Sendable {
    package enum Order: String, Sendable { case asc, desc }

    package static let limits = 1...1000
    package static let defaultLimit = 100

    package var limit: Int
    package var after: Int64?
    package var before: Int64?
    package var order: Order
    /// The most bytes of the messages' bodies, as JSON. A page ends early rather than exceed it, but has at least one
    /// message.
    package var bytes = Page.defaultBytes
    /// Numbers outside are not there.
    package var numbers = NumberSpan.all

    /// 1000 of the largest messages would be 65 MB, and six times that if every byte needs escaping.
    package static let defaultBytes = 1 << 20
    /// The limit of a page while many answers are not read.
    package static let smallBytes = 64 << 10

    package init(limit: Int = defaultLimit, after: Int64? = nil, before: Int64? = nil, order: Order = .asc) {
        self.limit = limit
        self.after = after
        self.before = before
        self.order = order
    }

    /// Whether a store walks upwards from `lowerBound` (else downwards from `upperBound`).
    package var walksUp: Bool {
        switch (after, before) {
        case (_?, nil): true
        case (nil, _?): false
        default: order == .asc
        }
    }

    /// Exclusive.
    package var lowerBound: Int64 { max(after ?? 0, numbers.first - 1) }
    /// Exclusive.
    package var upperBound: Int64 { min(before ?? .max, numbers.last == .max ? .max : numbers.last + 1) }
}

/// One page of a list, in the requested order.
package struct PageOf<Item: Sendable>: Sendable {
    package let items: [Item]
    /// Whether there are items beyond the last one, in listing order.
    package let hasNext: Bool
    /// Whether there are items before the first one, in listing order.
    package let hasPrevious: Bool

    /// - Parameters:
    ///   - walked: up to `page.limit + 1` items in the direction of `page.walksUp`; the extra one only shows that more
    ///     follow.
    ///   - isPrecededBy: whether an item precedes the walk's start.
    ///   - isCutShort: whether items may follow that the walk did not reach.
    package init(walked: [Item], page: Page, isPrecededBy precedes: Bool, isCutShort: Bool = false) {
        let goesOn = walked.count > page.limit || isCutShort
        let kept = walked.prefix(page.limit)
        let walksForward = page.walksUp == (page.order == .asc)
        self.items = walksForward ? Array(kept) : kept.reversed()
        self.hasNext = walksForward ? goesOn : precedes
        self.hasPrevious = walksForward ? precedes : goesOn
    }

    /// The same page of something else.
    init(_ items: [Item], as other: PageOf<some Any>) {
        self.items = items
        self.hasNext = other.hasNext
        self.hasPrevious = other.hasPrevious
    }

    /// Two pages side by side, each in number order.
    init(_ below: PageOf, _ above: PageOf, order: Page.Order) {
        let items = below.items + above.items
        self.items = order == .asc ? items : items.reversed()
        self.hasNext = order == .asc ? above.hasNext : below.hasPrevious
        self.hasPrevious = order == .asc ? below.hasPrevious : above.hasNext
    }
}
