import ChatCore
import Logging
import Metrics
import NIOCore
import Synchronization

/// Limits the connections of one server: in all, from one address, and streams.
///
/// At the limit, or at an address' share of it, the longest idle connection is closed. Connections that never sent a
/// request go first, so that a flood of connections evicts itself before others. If none is idle, the new connection is
/// a *spare*: it gets one answer, which is 503 for all but health and metrics. So a full server still answers.
final class ConnectionSlots: Sendable {
    /// One connection's slot.
    final class Slot: Sendable {
        /// The peer's; of IPv6 the network.
        let address: IPAddress
        /// Whether the peer is a trusted proxy: then it counts for no address, and each request for its client's.
        let isProxied: Bool
        let isSpare: Bool
        fileprivate let channel: any Channel
        /// When its last request ended, in nanoseconds of its event loop's clock; `busy` during a request.
        private let idleSince = Atomic(busy)
        private static let busy = UInt64.max
        private let hasAsked = Atomic(false)
        fileprivate let isStream = Atomic(false)

        fileprivate init(_ address: IPAddress, isProxied: Bool, isSpare: Bool, channel: any Channel) {
            self.address = address
            self.isProxied = isProxied
            self.isSpare = isSpare
            self.channel = channel
        }

        func idles(since time: NIODeadline) { idleSince.store(time.uptimeNanoseconds, ordering: .relaxed) }

        func isBusy() {
            hasAsked.store(true, ordering: .relaxed)
            isLeaving()
        }

        fileprivate func isLeaving() { idleSince.store(Self.busy, ordering: .relaxed) }

        /// Nil during a request.
        fileprivate var idle: (hasAsked: Bool, since: UInt64)? {
            let since = idleSince.load(ordering: .relaxed)
            return since == Self.busy ? nil : (hasAsked.load(ordering: .relaxed), since)
        }
    }

    /// Asks a pipeline to close if it is idle.
    struct MakeRoom {}

    private struct State {
        var slots: [ObjectIdentifier: Slot] = [:]
        var byAddress: [IPAddress: Int] = [:]
        var spares = 0
        /// Streams of HTTP/2 beside the first of their connections.
        var beside = 0
        /// Streams of events and WebSockets, and the connections that are nothing else.
        var streams = 0
        var streamConnections = 0
        /// Streams of each application.
        var streamsOf: [Tenant.ID: Int] = [:]
        /// The applications of the connections that are streams.
        var tenants: [ObjectIdentifier: Tenant.ID] = [:]
        var isFull = false
        var isQuiescing = false

        /// What counts towards the limit.
        var taken: Int { slots.count - spares + beside }

        mutating func give(_ address: IPAddress) { byAddress.giveOne(address) }

        /// Counts a stream.
        ///
        /// - Returns: false at the limit, or at the application's share of it.
        mutating func beginStream(of tenant: Tenant.ID?, bound: Int, share: Int) -> Bool {
            guard streams < bound else { return false }
            if let tenant {
                guard streamsOf[tenant] ?? 0 < share else { return false }
                streamsOf[tenant, default: 0] += 1
            }
            streams += 1
            return true
        }

        mutating func endStream(of tenant: Tenant.ID?) {
            streams -= 1
            if let tenant { streamsOf.giveOne(tenant) }
        }
    }

    /// The limit of open connections, spares included.
    let accepted: Int
    /// The limit of spares.
    private let spares: Int
    /// The limit of ordinary connections. One connection is left over for the newcomer that makes idle ones close.
    private let bound: Int
    private let share: Int
    private let proxies: TrustedProxies
    /// A sixteenth of the connections is reserved for requests.
    private var streamBound: Int { max(1, bound - max(1, bound / 16)) }
    /// The limit of streams of one application. Another sixteenth is left for those of others.
    private var streamShare: Int { max(1, bound - max(2, bound / 8)) }
    private let state = Mutex(State())
    private let logger: Logger
    private let full: Meter

