import ArgumentParser
import ChatHTTP
import Foundation
import NIOCore

extension ExitStatus {
    /// The sentence and the exit code for a server that cannot listen.
    ///
    /// - Parameter variable: the setting of the host.
    /// - Returns: nil for other errors.
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
    /// - Parameter port: the port in use.
    func url(port: Int) -> String {
        (certificate == nil ? "http" : "https") + "://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}
