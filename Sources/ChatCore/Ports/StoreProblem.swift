/// A reason why a store cannot be opened, changed or served: one sentence for people, with what to do.
package struct StoreProblem: Error, CustomStringConvertible {
    package let description: String
    /// Whether the configuration is wrong, and not just a server down.
    package let isConfiguration: Bool

    package init(_ description: String, isConfiguration: Bool = false) {
        self.description = description
        self.isConfiguration = isConfiguration
    }
}
