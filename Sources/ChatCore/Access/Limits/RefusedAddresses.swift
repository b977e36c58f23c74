/// The addresses whose credentials are refused for now.
///
/// It holds at most `capacity` networks and lets none of them go early: when there would be more, networks that lie together
/// become one that is wider. So a flood from many addresses refuses some of their neighbours too, in the worst case all of
/// IPv4 or of IPv6, and never looks at the credentials of an address that has used up its guesses.
struct RefusedAddresses {
    /// Bits of a network, the narrowest first; those of IPv4 as a part of IPv6.
    static let widths = (v4: [128, 120, 112, 96], v6: [64, 48, 32, 0])
    /// Of the networks whose failures are counted.
    static let countedWidths = (v4: [128], v6: [64, 48, 32])

    private let capacity: Int
    /// Moments in microseconds.
    private var until: [AddressRange: Int64] = [:]

    init(capacity: Int) { self.capacity = max(8, capacity) }

    var count: Int { until.count }
    var isEmpty: Bool { until.isEmpty }

    /// Refuses a network until then.
    mutating func refuse(_ network: AddressRange, until moment: Int64, at now: Int64) {
        until[network] = max(moment, until[network] ?? .min)
        if until.count > capacity { shrink(at: now) }
    }

    /// Until when an address is refused; nil if it is not. Forgets what is over.
    mutating func end(of address: IPAddress, at now: Int64) -> Int64? {
        var end: Int64?
        for width in Self.widths(of: address) {
            let network = AddressRange(of: address, width: width)
            guard let moment = until[network] else { continue }
            if moment <= now { until[network] = nil } else { end = max(moment, end ?? .min) }
        }
        return end
    }

    /// The networks of an address whose failures are counted, the narrowest first.
    static func counted(_ address: IPAddress) -> [AddressRange] {
        (address.isV4 ? countedWidths.v4 : countedWidths.v6).map { AddressRange(of: address, width: $0) }
    }

    private static func widths(of address: IPAddress) -> [Int] { address.isV4 ? widths.v4 : widths.v6 }

    /// To a half, so that the next `capacity / 2` networks cost nothing.
    private mutating func shrink(at now: Int64) {
        until = until.filter { $0.value > now }
        for level in 1..<Self.widths.v6.count where until.count > capacity / 2 { merge(to: level) }
    }

    /// Merges the most crowded networks of this level first, and as few as it takes.
    private mutating func merge(to level: Int) {
        func wider(_ network: AddressRange) -> AddressRange? {
            let width = Self.widths(of: network.first)[level]
            return network.width > width ? AddressRange(of: network.first, width: width) : nil
        }
        var members: [AddressRange: [AddressRange]] = [:]
        for network in until.keys { if let wide = wider(network) { members[wide, default: []].append(network) } }
        for (wide, networks) in members.sorted(by: { $0.value.count > $1.value.count }) {
            guard until.count > capacity / 2, networks.count > 1 else { return }
            for network in networks {
                guard let moment = until.removeValue(forKey: network) else { continue }
                until[wide] = max(moment, until[wide] ?? .min)
            }
        }
    }
}
