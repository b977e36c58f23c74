extension ChatScope {
    /// Pins a message; durable when this returns.
    ///
    /// - Parameter user: for whom the application does it; nobody if nil.
    /// - Throws: `ChatError.notFound`, `.notAllowed`, `.insufficientRole`, `.messageDeleted`, `.tooManyPins`, `.invalid`; what
    ///   `GroupCommit.submit` throws.
    package func pin(_ number: Substring, as user: User.ID? = nil) async throws -> Pin {
        let actor = user == nil && tenant.access.user == nil ? nil : try actor(user)
        guard let pin = try await submit(change(number, .pin(.pin(by: actor)))).pin else { throw ChatError.notFound }
        return pin
    }

    /// Takes a pin back.
    ///
    /// - Throws: likewise.
    package func unpin(_ number: Substring, as user: User.ID? = nil) async throws -> Message.Number {
        if user != nil { _ = try actor(user) }
        return try await submit(change(number, .pin(.unpin))).message.number
    }

    /// The pins that are there for the principal, by their messages' numbers.
    package func pins() async throws -> [Pin] {
        try await read { scope in
            let pins = try await tenant.service.backend.changes.pins(of: scope.id)
            guard let numbers = scope.standing?.numbers else { return pins }
            return pins.filter { numbers.contains($0.number.rawValue) }
        }
    }
}
