/// Why a server, or a command, did not do what a test needs. No password is in it.
package struct ServerFailure: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
