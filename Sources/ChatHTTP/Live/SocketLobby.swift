import ChatCore
import Synchronization

/// The connections whose clients have not shown a token yet.
///
/// Whoever has many addresses has them next to each other, so networks have shares, too: an address a quarter of the lobby,
/// its /24 (of IPv6 its /48) a half, its /16 (/32) three quarters. Past a share, the one of it that has waited longest goes;
/// in a full lobby, the one that has waited longest in the network that has the most of its share. A newcomer always comes
/// in: it sends its token at once, and those that wait for long mean none.
final class SocketLobby: Sendable {
    struct GuestID: Hashable, Sendable { fileprivate let value: UInt64 }

    private struct Guest {
        let networks: [IPAddress]
        /// Its token is being looked at: it stays.
        var isAsking = false
        let sendAway: @Sendable () -> Void
    }

    private struct State {
        /// A later one has a higher id.
        var guests: [UInt64: Guest] = [:]
        var lastID: UInt64 = 0
        /// For each of `shares`, the guests of each network.
        var counts: [[IPAddress: Int]] = Array(repeating: [:], count: SocketLobby.quarters.count)
    }

    /// The shares of an address and of its networks, in quarters of the capacity.
    private static let quarters = [1, 2, 3]
    private let shares: [Int]
    private let capacity: Int
    private let state = Mutex(State())

    init(capacity: Int) {
        self.capacity = capacity
        self.shares = Self.quarters.map { max(1, capacity * $0 / 4) }
    }

    /// - Parameters:
    ///   - client: of IPv6 its network of 64 bits.
    ///   - sendAway: called at most once, on any thread, when it must make room.
    /// - Returns: nil if there is no room, since all tokens there are being looked at.
    func enter(_ client: IPAddress, sendAway: @escaping @Sendable () -> Void) -> GuestID? {
        let networks = [client] + (client.isV4 ? [24, 16] : [48, 32]).map { client.prefix($0) }
        let (id, leaving) = state.withLock { state -> (GuestID?, Guest?) in
            var leaving: Guest?
            if let (place, network) = crowd(networks, state) {
                let oldest = state.guests.filter { !$0.value.isAsking && $0.value.networks[place] == network }
                guard let id = oldest.keys.min() else { return (nil, nil) }
                leaving = remove(id, &state)
            }
            state.lastID += 1
            state.guests[state.lastID] = Guest(networks: networks, sendAway: sendAway)
            for (place, network) in networks.enumerated() { state.counts[place][network, default: 0] += 1 }
            return (GuestID(value: state.lastID), leaving)
        }
        leaving?.sendAway()
        return id
    }

    /// Its token is being looked at.
    func isAsking(_ guest: GuestID) { state.withLock { $0.guests[guest.value]?.isAsking = true } }

    func leave(_ guest: GuestID) { _ = state.withLock { remove(guest.value, &$0) } }

    /// The number of those that wait.
    var count: Int { state.withLock(\.guests.count) }

    /// The network that must make room for a newcomer, if one must.
    private func crowd(_ networks: [IPAddress], _ state: borrowing State) -> (place: Int, network: IPAddress)? {
        for (place, network) in networks.enumerated() where state.counts[place][network] ?? 0 >= shares[place] {
            return (place, network)
        }
        guard state.guests.count >= capacity else { return nil }
        var most: (place: Int, network: IPAddress, fullness: Double)?
        for (place, counts) in state.counts.enumerated() {
            for (network, count) in counts {
                let fullness = Double(count) / Double(shares[place])
                if fullness > most?.fullness ?? 0 { most = (place, network, fullness) }
            }
        }
        return most.map { ($0.place, $0.network) }
    }

    private func remove(_ id: UInt64, _ state: inout State) -> Guest? {
        guard let guest = state.guests.removeValue(forKey: id) else { return nil }
        for (place, network) in guest.networks.enumerated() {
            let left = (state.counts[place][network] ?? 0) - 1
            state.counts[place][network] = left > 0 ? left : nil
        }
        return guest
    }
}
