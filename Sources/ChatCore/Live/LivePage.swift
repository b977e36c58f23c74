import Synchronization

/// What a reader takes at once: messages by their numbers, changes by their revisions, or signals.
package struct LiveEvents: Sendable {
    package enum Items: Sendable {
        /// In number order.
        case messages([Message])
        /// By their revisions. Each is about what the reader has.
        case changes([ChangeEvent])
        /// They leave the cursor as it is.
        case signals([Signal])
    }

    package enum Event: Sendable {
        case message(Message)
        /// - Parameter since: `Cursor.base` of the reader.
        case change(ChangeEvent, since: Int64)
        case signal(Signal)
    }

    package let items: Items
    /// Where the reader stands before them. Its revision is nil for a reader of messages alone.
    package let start: Cursor

    /// Whether roots were left out.
    private let lacksRoots: Bool
    /// `Cursor.base` after each change.
    private let bases: [Int64]

    /// - Parameters:
    ///   - isWhole: of changes: whether nothing had changed after them.
    ///   - numbers: the messages that are there for the reader. If not all are, it is told of no thread: that would
    ///   count what it does not see.
    package init(_ items: Items, after start: Cursor, isWhole: Bool = false, for numbers: NumberSpan = .all) {
        self.start = start
        self.bases = if case .changes(let changes) = items { changes.bases(after: start.base, isWhole) } else { [] }
        self.lacksRoots = numbers != .all && items.haveRoots
        self.items = lacksRoots ? items.withoutRoots : items
    }

    package var count: Int {
        switch items {
        case .messages(let messages): messages.count
        case .changes(let changes): changes.count
        case .signals(let signals): signals.count
        }
    }

    package var isEmpty: Bool { count == 0 }

    /// The messages; none if they are changes.
    package var messages: [Message] {
        if case .messages(let messages) = items { messages } else { [] }
    }

    /// The changes; none if they are messages.
    package var changes: [ChangeEvent] {
        if case .changes(let changes) = items { changes } else { [] }
    }

    /// Each event, with the reader's cursor after it.
    package func event(at index: Int) -> (event: Event, cursor: Cursor) {
        switch items {
        case .messages(let messages):
            let message = messages[index]
            return (
                .message(message),
                start.at(message.number.rawValue)
            )
        case .changes(let changes):
            let change = changes[index]
            return (
                .change(change, since: start.base),
                Cursor(start.number, revision: change.revision, base: bases[index], epoch: start.epoch)
            )
        case .signals(let signals): return (.signal(signals[index]), start)
        }
    }

    /// Bytes of the texts of an event.
    package func textBytes(at index: Int) -> Int {
        switch items {
        case .messages(let messages): messages[index].body.utf8.count
        case .changes(let changes): changes[index].weight
        case .signals(let signals): signals[index].weight
        }
    }

    /// Its encoded bytes, estimated. Scans all texts.
    var writtenBytes: Int {
        switch items {
        case .messages(let messages): messages.reduce(0) { $0 + $1.writtenBytes }
        case .changes(let changes): changes.reduce(0) { $0 + $1.writtenBytes }
        case .signals(let signals): signals.reduce(0) { $0 + $1.weight }
        }
    }

    /// Whether both are the same: in one chat equal positions mean equal events, until a message changes.
    func isSame(as other: LiveEvents) -> Bool {
        guard lacksRoots == other.lacksRoots else { return false }
        return switch (items, other.items) {
        case (.messages(let messages), .messages(let others)):
            start.at(0) == other.start.at(0)
                && messages.first?.number == others.first?.number && messages.last?.number == others.last?.number
        case (.changes(let changes), .changes(let others)):
            start == other.start && bases.last == other.bases.last && changes.count == others.count
                && changes.first?.revision == others.first?.revision
                && changes.last?.revision == others.last?.revision
        case (.signals(let signals), .signals(let others)): signals == others
        case (.messages, _), (.changes, _), (.signals, _): false
        }
    }
}

extension [ChangeEvent] {
    /// `Cursor.base` after these events, one after another: where they are the next revisions, without a gap, whatever changed
    /// was told.
    func base(after base: Int64) -> Int64 { reduce(base) { $1.revision == $0 + 1 ? $0 + 1 : $0 } }

    /// - Parameter isWhole: whether nothing had changed after them.
    fileprivate func bases(after base: Int64, _ isWhole: Bool) -> [Int64] {
        var bases: [Int64] = []
        for event in self {
            bases.append(event.revision == (bases.last ?? base) + 1 ? event.revision : bases.last ?? base)
        }
        if isWhole, let last { bases[bases.count - 1] = last.revision }
        return bases
    }
}

extension LiveEvents.Items {
    fileprivate var haveRoots: Bool {
        switch self {
        case .messages(let messages): messages.contains { $0.root != nil }
        case .changes(let changes): changes.contains(where: \.hasRoot)
        case .signals: false
        }
    }

    fileprivate var withoutRoots: LiveEvents.Items {
        switch self {
        case .messages(let messages): .messages(messages.map(\.withoutRoot))
        case .changes(let changes): .changes(changes.map(\.withoutRoot))
        case .signals: self
        }
    }
}

/// A page of events for readers. Readers of a chat at the same position share it and its encoded forms: each form is made
/// once, however many readers there are.
package final class LivePage: Sendable {
    /// At least one.
    package let events: LiveEvents
    private let forms = Mutex<(made: [any LiveForm], bytes: Int)>(([], 0))
    /// Called with the bytes of each new form, and with the negative sum of them at deinit.
    private let onHold: @Sendable (Int) -> Void

    init(_ events: LiveEvents, onHold: @escaping @Sendable (Int) -> Void = { _ in }) {
        self.events = events
        self.onHold = onHold
    }

    deinit {
        let bytes = forms.withLock(\.bytes)
        if bytes > 0 { onHold(-bytes) }
    }

    /// The events in a form of this type, made at most once. Keep the page as long as the form.
    package func form<Form: LiveForm>(_ make: (LiveEvents) -> Form) -> Form {
        let (form, bytes) = forms.withLock { forms in
            for case let form as Form in forms.made { return (form, 0) }
            let form = make(events)
            forms.made.append(form)
            forms.bytes += form.bytes
            return (form, form.bytes)
        }
        if bytes > 0 { onHold(bytes) }
        return form
    }
}

/// Events in an encoded form.
package protocol LiveForm: Sendable {
    /// The form's size.
    var bytes: Int { get }
}
