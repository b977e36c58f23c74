package import ChatCore
package import HTTPTypes
import NIOCore

/// An error answer in the format of RFC 9457 (`application/problem+json`).
///
/// This is the one place where an error becomes a status. A 404 is always the same, whatever is missing and whoever
/// owns it, so that another tenant's data looks like nothing.
package struct Problem: Error, Sendable {
    package let status: HTTPResponse.Status
    package let code: String
    package let detail: String
    /// For 422: the sentences that the Rails application answered.
    package var errors: [String]?
    /// Seconds until a retry makes sense.
    package var retryAfter: Int?
    /// For 405: the methods that this path supports.
    package var allow: [HTTPRequest.Method] = []
    /// The `Link` header: where to go on.
    var link: String?
    /// For 429: the limits that refuse it.
    var quota: Quota?
    /// Of a chat whose cursor is refused.
    var cursor: Cursor?
    /// For a read number that is not the expected one: what it is.
    var readNumber: Int64?
    /// For 412: the message as it is.
    var current: Message?
    /// For 401: the `WWW-Authenticate` header (RFC 6750, 3).
    var challenge: String?
    /// For 426: the protocol that this path speaks.
    package var upgrade: String?
    /// Whether the connection must close after this answer, because what follows cannot be parsed or is not accepted.
    package var closesConnection = false

    package static let notFound = Problem(
        status: .notFound, code: ChatError.notFound.code,
        detail: "There is nothing here: no such path, application, chat or message.")
    static let unsupportedMediaType = Problem(
        status: .unsupportedMediaType, code: "unsupported_media_type",
        detail: "The body must be JSON: send it with Content-Type: application/json. (A form is accepted too.)")
    static let bodyTooLarge = Problem(
        status: .contentTooLarge, code: "body_too_large",
        detail: "The request body is larger than \(RequestLimits.body / 1024) KiB.", closesConnection: true)
    static let uriTooLong = Problem(
        status: .uriTooLong, code: "uri_too_long",
        detail: "The request URI is longer than \(RequestLimits.uri / 1024) KiB.")
    static let headersTooLarge = Problem(
        status: .requestHeaderFieldsTooLarge, code: "headers_too_large",
        detail: "The request headers are larger than \(RequestLimits.headers / 1024) KiB.")
    static let notHTTP = Problem(
        status: .badRequest, code: "malformed_request", detail: "This is not a valid HTTP/1.1 request.",
        closesConnection: true)
    static let notHTTPS = Problem(
        status: .badRequest, code: "https_required", detail: "This port speaks HTTPS: the URL must begin with https.",
        closesConnection: true)
    static let misdirected = Problem(
        status: .misdirectedRequest, code: "host_not_allowed",
        detail:
            "This server does not accept this host name. Its setting ALLOWED_HOSTS lists the accepted names.")
    static let foreignOrigin = Problem(
        status: .forbidden, code: "origin_not_allowed", detail: "Pages of this origin may not do this.")
    static let oneHost = Problem(
        status: .badRequest, code: "malformed_request", detail: "A request must have exactly one Host header.",
        closesConnection: true)
    static let full = Problem(
        status: .serviceUnavailable, code: ChatError.overloaded.code,
        detail: "All connections are in use. Nothing was stored.", retryAfter: 5, closesConnection: true)
    static let crowded = Problem(
        status: .serviceUnavailable, code: ChatError.overloaded.code,
        detail: "All connections that one address may have are in use. Nothing was stored.", retryAfter: 5,
        closesConnection: true)
    static let slowClients = Problem(
        status: .serviceUnavailable, code: ChatError.overloaded.code,
        detail: "Too much memory is held for clients that send or read slowly. Nothing was stored.", retryAfter: 5)
    static let internalError = Problem(
        status: .internalServerError, code: "internal", detail: "An unexpected error occurred. It was logged.")

    static func malformedJSON(_ detail: String) -> Problem {
        Problem(status: .badRequest, code: "malformed_json", detail: detail)
    }

    static func missingParameter(_ name: String) -> Problem {
        Problem(
            status: .badRequest, code: "missing_parameter",
            detail: "The parameter \"\(name)\" is missing from the body.")
    }

    static func methodNotAllowed(_ method: HTTPRequest.Method, allow: [HTTPRequest.Method]) -> Problem {
        Problem(
            status: .methodNotAllowed, code: "method_not_allowed",
            detail: "\(method.rawValue) is not supported here, only \(allow.map(\.rawValue).joined(separator: ", ")).",
            allow: allow)
    }
}

