import ChatCore

extension RevisionBatch {
    /// The changes that a batch makes, before their chats' heads are locked: revisions are counted down from 0 until then,
    /// and none of these can be one that a client expects.
    struct Steps {
        private(set) var counts: [Chat.ID: (changed: Int64, deleted: Int64)] = [:]
        /// The messages as they are after the changes so far, but for the text of their reactions.
        private(set) var current: [Key: Message]
        /// The messages whose content changes.
        private(set) var edited: Set<Key> = []
        /// Those that get or lose reactions, and are not deleted.
        private(set) var reacted: Set<Key> = []
        /// Of all messages to which the batch reacts.
        private(set) var reactions: [Key: MessageReactions]
        /// Of all messages that the batch pins.
        private(set) var pins: Pins
        private var replaced: [(key: Key, version: MessageVersion)] = []

        init(_ locked: [Key: Message], reactions: [Key: MessageReactions], pins: Pins) {
            self.current = locked
            self.reactions = reactions
            self.pins = pins
        }

        private mutating func next(in chat: Chat.ID) -> Int64 {
            counts[chat, default: (0, 0)].changed += 1
            return -counts[chat]!.changed
        }

        /// - Parameter new: what an edit or a deletion makes of the message, without its revision.
        /// - Returns: with it.
        mutating func add(_ new: Message, at key: Key, keepsVersion: Bool, at now: Timestamp) -> Message {
            guard let old = current[key] else { return new }
            var message = new
            message.revision = next(in: key.chat)
            if message.deletion != nil {
                if message.reactionsRevision != 0 { message.reactionsRevision = message.revision }
                counts[key.chat, default: (0, 0)].deleted += 1
                replaced.removeAll { $0.key == key }
                reacted.remove(key)
                pins.drop(key)
            } else if keepsVersion {
                replaced.append((key, MessageVersion(of: old, replacedAt: now)))
            }
            current[key] = message
            edited.insert(key)
            return message
        }

        /// - Parameter reaction: one that changes something.
        mutating func add(_ reaction: Reaction, to key: Key) {
            let revision = next(in: key.chat)
            reactions[key]?.apply(reaction, at: revision)
            current[key]?.reactionsRevision = revision
            reacted.insert(key)
        }

        /// - Parameter pin: nil: it is taken back.
        /// - Returns: the revision of the change.
        mutating func set(_ pin: Pin?, at key: Key) -> Int64 {
            let revision = next(in: key.chat)
            pins.set(pin, at: key, revision: revision)
            return revision
        }

        /// The reactions that are to be stored.
        var changedReactions: [Key: MessageReactions] { reactions.filter { reacted.contains($0.key) } }

        /// The messages that have changed.
        ///
        /// - Parameter reactions: those that were stored.
        func messages(counting bases: [Chat.ID: Int64], _ reactions: [Key: MessageReactions]) -> [Key: Message] {
            var messages: [Key: Message] = [:]
            for key in edited.union(reacted) {
                guard var message = current[key]?.counting(from: bases[key.chat]) else { continue }
                if let reactions = reactions[key] { message.reactions = reactions.summary.json }
                messages[key] = message
            }
            return messages
        }

        func versions(counting bases: [Chat.ID: Int64]) -> [(key: Key, version: MessageVersion)] {
            replaced.map { key, version in
                let revision = Message.revision(version.revision, from: bases[key.chat])
                return (
                    key,
                    MessageVersion(
                        revision: revision, body: version.body, metadata: version.metadata,
                        mentions: version.mentions,
                        createdAt: version.createdAt, replacedAt: version.replacedAt)
                )
            }
        }
    }
}

extension Message {
    /// The revision that one counted down stands for.
    static func revision(_ revision: Int64, from base: Int64?) -> Int64 {
        revision < 0 ? (base ?? 0) - revision : revision
    }

    fileprivate func counting(from base: Int64?) -> Message {
        var message = self
        message.revision = Self.revision(revision, from: base)
        message.reactionsRevision = Self.revision(reactionsRevision, from: base)
        return message
    }
}

extension RevisionBatch.Outcome {
    /// - Parameter chat: of the change.
    func counting(from bases: [Chat.ID: Int64], in chat: Chat.ID) -> Self {
        mapMessage { $0 = $0.counting(from: bases[chat]) }.map { changed in
            var changed = changed
            changed.pinRevision = Message.revision(changed.pinRevision, from: bases[chat])
            return changed
        }
    }

    func mapMessage(_ change: (inout Message) -> Void) -> Self {
        switch self {
        case .success(let changed):
            var message = changed.message
            change(&message)
            return .success(
                ChangedMessage(
                    message: message, isChanged: changed.isChanged, isReplay: changed.isReplay, pin: changed.pin,
                    pinRevision: changed.pinRevision))
        case .failure(.changedMeanwhile(var message)):
            change(&message)
            return .failure(.changedMeanwhile(message))
        case .failure: return self
        }
    }
}
