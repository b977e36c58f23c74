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

    /// - Returns: false when the owner has as many as are left, or nothing is left.
    package mutating func take(_ owner: Owner) -> Bool {
        let own = taken[owner] ?? 0
        guard own < bound - total else { return false }
        taken[owner] = own + 1
        total += 1
        return true
    }

    /// Gives back one that was taken.
    package mutating func give(_ owner: Owner) {
        guard let own = taken[owner] else { return assertionFailure("nothing was taken") }
        taken[owner] = own > 1 ? own - 1 : nil
        total -= 1
    }
}
