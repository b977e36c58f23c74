import ChatCore

extension RevisionBatch {
    /// The changes that a batch makes, before their chats' heads are locked: revisions are counted down from 0 until then,
    /// and none of these can be one that a client expects.
    struct Steps {
        private(set) var counts: [Chat.ID: (changed: Int64, deleted: Int64)] = [:]
        private var changed: [Key: Message] = [:]
        private var replaced: [(key: Key, version: MessageVersion)] = []

        mutating func next(in chat: Chat.ID) -> Int64 {
            counts[chat, default: (0, 0)].changed += 1
            return -counts[chat]!.changed
        }

        mutating func add(
            _ message: Message, at key: Key, replacing old: Message, keepsVersion: Bool, at now: Timestamp
        ) {
            changed[key] = message
            if message.deletion != nil {
                counts[key.chat, default: (0, 0)].deleted += 1
                replaced.removeAll { $0.key == key }
            } else if keepsVersion {
                replaced.append((key, MessageVersion(of: old, replacedAt: now)))
            }
        }

        func messages(counting bases: [Chat.ID: Int64]) -> [Key: Message] {
            var messages = changed
            for (key, message) in changed { messages[key] = message.counting(from: bases[key.chat]) }
            return messages
        }

        func versions(counting bases: [Chat.ID: Int64]) -> [(key: Key, version: MessageVersion)] {
            replaced.map { key, version in
                let revision = Message.revision(version.revision, from: bases[key.chat])
                return (
                    key,
                    MessageVersion(
                        revision: revision, body: version.body, metadata: version.metadata,
                        createdAt: version.createdAt, replacedAt: version.replacedAt)
                )
            }
        }
    }
}

extension Message {
    /// The revision that one counted down stands for.
    fileprivate static func revision(_ revision: Int64, from base: Int64?) -> Int64 {
        revision < 0 ? (base ?? 0) - revision : revision
    }

    fileprivate func counting(from base: Int64?) -> Message {
        var message = self
        message.revision = Self.revision(revision, from: base)
        return message
    }
}

extension RevisionBatch.Outcome {
    /// - Parameter chat: of the change.
    func counting(from bases: [Chat.ID: Int64], in chat: Chat.ID) -> Self {
        switch self {
        case .success(let changed):
            .success(
                ChangedMessage(
                    message: changed.message.counting(from: bases[chat]), isChanged: changed.isChanged,
                    isReplay: changed.isReplay))
        case .failure(.changedMeanwhile(let message)):
            .failure(.changedMeanwhile(message.counting(from: bases[chat])))
        case .failure: self
        }
    }
}