    /// - Parameters:
    ///   - accepted: the limit of open connections.
    ///   - share: the limit for one address.
    ///   - proxies: have no limit themselves; their clients have.
    init(
        accepted: Int, share: Int, proxies: TrustedProxies = TrustedProxies(), logger: Logger,
        metrics: any MetricsFactory
    ) {
        self.proxies = proxies
        self.accepted = accepted
        self.spares = min(64, max(1, accepted / 16))
        self.bound = max(1, accepted - spares - 1)
        self.share = share
        self.logger = logger
        self.full = Meter(label: "luciq_http_connections_full", factory: metrics)
        full.set(0)
    }

    func enter(_ channel: any Channel) -> Slot {
        let peer = IPAddress(channel.remoteAddress)
        let (address, isProxied) = (peer.network, proxies.trusts(peer))
        let (slot, leaving) = state.withLock { state in
            let own = isProxied ? 0 : state.byAddress[address] ?? 0
            var leaving: [Slot] = []
            var isSpare = false
            if state.taken >= bound {
                setFull(true, &state)
                leaving = longestIdle(of: nil, &state)
                isSpare = leaving.isEmpty
            } else if own >= share {
                leaving = longestIdle(of: address, &state)
                isSpare = leaving.isEmpty
            }
            if isSpare, state.spares >= spares { leaving = idleSpares(&state) }
            let slot = Slot(address, isProxied: isProxied, isSpare: isSpare, channel: channel)
            state.slots[ObjectIdentifier(slot)] = slot
            if isSpare { state.spares += 1 } else if !isProxied { state.byAddress[address] = own + 1 }
            return (slot, leaving)
        }
        for slot in leaving { slot.channel.pipeline.fireUserInboundEventTriggered(MakeRoom()) }
        return slot
    }

    func leave(_ slot: Slot) {
        state.withLock { state in
            guard state.slots.removeValue(forKey: ObjectIdentifier(slot)) != nil else { return }
            if slot.isStream.load(ordering: .relaxed) {
                state.endStream(of: state.tenants.removeValue(forKey: ObjectIdentifier(slot)))
                state.streamConnections -= 1
            }
            if slot.isSpare {
                state.spares -= 1
            } else if !slot.isProxied {
                state.give(slot.address)
            }
            endFull(&state)
        }
    }

    /// Counts a request that a trusted proxy brings for its client.
    ///
    /// - Returns: false at the client's share of the connections; then it is not counted.
    func carries(for client: IPAddress) -> Bool {
        state.withLock { state in
            guard state.byAddress[client] ?? 0 < share else { return false }
            state.byAddress[client, default: 0] += 1
            return true
        }
    }

    /// A request has ended that `carries` counted.
    func carried(for client: IPAddress) { state.withLock { $0.give(client) } }

    /// Counts the connection as a stream (or WebSocket) from now on.
    ///
    /// - Parameter tenant: the application that it is for.
    /// - Returns: false at the limit, or at the application's share of it.
    func becomesStream(_ slot: Slot, of tenant: Tenant.ID?) -> Bool {
        state.withLock { state in
            guard !slot.isSpare, state.beginStream(of: tenant, bound: streamBound, share: streamShare) else {
                return false
            }
            state.tenants[ObjectIdentifier(slot)] = tenant
            state.streamConnections += 1
            slot.isStream.store(true, ordering: .relaxed)
            return true
        }
    }

    /// Counts a stream that was for no application so far for one.
    ///
    /// - Returns: false at the application's share, and for a connection that has left.
    func isStream(_ slot: Slot, of tenant: Tenant.ID) -> Bool {
        state.withLock { state in
            let id = ObjectIdentifier(slot)
            guard state.slots[id] != nil, state.tenants[id] == nil, state.streamsOf[tenant] ?? 0 < streamShare else {
                return false
            }
            state.streamsOf[tenant, default: 0] += 1
            state.tenants[id] = tenant
            return true
        }
    }

    /// Counts a stream of HTTP/2 as a connection. The first of a connection has the connection's own slot.
    ///
    /// - Returns: false if there is no room, and no idle connection that makes some.
    func enterStream(of slot: Slot) -> Bool {
        let leaving = state.withLock { state -> [Slot]? in
            guard !slot.isSpare else { return nil }
            var leaving: [Slot] = []
            if state.taken >= bound {
                setFull(true, &state)
                leaving = longestIdle(of: nil, &state)
                if leaving.isEmpty { return nil }
            } else if !slot.isProxied, state.byAddress[slot.address] ?? 0 >= share {
                leaving = longestIdle(of: slot.address, &state)
                if leaving.isEmpty { return nil }
            }
            state.beside += 1
            if !slot.isProxied { state.byAddress[slot.address, default: 0] += 1 }
            return leaving
        }
        for slot in leaving ?? [] { slot.channel.pipeline.fireUserInboundEventTriggered(MakeRoom()) }
        return leaving != nil
    }

