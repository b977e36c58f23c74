/// A bound that nobody can use up alone: an owner may have as many as are free after that.
///
/// So one owner gets half of the bound, the next a quarter, and something is left for whoever comes: the dynamic
/// threshold of shared-memory switches (Choudhury and Hahne, IEEE/ACM Transactions on Networking 6, 1998). It needs no
/// setting, keeps no place empty for owners who do not come, and costs one look-up.
package struct FairShare<Owner: Hashable & Sendable>: Sendable {
    package let bound: Int
    package private(set) var total = 0
    private var taken: [Owner: Int] = [:]

    package init(bound: Int) { self.bound = bound }

    /// What the owner may still take: nothing, or less, when it has as many as are left, or nothing is left.
    package func room(for owner: Owner) -> Int { bound - total - (taken[owner] ?? 0) }

    /// Whether the owner has little yet: a sixteenth of what is left.
    package func isSmall(_ owner: Owner) -> Bool { (taken[owner] ?? 0) < (bound - total) / 16 }

    /// - Returns: false when the owner has no room.
    package mutating func take(_ owner: Owner) -> Bool {
        guard room(for: owner) > 0 else { return false }
        hold(1, of: owner)
        return true
    }

    /// Takes so many, room or not: of what is there already.
    package mutating func hold(_ count: Int, of owner: Owner) {
        guard count > 0 else { return }
        taken[owner, default: 0] += count
        total += count
    }

    /// Gives back some that were taken.
    package mutating func give(_ owner: Owner, _ count: Int = 1) {
        guard count > 0 else { return }
        guard let own = taken[owner], own >= count else { return assertionFailure("it was not taken") }
        taken[owner] = own > count ? own - count : nil
        total -= count
    }
}