extension Problem {
    package init(_ error: ChatError) {
        switch error {
        case .notFound:
            self = .notFound
        case .notAllowed:
            self.init(
                status: .forbidden, code: error.code, detail: "These credentials do not allow this.")
        case .suspended:
            self.init(status: .forbidden, code: error.code, detail: "This application is suspended.")
        case .insufficientRole:
            self.init(
                status: .forbidden, code: error.code, detail: "The user's role in this chat does not allow this.")
        case .editWindowClosed:
            self.init(
                status: .forbidden, code: error.code, detail: "This message is too old for its sender to change it.")
        case .messageDeleted:
            self.init(status: .conflict, code: error.code, detail: "This message was deleted.")
        case .tooManyReactions:
            let sentence =
                "A message has at most \(ReactionSummary.mostNames) reactions with different names, and "
                + "\(ReactionSummary.mostOfUser) of one user"
            self.init(status: .unprocessableContent, code: error.code, detail: sentence + ".", errors: [sentence])
        case .tooManyPins:
            let sentence = "A chat has at most \(Pin.most) pins"
            self.init(status: .unprocessableContent, code: error.code, detail: sentence + ".", errors: [sentence])
        case .changedMeanwhile(let message):
            self.init(
                status: .preconditionFailed, code: error.code,
                detail: "The message is not the one that If-Match names. It is as current says.")
            current = message
        case .cursorEpoch(let head):
            self.init(
                status: .conflict, code: error.code,
                detail:
                    "The cursor is beyond what this chat has, or from before a restore: load the chat anew, and go on from cursor."
            )
            cursor = head
        case .readElsewhere(let number):
            self.init(
                status: .conflict, code: error.code,
                detail: "The read number is not the one that if names: another device has moved it to \(number).")
            readNumber = number
        case .receiptsOff:
            self.init(
                status: .forbidden, code: error.code,
                detail: "This chat does not show its members how far others have read: its receipts are off.")
        case .presenceOff:
            self.init(
                status: .forbidden, code: error.code,
                detail: "This application does not show which of its users are online: its presence is off.")
        case .tooManyReaders:
            self.init(
                status: .conflict, code: error.code,
                detail:
                    "This chat has more than \(ChatScope.mostReceipts) members, too many to show how far they have read."
            )
        case .unauthorized(let refusal):
            self.init(status: .unauthorized, code: error.code, detail: refusal.detail)
            // RFC 6750, 3.1: no error for who has shown nothing.
            challenge = refusal == .required ? "Bearer" : "Bearer error=\"invalid_token\""
        case .userBlocked:
            self.init(status: .forbidden, code: error.code, detail: UserTokenRefusal.blocked.sentence)
        case .ambiguousCredentials:
            self.init(
                status: .badRequest, code: error.code,
                detail: "The credentials disagree: send one Authorization header, with a key of the path's application."
            )
        case .invalid(let errors):
            self.init(
                status: .unprocessableContent, code: error.code, detail: errors.joined(separator: "; ") + ".",
                errors: errors)
        case .keyInFlight:
            self.init(
                status: .conflict, code: error.code,
                detail: "A request with this Idempotency-Key is still being processed.", retryAfter: 1)
        case .keyReused:
            let sentence = "Idempotency-Key was used before with another body"
            self.init(status: .unprocessableContent, code: error.code, detail: sentence + ".", errors: [sentence])
        case .overloaded:
            self.init(
                status: .serviceUnavailable, code: error.code,
                detail: "Too many requests are waiting. Nothing was stored.", retryAfter: 1)
        case .quotaExceeded(let quota):
            var random = SystemRandomNumberGenerator()
            self.init(
                status: .tooManyRequests, code: error.code,
                detail: quota.policies == ["auth"]
                    ? "Too many credentials from this address were not valid." : "Too many requests; try again later.",
                retryAfter: Int(quota.retryAfter(using: &random)))
            self.quota = quota
        case .timedOut:
            self.init(
                status: .serviceUnavailable, code: error.code,
                detail: "The store did not handle the request in time. Nothing was stored.", retryAfter: 2)
        case .outcomeUnknown:
            self.init(
                status: .serviceUnavailable, code: error.code,
                detail:
                    "The store did not answer in time, and may still store this. With an Idempotency-Key a retry is safe.",
                retryAfter: 2)
        case .searchTimedOut:
            self.init(
                status: .serviceUnavailable, code: error.code,
                detail:
                    "The search took too long. Go on by the Link header, or narrow it with after_time and before_time.",
                retryAfter: 1)
        case .unavailable(let reason):
            self.init(status: .serviceUnavailable, code: error.code, detail: reason + ".", retryAfter: 2)
        case .shuttingDown:
            self.init(
                status: .serviceUnavailable, code: error.code,
                detail: "This server is shutting down. Nothing was stored.", retryAfter: 1)
        }
    }

