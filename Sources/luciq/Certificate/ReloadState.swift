/// Decides when a certificate's files are read again, and which failures are reported, without files or a clock.
struct ReloadState<Version: Equatable> {
    private var loaded: Version
    /// The state in which they could not be used when they were last read.
    private var failed: Version?
    /// The same, once it was reported.
    private var reported: Version?

    /// - Parameter loaded: the state of the files in use.
    init(loaded: Version) { self.loaded = loaded }

    /// Whether the files cannot be used, and this was reported.
    var isFailing: Bool { reported != nil }

    /// Whether to read the files, which are in this state now.
    mutating func looks(_ version: Version) -> Bool {
        // They were put back.
        if version == loaded { hasLoaded(version) }
        return version != loaded && version != reported
    }

    mutating func hasLoaded(_ version: Version) {
        loaded = version
        failed = nil
        reported = nil
    }

    /// The files cannot be used. Two files may change one after the other, and a file while it is read: it counts only
    /// if they are in the same state at the next look.
    ///
    /// - Parameter isAsked: somebody asked for them to be read, and gets an answer at once.
    /// - Returns: whether to report it.
    mutating func hasFailed(_ version: Version, isAsked: Bool) -> Bool {
        defer { failed = version }
        guard isAsked || version == failed else { return false }
        reported = version
        return true
    }
}
