import Synchronization

/// A page of messages for readers. Readers of a chat at the same position share it and its encoded forms: each form is
/// made once, however many readers there are.
package final class MessagePage: Sendable {
    /// At least one, in number order.
    package let messages: [Message]
    private let forms = Mutex<(made: [any MessageForm], bytes: Int)>(([], 0))
    /// Called with the bytes of each new form, and with the negative sum of them at deinit.
    private let onHold: @Sendable (Int) -> Void

    init(_ messages: [Message], onHold: @escaping @Sendable (Int) -> Void = { _ in }) {
        self.messages = messages
        self.onHold = onHold
    }

    deinit {
        let bytes = forms.withLock(\.bytes)
        if bytes > 0 { onHold(-bytes) }
    }

    /// The messages in a form of this type, made at most once. Keep the page as long as the form.
    package func form<Form: MessageForm>(_ make: ([Message]) -> Form) -> Form {
        let (form, bytes) = forms.withLock { forms in
            for case let form as Form in forms.made { return (form, 0) }
            let form = make(messages)
            forms.made.append(form)
            forms.bytes += form.bytes
            return (form, form.bytes)
        }
        if bytes > 0 { onHold(bytes) }
        return form
    }

    /// Whether the messages are the same: in one chat equal numbers mean equal messages.
    func hasSameNumbers(as other: [Message]) -> Bool {
        messages.first?.number == other.first?.number && messages.last?.number == other.last?.number
    }
}

/// Messages in an encoded form.
package protocol MessageForm: Sendable {
    /// The form's size.
    var bytes: Int { get }
}
