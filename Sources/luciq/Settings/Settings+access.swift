import ChatCore
import ChatHTTP

extension Settings {
    /// The most keys in `LUCIQ_ADMIN_KEY`.
    private static let mostKeys = 16

    /// Who may make applications.
    ///
    /// - Parameter host: the address to listen on. On another one than a loopback address, the settings must say it.
    func accessPolicy(listeningOn host: String) throws -> AccessPolicy {
        let keys = try adminKeys()
        let isLocal = AllowedHosts.isLoopback(host)
        let lifetime = Duration.seconds(
            try number(Setup.tokenMaxLifetime, in: 60...Int(UserToken.longestLifetime.components.seconds)))
        if let isOpen = try flag(Setup.openApplications) {
            guard isOpen || !keys.isEmpty else {
                throw Invalid(
                    description: """
                        With OPEN_APPLICATIONS=false nobody could make an application: set LUCIQ_ADMIN_KEY to a key (luciq \
                        keys admin prints one).
                        """)
            }
            return AccessPolicy(
                adminKeys: keys, isOpen: isOpen, tokenMaxLifetime: lifetime, takesDemoKeys: isLocal)
        }
        guard !keys.isEmpty || isLocal else {
            throw Invalid(
                description: """
                    On \(host) anyone who reaches this server could make applications. Set LUCIQ_ADMIN_KEY to a key, which \
                    is then needed (luciq keys admin prints one), or OPEN_APPLICATIONS=true if anyone may.
                    """)
        }
        return AccessPolicy(
            adminKeys: keys, isOpen: keys.isEmpty, tokenMaxLifetime: lifetime, takesDemoKeys: isLocal)
    }

    /// How long after the request an application is deleted.
    func deletionDelay() throws -> Duration {
        .seconds(try number(Setup.deleteAfterDays, in: 0...3650) * 86_400)
    }

    /// How long messages may be edited, and what is kept of them.
    func editRules() throws -> EditRules {
        EditRules(
            window: .seconds(try number(Setup.editWindow, in: 0...3_153_600_000)),
            historyDays: try number(Setup.editHistoryDays, in: 0...3650))
    }

    private func adminKeys() throws -> [AccessKey] {
        let texts = try text(Setup.adminKey).split { $0 == "," || $0 == " " }
        guard texts.count <= Self.mostKeys else {
            throw Invalid(description: "LUCIQ_ADMIN_KEY must be at most \(Self.mostKeys) keys, separated by commas.")
        }
        return try texts.map { text in
            guard let key = AccessKey(text), key.kind == .admin else {
                throw Invalid(
                    description: """
                        LUCIQ_ADMIN_KEY must be keys that luciq keys admin printed (lq_adm_…), separated by commas, without \
                        a mistake in them.
                        """)
            }
            return key
        }
    }
}
