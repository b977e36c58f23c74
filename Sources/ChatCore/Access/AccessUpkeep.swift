import Logging
import ServiceLifecycle

/// Stores when keys were used, and ends what was opened with keys that have expired since.
struct AccessUpkeep: Service {
    static let interval = Duration.seconds(1)
    /// Uses are stored every so many intervals.
    private static let storing = 5

    let authenticator: Authenticator
    let writer: TenantWriter
    let time: Timekeeper
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            // Cancelled: end.
            var count = 0
            while (try? await time.sleep(time.now() + Self.interval)) != nil, !Task.isCancelled {
                await authenticator.endExpired()
                count += 1
                if count % Self.storing == 0 { await storeUses() }
            }
        }
        // The writers end after this service.
        await storeUses()
    }

    private func storeUses() async {
        while true {
            let (uses, tokenUses) = (authenticator.usage.take(), authenticator.users.usage.take())
            if uses.isEmpty, tokenUses.isEmpty { return }
            do {
                if !uses.isEmpty { _ = try await writer.submit(.useKeys(uses)) }
                if !tokenUses.isEmpty { _ = try await writer.submit(.useTokenKeys(tokenUses)) }
            } catch {
                // Only information, and the next use is noted again: not worth keeping.
                return logger.warning("Last uses of keys not stored", metadata: ["error": ChatError.forLog(error)])
            }
        }
    }
}
