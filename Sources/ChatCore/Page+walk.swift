extension Page {
    /// A page that ends before the last of `walked` if their bodies exceed the limit: the next item then shows that
    /// more follow.
    package func cut(to walked: [Message]) -> Page {
        cut(to: walked.count, of: walked.lazy.map(\.textsInJSON).reduce(0, +))
    }

    /// The same.
    ///
    /// - Parameter bodies: of so many messages, in bytes of JSON.
    package func cut(to count: Int, of bodies: Int) -> Page {
        var page = self
        if count > 1, bodies > bytes { page.limit = min(limit, count - 1) }
        return page
    }

    /// The page that ends where this one's walk starts; nil if the walk starts at an end of the list.
    package var behind: Page? {
        // There are no rows beyond the largest number or below zero.
        var behind: Page?
        if walksUp {
            behind = after.map { Page(before: $0 == .max ? nil : $0 + 1, order: .desc) }
        } else {
            behind = before.map { Page(after: max($0, 1) - 1) }
        }
        behind?.numbers = numbers
        return behind
    }

    /// Two pages, each in number order, that have an item with its neighbours: half of the limit before it; the item,
    /// and the rest, after it.
    func halves(around number: some SequenceNumber) -> (below: Page, above: Page) {
        var below = Page(limit: (limit - 1) / 2, before: number.rawValue)
        var above = Page(limit: limit - below.limit, after: number.rawValue - 1)
        (below.bytes, above.bytes) = (bytes / 2, bytes / 2)
        (below.numbers, above.numbers) = (numbers, numbers)
        return (below, above)
    }
}

extension PageOf<MessageVersion> {
    /// - Parameter walked: in the direction of the page; it ends early if the texts are long.
    package init(versions walked: [MessageVersion], page: Page, isPrecededBy precedes: Bool) {
        let bytes = walked.reduce(0) {
            $0 + $1.body.lengthInJSON + ($1.metadata?.utf8.count ?? 0) + ($1.mentions?.size ?? 0)
        }
        self.init(walked: walked, page: page.cut(to: walked.count, of: bytes), isPrecededBy: precedes)
    }
}
