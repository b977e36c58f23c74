import ChatCore

extension Array {
    /// Carries out the entries of each owner in a transaction of its own, so that a locked row holds up its own owner
    /// alone.
    ///
    /// - Parameter body: answers the entries of one owner, each in its place.
    /// - Returns: one result for each entry; `.held` for those that were not tried, because others took the time.
    func eachOwner<Success>(
        _ owner: (Element) -> Int64, within retry: Retry,
        _ body: ([Element]) async throws(ChatError) -> [Result<Success, ChatError>]
    ) async -> [Result<Success, ChatError>] {
        var results: [Result<Success, ChatError>] = map { _ in .failure(.held) }
        for places in Dictionary(grouping: indices, by: { owner(self[$0]) }).values {
            // If each of them costs a second, the last ones are not tried.
            guard retry.remaining > .zero else { break }
            do throws(ChatError) {
                let some = try await body(places.map { self[$0] })
                for (place, result) in zip(places, some) { results[place] = result }
            } catch {
                for place in places { results[place] = .failure(error) }
            }
        }
        return results
    }
}
