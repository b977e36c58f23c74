/// The findings of `luciq verify`.
package struct StoreReport: Codable, Equatable, Sendable {
    /// How many problems are listed; all are counted.
    package static let listedProblems = 1000

    package var applications: Int64 = 0
    package var chats: Int64 = 0
    package var messages: Int64 = 0
    package var problemCount: Int64 = 0
    /// One sentence each.
    package var problems: [String] = []
    package var mendedCount: Int64 = 0
    /// The repaired problems, one sentence each.
    package var mended: [String] = []

    package init() {}

    package var isClean: Bool { problemCount == 0 }

    package mutating func add(_ problem: String) {
        problemCount += 1
        if problems.count < Self.listedProblems { problems.append(problem) }
    }

    package mutating func addMended(_ what: String) {
        mendedCount += 1
        if mended.count < Self.listedProblems { mended.append(what) }
    }
}
