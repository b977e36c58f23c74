import Foundation
import HTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import TLS

extension CallFailure {
    /// The failure of a connection.
    ///
    /// - Parameter wasThere: whether the server has answered before: then an unknown name is temporary, else a mistake.
    init(losing error: any Error, to address: ServerAddress, wasThere: Bool) {
        switch error {
        case let error as NIOConnectionError where error.connectionErrors.isEmpty:
            self.init(
                sentence: "There is no host named \(address.host).",
                outlook: wasThere ? .passing() : .final)
        case let error as NIOConnectionError:
            let reason = (error.connectionErrors.last?.error as? IOError).map { ": \($0.reasonText)" } ?? ""
            self.init(sentence: "The server cannot be reached\(reason).", outlook: .passing())
        case let error as IOError where [ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL].contains(error.errnoCode):
            self.init(sentence: "The server cannot be reached: \(error.reasonText).", outlook: .passing())
        case is HTTPConnection.NoAnswer, ChannelError.connectTimeout:
            self.init(sentence: "The server cannot be reached: it does not answer.", outlook: .passing())
        case TLSError.untrusted:
            self.init(sentence: "The certificate of \(address.host) is not to be trusted.", outlook: .final)
        case TLSError.otherHost:
            self.init(sentence: "The certificate is not one of \(address.host).", outlook: .final)
        case is CancellationError:
            self = .cancelled
        case is HTTPPool.Busy:
            self.init(sentence: "Too many calls are under way.", outlook: .passing())
        case is HTTPPool.TooLong:
            self = .tooLong
        case let failure as CallFailure:
            self = failure
        case is TLSError where !wasThere:
            self.init(sentence: "No TLS connection to \(address.host) can be made.", outlook: .final)
        case is HTTPParserError where !wasThere:
            self.init(sentence: "There is no HTTP server at \(address.base).", outlook: .final)
        case is HTTPConnection.Silence:
            self.init(sentence: "The server says nothing any more.", outlook: .passing(), mayHaveHappened: true)
        default:
            let reason = (error as? IOError).map { ": \($0.reasonText)" } ?? ""
            self.init(sentence: "The connection was lost\(reason).", outlook: .passing(), mayHaveHappened: true)
        }
    }
}

extension IOError {
    /// `connection refused`.
    fileprivate var reasonText: String {
        let text = String(cString: strerror(errnoCode))
        return text.prefix(1).lowercased() + text.dropFirst()
    }
}
