/// What a connection showed last, and the access that it gave: clients show the same with every request, and comparing
/// bytes costs less than hashing, parsing and looking up.
///
/// It holds for a tenth of a second, so that what has a time to end ends in time, and no longer than until something
/// about any principal changes. It belongs to an event loop.
package final class RecentAccess {
    private static let keptFor = Duration.milliseconds(100)
    /// The longest `Authorization` that is kept, in bytes.
    private static let longest = 1 << 10

    private let application: String
    private let authorization: [UInt8]
    private let access: Access
    private let changes: UInt64
    private let moments: Range<Timestamp>
    private var charges: [LimitedAction: [RateCharge<String>]] = [:]

    /// - Parameters:
    ///   - application: as in `Credentials`.
    ///   - authorization: the header's value.
    ///   - changes: `ChatService.accessChanges` from before the access was looked up.
    /// - Returns: nil for what is too long to be kept.
    package init?(
        _ application: Substring, _ authorization: UnsafeRawBufferPointer, _ access: Access, at changes: UInt64
    ) {
        guard authorization.count <= Self.longest else { return nil }
        self.application = String(application)
        self.authorization = Array(authorization)
        self.access = access
        self.changes = changes
        let now = access.service.clock.now()
        self.moments = now..<now.adding(Self.keptFor)
    }

    /// The access that these credentials give.
    ///
    /// - Returns: nil if they are others, or have to be looked at again.
    /// - Throws: `ChatError.quotaExceeded` for an address that has shown wrong ones too often.
    package func access(
        _ application: Substring, _ authorization: UnsafeRawBufferPointer, from client: IPAddress
    ) throws(ChatError) -> Access? {
        let service = access.service
        guard changes == service.accessChanges, access.epoch == service.backend.epoch(), client == access.client,
            application == self.application, self.authorization.elementsEqual(authorization),
            moments.contains(service.clock.now())
        else { return nil }
        try service.limiter.checkFailures(from: client)
        return access
    }

    /// `Access.charges` of the access.
    package func charges(_ action: LimitedAction) -> [RateCharge<String>] {
        if let known = charges[action] { return known }
        let new = access.charges(action)
        charges[action] = new
        return new
    }
}

@available(*, unavailable)
extension RecentAccess: Sendable {}
