/// A message that its chat shows in a place of its own.
package struct Pin: Equatable, Sendable {
    /// The most of one chat.
    package static let most = 100

    package let number: Message.Number
    /// Nil: a key or the path's token, which have named nobody.
    package let user: User.ID?
    package let at: Timestamp

    package init(number: Message.Number, user: User.ID?, at: Timestamp) {
        self.number = number
        self.user = user
        self.at = at
    }
}

extension MessageChange {
    /// Pins the message, or takes the pin back.
    package enum PinAction: Hashable, Sendable {
        /// For a user, or for nobody.
        case pin(by: User.ID?)
        case unpin
    }

    /// Nil for what changes no pin.
    package var pinAction: PinAction? { if case .pin(let action) = action { action } else { nil } }

    /// What the change makes of the message's pin. Called as `decide(on:as:at:)` is. Who may write in the chat may pin.
    ///
    /// - Parameters:
    ///   - pin: of the message as it is.
    ///   - count: of the chat's pins; the store has locked the chat's head, so that nobody adds one meanwhile.
    /// - Returns: the pin then, and whether that is a change.
    /// - Throws: `ChatError.notFound`, `.insufficientRole`, `.messageDeleted`, `.tooManyPins`.
    package func decide(
        _ action: PinAction, of message: Message, now pin: Pin?, among count: Int, as standing: Standing?,
        at time: Timestamp
    ) throws(ChatError) -> (pin: Pin?, isChanged: Bool) {
        try checkSees(standing)
        if author.user != nil { try standing?.checkMayWrite() }
        switch action {
        case .unpin: return (nil, pin != nil)
        case .pin(let user):
            guard message.deletion == nil else { throw .messageDeleted }
            if let pin { return (pin, false) }
            guard count < Pin.most else { throw .tooManyPins }
            return (Pin(number: message.number, user: user, at: time), true)
        }
    }
}
