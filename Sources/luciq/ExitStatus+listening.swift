import ArgumentParser
import ChatHTTP
import Foundation
import NIOCore

extension ExitStatus {
    /// Says why a server cannot listen, and how the command ends.
    ///
    /// - Parameter variable: the setting that is the host.
    /// - Returns: nil for an error that has nothing to do with it.
    static func listening(_ error: any Error, on options: HTTPOptions, called variable: String) -> ExitCode? {
        switch error {
        case is SocketAddressError.UnknownHost:
            return configuration("\(variable) must be an address or a name of this machine, not \(options.host).")
        case let error as IOError:
            let reason = String(cString: strerror(error.errnoCode))
            return unavailable("Cannot listen on \(options.host):\(options.port): \(reason).")
        default:
            return nil
        }
    }
}

extension HTTPOptions {
    /// - Parameter port: the one that was taken.
    func url(port: Int) -> String { "http://\(host.contains(":") ? "[\(host)]" : host):\(port)" }
}
