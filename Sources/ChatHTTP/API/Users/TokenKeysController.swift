import ChatCore
import Cryptography
import HTTPTypes
import NIOCore

/// The keys of an application's user tokens.
struct TokenKeysController {
    let scopes: Scopes

    func add(to routes: Routes) {
        let path = "/applications/{token}/jwt-keys"
        routes.on(.post, path, takesBody: true, scopes.tenant(.admin, create))
        routes.on(.get, path, scopes.tenant(.admin, list))
        routes.on(.get, path + "/{kid}", scopes.tenant(.admin, show))
        routes.on(.patch, path + "/{kid}", takesBody: true, scopes.tenant(.admin, update))
        routes.on(.delete, path + "/{kid}", scopes.tenant(.admin, revoke))
        routes.on(.post, "/applications/{token}/revoke", takesBody: true, scopes.tenant(.members, revokeAll))
    }

    @Sendable private func create(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let request = try TokenKeyRequest(call.request.typedBody())
        let publicKey = try request.publicKey()
        return .task {
            let key = try await tenant.createTokenKey(publicKey)
            return .created(
                at: "\(tenant.path)/jwt-keys/\(key.key.id)", TokenKeyAnswer(key: key, showsSecret: publicKey == nil))
        }
    }

    @Sendable private func list(_ call: Call, _ tenant: TenantScope) -> EndpointResult {
        .task { Response(json: try await tenant.tokenKeys().map { TokenKeyAnswer(key: $0) }) }
    }

    @Sendable private func show(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let id = try call.keyID()
        return .task { Response(json: TokenKeyAnswer(key: try await tenant.tokenKey(id))) }
    }

    @Sendable private func update(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let id = try call.keyID()
        let state = try TokenKeyRequest(call.request.typedBody()).newState()
        return .task {
            let key = try await tenant.endTokenKey(id, state)
            if key.key.state == .revoked, state != .revoked {
                throw ChatError.invalid(["State of a revoked key cannot change"])
            }
            return Response(json: TokenKeyAnswer(key: key))
        }
    }

    @Sendable private func revoke(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let id = try call.keyID()
        return .task { Response(json: TokenKeyAnswer(key: try await tenant.endTokenKey(id, .revoked))) }
    }

    @Sendable private func revokeAll(_ call: Call, _ tenant: TenantScope) -> EndpointResult {
        .task { Response(json: TokensRevokedAnswer(validAfter: try await tenant.revokeAllTokens())) }
    }
}

extension Call {
    fileprivate func keyID() throws(ChatError) -> UserTokenKey.ID {
        guard let id = UserTokenKey.ID(String(parameters.tokenKeyID)) else { throw .notFound }
        return id
    }
}

/// `{}` or `{"alg":"HS256"}` for a secret that we make, `{"alg":"EdDSA","public_key":…}` with PEM or a JWK as text, or a JWK
/// as an object; for changes `{"state":"retiring","retires_at":"2027-01-01T00:00:00Z"}`.
private struct TokenKeyRequest {
    private var algorithm: String?
    private var uploaded: String?
    private var state: String?
    private var retiresAt: String?

    /// - Throws: a `Problem` (400, 415).
    init(_ body: RequestBody) throws {
        switch body {
        case .json(let json) where json.readableBytes > 0:
            let bytes = Array(json.readableBytesView)
            try JSONReader.read(json) { [bytes] member, reader in
                switch member {
                case "alg": algorithm = try reader.scalar()
                case "public_key":
                    let start = reader.offset
                    if reader.current == UInt8(ascii: "{") {
                        try reader.value()
                        uploaded = String(decoding: bytes[start..<reader.offset], as: UTF8.self)
                    } else {
                        uploaded = try reader.scalar()
                    }
                case "state": state = try reader.scalar()
                case "retires_at": retiresAt = try reader.scalar()
                default: try reader.value()
                }
            }
        case .json: break
        case .form(let form):
            try FormBody.read(form) { names, value in
                guard names.count == 1 else { return }
                switch String(decoding: names[0], as: UTF8.self) {
                case "alg": algorithm = value
                case "public_key": uploaded = value
                case "state": state = value
                case "retires_at": retiresAt = value
                default: break
                }
            }
        }
    }

    /// - Returns: nil for a secret of ours.
    /// - Throws: `ChatError.invalid`, a `Problem` (400).
    func publicKey() throws -> Ed25519PublicKey? {
        switch algorithm.map({ Array($0.utf8) }) {
        case nil, Array("HS256".utf8):
            guard uploaded == nil else {
                throw ChatError.invalid(["Alg must be EdDSA for a public key; a secret for HS256 is made by the server"]
                )
            }
            return nil
        case Array("EdDSA".utf8):
            guard let uploaded else { throw Problem.missingParameter("public_key") }
            return try Ed25519PublicKey(uploaded: uploaded)
        default: throw ChatError.invalid(["Alg must be HS256 or EdDSA"])
        }
    }

    /// - Throws: likewise.
    func newState() throws -> UserTokenKey.State {
        guard let state else { throw Problem.missingParameter("state") }
        switch Array(state.utf8) {
        case Array("active".utf8): return .active
        case Array("revoked".utf8): return .revoked
        case Array("retiring".utf8):
            guard let retiresAt else { throw Problem.missingParameter("retires_at") }
            guard let end = Timestamp(rfc3339: retiresAt), end > Timestamp(microseconds: 0) else {
                throw ChatError.invalid([
                    "Retires_at must be a time as in RFC 3339, such as 2027-01-01T00:00:00Z"
                ])
            }
            return .retiring(until: end)
        default: throw ChatError.invalid(["State must be active, retiring or revoked"])
        }
    }
}

struct TokenKeyAnswer: JSONWritable {
    let key: StoredTokenKey
    /// Only in the answer that makes it.
    var showsSecret = false

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("kid", key.key.id.text)
            json.member("alg", key.key.algorithm.rawValue)
            var retiresAt: Timestamp?
            switch key.key.state {
            case .active: json.member("state", "active")
            case .retiring(let end):
                json.member("state", "retiring")
                retiresAt = end
            case .revoked: json.member("state", "revoked")
            }
            switch key.key.material {
            case .secret(let secret):
                if showsSecret { json.member("secret", String(decoding: secret.exposedBytes, as: UTF8.self)) }
            case .publicKey(let publicKey): json.member("public_key", PublicJWK(bytes: publicKey.bytes))
            }
            json.member("created_at", key.createdAt)
            json.member("retires_at", retiresAt?.rfc3339)
            json.member("last_used_at", key.lastUsedAt?.rfc3339)
            json.member("revoked_at", key.revokedAt?.rfc3339)
        }
    }

    /// RFC 8037, 2.
    private struct PublicJWK: JSONWritable {
        let bytes: [UInt8]

        func write(to json: inout JSONWriter) {
            json.object { json in
                json.member("kty", "OKP")
                json.member("crv", "Ed25519")
                json.member("x", Base64URL.encode(bytes))
            }
        }
    }
}

struct TokensRevokedAnswer: JSONWritable {
    let validAfter: Timestamp

    func write(to json: inout JSONWriter) { json.object { $0.member("tokens_valid_after", validAfter) } }
}
