extension ChatService {
    /// Makes every process notice a change of who may see what in a chat: when this returns, it holds in this one.
    func changed(_ change: MembersChanged) async {
        // `memberships` forget it by the same event.
        backend.bus.publish(change)
        await hub.review(change)
    }

    /// The same for this process alone.
    func review(_ change: MembersChanged) async {
        memberships.forget(change)
        await hub.review(change)
    }
}
