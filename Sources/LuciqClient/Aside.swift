/// Changes of messages that a state does not hold.
struct Aside: Sendable, Equatable {
    /// How many of them.
    static let most = 1000

    /// All changes after this revision, of messages that are not held, are here.
    var since: Int64 = 0
    let most: Int
    private var changes: [Int64: MessageChange] = [:]
    /// The numbers, the one that changed last at the end.
    private var order: [Int64] = []

    init(most: Int = Aside.most) { self.most = most }

    /// - Returns: whether it has a part that is not older than the one that is here.
    @discardableResult
    mutating func put(_ change: MessageChange) -> Bool {
        var held = changes[change.number] ?? MessageChange(number: change.number)
        var isNew = false
        if let content = change.content, content.revision >= held.content?.revision ?? 0 {
            if held.content == nil { held.content = content } else { held.content?.add(content) }
            isNew = true
        }
        if let reactions = change.reactions, reactions.rev >= held.reactions?.rev ?? 0 {
            held.reactions = reactions
            isNew = true
        }
        guard isNew else { return false }
        if changes.updateValue(held, forKey: change.number) != nil, let place = order.lastIndex(of: change.number) {
            order.remove(at: place)
        }
        order.append(change.number)
        if order.count > most, let dropped = changes.removeValue(forKey: order.removeFirst()) {
            since = max(since, dropped.content?.revision ?? 0, dropped.reactions?.rev ?? 0)
        }
        return true
    }

    mutating func take(_ number: Int64) -> MessageChange? {
        guard let change = changes.removeValue(forKey: number) else { return nil }
        order.removeAll { $0 == number }
        return change
    }
}
