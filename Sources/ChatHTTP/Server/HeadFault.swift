import HTTPTypes
import NIOHTTP1

extension HTTPRequestHead {
    /// What in a head could be understood differently by a proxy and by us: whose request it is (RFC 9112, 3.2), and where
    /// its body ends (6.1, 6.3). NIO's parser has seen to `Content-Length`.
    ///
    /// - Parameter goodHost: a `Host` that is known to be well-formed; this one on return, if it is.
    func fault(_ goodHost: inout String?) -> Problem? {
        let hosts = headers["Host"]
        guard hosts.count == 1 || hosts.isEmpty && version != .http1_1 else { return .oneHost }
        if let host = hosts.first, goodHost?.utf8.elementsEqual(host.utf8) != true {
            guard Authority(host) != nil else { return .malformedHost }
            goodHost = host
        }
        // An absolute target names the host again, and that name wins over `Host`.
        if !uri.utf8.starts(with: "/".utf8), let mark = uri.firstRange(of: "://"), let host = hosts.first {
            let named = uri[mark.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
            guard Authority(named) == Authority(host) else { return .malformedHost }
        }
        let codings = headers["Transfer-Encoding"]
        guard !codings.isEmpty else { return nil }
        if version != .http1_1 { return .codedHTTP10 }
        return codings.count == 1 && codings[0].isName("chunked") ? nil : .unknownCoding
    }
}

extension Problem {
    fileprivate static let malformedHost = Problem(
        status: .badRequest, code: "malformed_request", detail: "The Host header is not a host with or without a port.",
        closesConnection: true)
    fileprivate static let codedHTTP10 = Problem(
        status: .badRequest, code: "malformed_request", detail: "A request of HTTP/1.0 has no Transfer-Encoding.",
        closesConnection: true)
    fileprivate static let unknownCoding = Problem(
        status: .notImplemented, code: "unknown_transfer_encoding",
        detail: "The only Transfer-Encoding that is understood is chunked.", closesConnection: true)
}