    /// - Parameter requestID: becomes `instance`, which identifies this occurrence. The path would reveal the token.
    func document(requestID: String) -> ByteBuffer {
        var writer = JSONWriter()
        writer.object { json in
            // As draft-ietf-httpapi-ratelimit-headers-10 names it, with its member.
            json.member("type", quota == nil ? "urn:luciq:problem:\(code)" : Self.quotaExceededType)
            json.member("title", status.reasonPhrase)
            json.member("status", Int64(status.code))
            json.member("detail", detail)
            json.member("instance", "urn:luciq:request:\(requestID)")
            json.member("code", code)
            if let errors { json.member("errors", errors) }
            if let quota { json.member("violated-policies", quota.policies) }
            if let cursor { json.member("cursor", cursor.description) }
            if let readNumber { json.member("number", readNumber) }
            if let current { json.member("current", MessageJSON(current, as: .answer)) }
        }
        return writer.buffer
    }

    private static let quotaExceededType = "https://iana.org/assignments/http-problem-types#quota-exceeded"

    static let mediaType: StaticString = "application/problem+json"

    /// - Parameter mediaType: `application/json` for a client that does not accept `application/problem+json`.
    func response(requestID: String, as mediaType: StaticString = mediaType) -> Response {
        var response = Response(status: status, contentType: mediaType, body: document(requestID: requestID))
        response.add("Retry-After", retryAfter.map { String($0) })
        if let decision = quota?.decision { response.add(decision) }
        response.add("Link", link)
        response.add("ETag", current?.entityTag)
        response.add("WWW-Authenticate", challenge)
        if !allow.isEmpty { response.add("Allow", allow.map(\.rawValue).joined(separator: ", ")) }
        if let upgrade {
            response.add("Upgrade", upgrade)
            response.add("Sec-WebSocket-Version", "13")
        }
        response.closesConnection = closesConnection
        return response
    }
}

extension Refusal {
    var detail: String {
        switch self {
        case .required: "This needs a key: send it as Authorization: Bearer lq_…."
        case .invalid: "The key in Authorization is not valid."
        case .expired: "The key in Authorization has expired."
        case .revoked: "The key in Authorization was revoked."
        case .userToken(let refusal): refusal.sentence
        }
    }
}
