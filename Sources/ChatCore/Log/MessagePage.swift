import Synchronization

/// Messages that readers are given at a time. Readers of a chat that are equally far share them, and what has been made of
/// them: they are written out once, however many readers there are.
package final class MessagePage: Sendable {
    /// At least one, in number order.
    package let messages: [Message]
    private let forms = Mutex<(made: [any MessageForm], bytes: Int)>(([], 0))
    /// Called with the bytes that are held for it, and with all of them, negative, at its end.
    private let onHold: @Sendable (Int) -> Void

    init(_ messages: [Message], onHold: @escaping @Sendable (Int) -> Void = { _ in }) {
        self.messages = messages
        self.onHold = onHold
    }

    deinit {
        let bytes = forms.withLock(\.bytes)
        if bytes > 0 { onHold(-bytes) }
    }

    /// The messages in a form of that type, which is made at most once. The page must be kept for as long as the form is.
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

    /// In one chat the same numbers are the same messages.
    func hasSameNumbers(as other: [Message]) -> Bool {
        messages.first?.number == other.first?.number && messages.last?.number == other.last?.number
    }
}

/// Messages as they are written out.
package protocol MessageForm: Sendable {
    /// That it takes.
    var bytes: Int { get }
}
