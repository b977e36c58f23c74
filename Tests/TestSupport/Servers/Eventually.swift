/// Asks until the answer is yes.
///
/// - Throws: `ServerFailure` when it is not within the time; what `isTrue` throws.
nonisolated(nonsending) package func eventually(
    _ what: String, within seconds: Double = 20, _ isTrue: () async throws -> Bool
) async throws {
    let until = ContinuousClock.now.advanced(by: .seconds(seconds))
    while true {
        if try await isTrue() { return }
        if ContinuousClock.now > until { throw ServerFailure("Not within \(seconds) s: \(what).") }
        try await Task.sleep(for: .milliseconds(20))
    }
}
