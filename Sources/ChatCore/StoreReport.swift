/// What `luciq verify` found.
package struct StoreReport: Codable, Equatable, Sendable {
    /// How many problems are spelled out; all are counted.
    package static let listedProblems = 1000

    package var applications: Int64 = 0
    package var chats: Int64 = 0
    package var messages: Int64 = 0
    package var problemCount: Int64 = 0
    /// One sentence each.
    package var problems: [String] = []

    package init() {}

    package var isClean: Bool { problemCount == 0 }

    package mutating func add(_ problem: String) {
        problemCount += 1
        if problems.count < Self.listedProblems { problems.append(problem) }
    }
}
