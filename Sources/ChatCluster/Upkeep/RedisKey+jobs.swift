extension RedisKey {
    /// Of a set of marks: the marks that a sync is working off.
    static func taken(_ marks: String) -> String { marks + ":taken" }
    /// Which take they are of.
    static func generation(_ marks: String) -> String { marks + ":generation" }
    /// Equal to the table's (`JobPosition`) as long as no mark may have been lost.
    static func epoch(_ marks: String) -> String { marks + ":epoch" }

    static let epochs = [epoch(dirtyChats), epoch(dirtyApplications)]
}
