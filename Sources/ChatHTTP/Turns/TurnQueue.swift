import NIOCore

/// What waits for its turn, shared out among who it is for: however much of one waits, another's first is served after a
/// few.
///
/// There are two orders, of which each gives every other turn. In one the applications take turns, and in each of them
/// its credentials. In the other the addresses take turns, in each of them its applications, and so on. So neither one
/// application behind many addresses nor one address with many applications takes more than a half.
struct TurnQueue<Item> {
    /// Whose turn it is: hashes, so that it is small, whatever a client sends.
    struct Owner: Hashable {
        let address: Int
        let application: Int
        let credentials: Int
    }

    /// In both orders; one of them gives it.
    private final class Entry {
        var item: Item?

        init(_ item: Item) { self.item = item }
    }

    /// What the other order has given may stay in an order, up to as much as waits and this.
    private static var spare: Int { 1024 }

    private let byApplication = TurnRing<Entry>()
    private let byAddress = TurnRing<Entry>()
    private var isAddressesTurn = false
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func add(_ item: Item, of owner: Owner) {
        let entry = Entry(item)
        byApplication.add(entry, at: [owner.application, owner.credentials])
        byAddress.add(entry, at: [owner.address, owner.application, owner.credentials])
        count += 1
    }

    mutating func next() -> Item? {
        isAddressesTurn.toggle()
        let order = isAddressesTurn ? byAddress : byApplication
        while let entry = order.next() {
            guard let item = entry.item else { continue }
            entry.item = nil
            count -= 1
            for order in [byApplication, byAddress] where count == 0 || order.count > 2 * count + Self.spare {
                order.keep { $0.item != nil }
            }
            return item
        }
        return nil
    }

    /// Entries of both orders.
    var held: Int { byApplication.count + byAddress.count }
}

/// Gives each of its parts a turn after the other. A part that is empty is not there.
private final class TurnRing<Entry> {
    private(set) var count = 0
    private var entries = CircularBuffer<Entry>()
    private var parts: [Int: TurnRing] = [:]
    private var turns = CircularBuffer<Int>()

    func add(_ entry: Entry, at path: ArraySlice<Int>) {
        count += 1
        guard let first = path.first else { return entries.append(entry) }
        let part: TurnRing
        if let known = parts[first] {
            part = known
        } else {
            part = TurnRing()
            parts[first] = part
            turns.append(first)
        }
        part.add(entry, at: path.dropFirst())
    }

    func next() -> Entry? {
        if let entry = entries.popFirst() {
            count -= 1
            return entry
        }
        guard let turn = turns.popFirst(), let part = parts[turn], let entry = part.next() else { return nil }
        count -= 1
        if part.count == 0 { parts[turn] = nil } else { turns.append(turn) }
        return entry
    }

    func keep(_ isKept: (Entry) -> Bool) {
        entries = CircularBuffer(entries.filter(isKept))
        for part in parts.values { part.keep(isKept) }
        parts = parts.filter { $0.value.count > 0 }
        turns = CircularBuffer(turns.filter { parts[$0] != nil })
        count = parts.values.reduce(entries.count) { $0 + $1.count }
    }
}
