/// A row of an application's audit, as the transaction of the change itself writes it: who did what. It holds no secret and
/// nothing that users wrote.
package struct AuditRecord: Equatable, Sendable {
    package let principal: String
    package let action: AuditAction
    /// What was changed, such as the id of a key; nil for the application itself.
    package let target: String?
    package let source: RequestSource?
    /// A transaction whose outcome was lost is repeated with the same record: the second one is a duplicate.
    package let nonce: Int64

    /// - Parameter principal: nil for anyone, where the server is open.
    package init(
        _ action: AuditAction, by principal: Principal?, target: String? = nil, source: RequestSource? = nil
    ) {
        self.init(action, byName: principal?.auditName ?? "anyone", target: target, source: source)
    }

    /// By the server itself, on behalf of nobody who is there.
    package static func byServer(_ action: AuditAction) -> AuditRecord { AuditRecord(action, byName: "server") }

    private init(
        _ action: AuditAction, byName principal: String, target: String? = nil, source: RequestSource? = nil
    ) {
        self.principal = principal
        self.action = action
        self.target = target
        self.source = source
        self.nonce = .random(in: .min ... .max)
    }
}

/// What was done. The names are part of the API: never rename one.
package enum AuditAction: String, Sendable {
    case createApplication = "application.create"
    case updateApplication = "application.update"
    case rotateToken = "application.rotate"
    case suspendApplication = "application.suspend"
    case resumeApplication = "application.resume"
    /// It is asked for, and happens later.
    case deleteApplication = "application.delete"
    /// The deletion begins, and cannot be taken back.
    case removeApplication = "application.remove"
    case createKey = "key.create"
    case revokeKey = "key.revoke"
    case createTokenKey = "jwt_key.create"
    case updateTokenKey = "jwt_key.update"
    case revokeTokenKey = "jwt_key.revoke"
    case blockUser = "user.block"
    case unblockUser = "user.unblock"
    /// The name and metadata, by somebody else than the user.
    case updateUser = "user.update"
    /// All tokens that the user has by then.
    case revokeUser = "user.revoke"
    /// Those of all users.
    case revokeUsers = "application.revoke"
    /// A chat's settings.
    case updateChat = "chat.update"
    case setMember = "member.set"
    case removeMember = "member.remove"
}

/// A row of the audit as it is read.
package struct AuditEntry: Equatable, Sendable {
    /// How long rows are kept.
    package static let lifetime = Duration.seconds(400 * 86_400)

    /// Rises with the changes of an application.
    package let id: Int64
    package let at: Timestamp
    package let principal: String
    package let action: String
    package let target: String?
    package let requestID: String?
    package let address: String?

    package init(
        id: Int64, at: Timestamp, principal: String, action: String, target: String?, requestID: String?,
        address: String?
    ) {
        self.id = id
        self.at = at
        self.principal = principal
        self.action = action
        self.target = target
        self.requestID = requestID
        self.address = address
    }
}

/// Where a request came from.
package struct RequestSource: Equatable, Sendable {
    package let requestID: String
    /// Nil if it is not known.
    package let address: String?

    package init(requestID: String, address: String?) {
        self.requestID = requestID
        self.address = address
    }
}

extension Principal {
    /// What the audit calls it.
    fileprivate var auditName: String {
        switch self {
        case .admin(let id): "server_key:\(id)"
        case .applicationKey(let id): "application_key:\(id)"
        case .pathToken: "path_token"
        case .user(_, let user): "user:\(user)"
        }
    }
}
