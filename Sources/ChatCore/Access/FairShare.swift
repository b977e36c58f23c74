/// A limit that no owner can use up alone: an owner may hold at most as many as then remain free.
///
/// So one owner gets half of the limit, the next a quarter, and something is left for others: the dynamic threshold of
/// shared-memory switches (Choudhury and Hahne, IEEE/ACM Transactions on Networking 6, 1998). It needs no setting,
/// reserves nothing for absent owners, and costs one look-up.
package struct FairShare<Owner: Hashable & Sendable>: Sendable {
    package let bound: Int
    package private(set) var total = 0
    private var taken: [Owner: Int] = [:]

    package init(bound: Int) { self.bound = bound }

    /// How many the owner may still take; 0 or less if it holds as many as are left.
    package func room(for owner: Owner) -> Int { bound - total - (taken[owner] ?? 0) }

    /// Whether the owner holds little: at most a sixteenth of the rest.
    package func isSmall(_ owner: Owner) -> Bool { (taken[owner] ?? 0) < (bound - total) / 16 }

    /// - Returns: false if the owner has no room.
    package mutating func take(_ owner: Owner) -> Bool {
        guard room(for: owner) > 0 else { return false }
        hold(1, of: owner)
        return true
    }

    /// Takes them even without room, because they exist already.
    package mutating func hold(_ count: Int, of owner: Owner) {
        guard count > 0 else { return }
        taken[owner, default: 0] += count
        total += count
    }

    /// Gives some back.
    package mutating func give(_ owner: Owner, _ count: Int = 1) {
        guard count > 0 else { return }
        guard let own = taken[owner], own >= count else { return assertionFailure("it was not taken") }
        taken[owner] = own > count ? own - count : nil
        total -= count
    }
}
