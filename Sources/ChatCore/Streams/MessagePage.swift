import Synchronization

/// Messages that readers are given at a time. Readers of a chat that are equally far share them, and what has been made of
/// them: they are written out once, however many readers there are.
package final class MessagePage: Sendable {
    /// At least one, in number order.
    package let messages: [Message]
    private let forms = Mutex<[any Sendable]>([])

    package init(_ messages: [Message]) { self.messages = messages }

    /// The messages in a form of that type, which is made at most once.
    package func form<Form: Sendable>(_ make: ([Message]) -> Form) -> Form {
        forms.withLock { forms in
            for case let form as Form in forms { return form }
            let form = make(messages)
            forms.append(form)
            return form
        }
    }

    /// In one chat the same numbers are the same messages.
    func hasSameNumbers(as other: [Message]) -> Bool {
        messages.first?.number == other.first?.number && messages.last?.number == other.last?.number
    }
}
