import HTTPTypes
import NIOHTTP1

extension HTTPRequestHead {
    /// A part of the head that a proxy and this server could read differently: the request's host (RFC 9112, 3.2), or
    /// the end of its body (6.1, 6.3). NIO's parser checks `Content-Length`.
    ///
    /// - Parameter goodHost: a `Host` known to be well-formed; on return this request's, if it is well-formed.
    func fault(_ goodHost: inout String?) -> Problem? {
        let hosts = headers["Host"]
        guard hosts.count == 1 || hosts.isEmpty && version != .http1_1 else { return .oneHost }
        if let host = hosts.first, goodHost?.utf8.elementsEqual(host.utf8) != true {
            guard Authority(host) != nil else { return .malformedHost }
            goodHost = host
        }
        // An absolute target repeats the host, and wins over `Host`.
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
        status: .badRequest, code: "malformed_request", detail: "The Host header must be a host and an optional port.",
        closesConnection: true)
    fileprivate static let codedHTTP10 = Problem(
        status: .badRequest, code: "malformed_request", detail: "Transfer-Encoding requires HTTP/1.1.",
        closesConnection: true)
    fileprivate static let unknownCoding = Problem(
        status: .notImplemented, code: "unknown_transfer_encoding",
        detail: "The only supported Transfer-Encoding is chunked.", closesConnection: true)
}
