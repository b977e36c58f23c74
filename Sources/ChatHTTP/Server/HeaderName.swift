/// The request header fields that the server reads. It checks the syntax of all others and ignores them.
package enum HeaderName: UInt8, CaseIterable, Sendable {
    case accept, authorization, connection, contentLength, contentType, expect, forwardedFor, host, idempotencyKey
    case ifMatch, lastEventID, origin, requestID
    case secWebSocketKey, secWebSocketProtocol, secWebSocketVersion, transferEncoding, upgrade

    /// In lower case.
    var text: StaticString {
        switch self {
        case .accept: "accept"
        case .authorization: "authorization"
        case .connection: "connection"
        case .contentLength: "content-length"
        case .contentType: "content-type"
        case .expect: "expect"
        case .forwardedFor: "x-forwarded-for"
        case .host: "host"
        case .idempotencyKey: "idempotency-key"
        case .ifMatch: "if-match"
        case .lastEventID: "last-event-id"
        case .origin: "origin"
        case .requestID: "x-request-id"
        case .secWebSocketKey: "sec-websocket-key"
        case .secWebSocketProtocol: "sec-websocket-protocol"
        case .secWebSocketVersion: "sec-websocket-version"
        case .transferEncoding: "transfer-encoding"
        case .upgrade: "upgrade"
        }
    }

    /// - Parameter name: in any case.
    init?(_ name: UnsafeRawBufferPointer) {
        guard let candidates = Self.byLength[safely: name.count] else { return nil }
        for candidate in candidates where name.isName(candidate.text) {
            self = candidate
            return
        }
        return nil
    }

    /// The names, indexed by their length.
    private static let byLength: [[HeaderName]] = {
        let longest = allCases.map(\.text.utf8CodeUnitCount).max() ?? 0
        return (0...longest).map { length in allCases.filter { $0.text.utf8CodeUnitCount == length } }
    }()
}

extension Array {
    fileprivate subscript(safely index: Int) -> Element? { index < count ? self[index] : nil }
}