    /// A stream has ended that `enterStream` counted.
    func leaveStream(of slot: Slot) {
        state.withLock { state in
            state.beside -= 1
            if !slot.isProxied { state.give(slot.address) }
            endFull(&state)
        }
    }

    /// Counts a stream of events over HTTP/2.
    ///
    /// - Returns: false at the limit, or at the application's share of it.
    func beginsStream(of tenant: Tenant.ID?) -> Bool {
        state.withLock { $0.beginStream(of: tenant, bound: streamBound, share: streamShare) }
    }

    /// It has ended.
    func endsStream(of tenant: Tenant.ID?) { state.withLock { $0.endStream(of: tenant) } }

    /// Whether the server shuts down.
    var isQuiescing: Bool { state.withLock(\.isQuiescing) }

    /// Tells all connections that the server shuts down, and waits until they have closed. It waits for streams and
    /// WebSockets for a few seconds only.
    func quiesce() async {
        let slots = state.withLock { state in
            state.isQuiescing = true
            return Array(state.slots.values)
        }
        for slot in slots { slot.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        let end = ContinuousClock.now.advanced(by: ConnectionState.linger * 2)
        while !Task.isCancelled {
            let (open, streams) = state.withLock { ($0.slots.count, $0.streamConnections) }
            if open == streams, streams == 0 || ContinuousClock.now >= end { return }
            try? await Task.sleep(for: .milliseconds(5))  // Returns early when cancelled.
        }
    }

    /// The longest idle connections, a few at a time, so that a flood of connections does not search all for each.
    private func longestIdle(of address: IPAddress?, _ state: inout State) -> [Slot] {
        let idle = state.slots.values.compactMap { slot -> (hasAsked: Bool, since: UInt64, slot: Slot)? in
            guard !slot.isSpare, address == nil || !slot.isProxied && slot.address == address else { return nil }
            return slot.idle.map { ($0.hasAsked, $0.since, slot) }
        }
        let order = idle.sorted { $0.hasAsked == $1.hasAsked ? $0.since < $1.since : $1.hasAsked }
        let some = order.prefix(1 + (address == nil ? bound : share) / 64)
        // Ask each only once.
        for (_, _, slot) in some { slot.isLeaving() }
        return some.map(\.slot)
    }

    private func idleSpares(_ state: inout State) -> [Slot] {
        state.slots.values.filter { $0.isSpare && $0.idle != nil }
    }

    /// Well below the limit, so that connections that come and go at the limit do not log each time.
    private func endFull(_ state: inout State) {
        if state.slots.count + state.beside < bound - bound / 10 { setFull(false, &state) }
    }

    private func setFull(_ isFull: Bool, _ state: inout State) {
        guard state.isFull != isFull else { return }
        state.isFull = isFull
        full.set(isFull ? 1 : 0)
        if isFull {
            logger.warning("Connections full: idle ones are closed, others refused", metadata: ["limit": "\(bound)"])
        } else {
            logger.notice("Connections free again", metadata: ["open": "\(state.slots.count)"])
        }
    }
}

/// The connection of a WebSocket among the others.
struct StreamPlace {
    let slot: ConnectionSlots.Slot?
    let slots: ConnectionSlots
    /// Of its event loop.
    let turns: LoopTurns

    /// Counts it for an application, which was not known when it began.
    ///
    /// - Returns: false at the application's share.
    func belongs(to tenant: Tenant.ID) -> Bool { slot.map { slots.isStream($0, of: tenant) } ?? true }
}

extension Dictionary where Value == Int {
    fileprivate mutating func giveOne(_ key: Key) {
        let own = self[key, default: 1] - 1
        self[key] = own > 0 ? own : nil
    }
}
