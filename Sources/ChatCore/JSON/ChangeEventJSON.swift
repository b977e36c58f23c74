/// The state of a thing that has changed, as JSON in events.
package struct ChangeEventJSON: JSONWritable {
    private let event: ChangeEvent
    private let base: Int64

    /// - Parameter base: the reader has all changes up to this revision.
    package init(_ event: ChangeEvent, since base: Int64) {
        self.event = event
        self.base = base
    }

    package func write(to json: inout JSONWriter) {
        switch event.thing {
        case .message(let message): MessageChangeJSON(message, since: base).write(to: &json)
        }
    }
}

extension ChangeEvent {
    /// The type of the event, as clients see it.
    package var type: String {
        switch thing {
        case .message: "message.changed"
        }
    }
}
