import ChatCore
import HTTPTypes
import NIOCore

/// The keys of an application.
struct KeysController {
    let scopes: Scopes

    func add(to routes: Routes) {
        let path = "/applications/{token}/keys"
        routes.onJSON(.post, path, takesBody: true, scopes.tenant(.admin, create))
        routes.onJSON(.get, path, scopes.tenant(.admin, list))
        routes.onJSON(.get, path + "/{key_id}", scopes.tenant(.admin, show))
        routes.onJSON(.delete, path + "/{key_id}", scopes.tenant(.admin, revoke))
    }

    @Sendable private func create(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let request = try KeyRequest(call.request.typedBody())
        return .task {
            let (shown, stored) = try await tenant.createKey(
                name: request.name, scopes: request.scopes, expiresAt: request.expiresAt)
            return .created(
                at: "\(tenant.path)/keys/\(stored.id)", NewKeyAnswer(shown: shown, stored: stored))
        }
    }

    @Sendable private func list(_ call: Call, _ tenant: TenantScope) -> EndpointResult {
        .task {
            let keys = try await tenant.keys()
            return Response(json: keys.map(KeyAnswer.init), size: 256 * keys.count)
        }
    }

    @Sendable private func show(_ call: Call, _ tenant: TenantScope) -> EndpointResult {
        .task { Response(json: KeyAnswer(key: try await tenant.key(call.parameters.keyID))) }
    }

    @Sendable private func revoke(_ call: Call, _ tenant: TenantScope) -> EndpointResult {
        .task { Response(json: KeyAnswer(key: try await tenant.revokeKey(call.parameters.keyID))) }
    }
}

/// `{"name":"ci","scopes":["read"],"expires_at":"2027-01-01T00:00:00Z"}`; the time may be absent or null. As a form:
/// `name=ci&scopes[]=read`.
private struct KeyRequest {
    private(set) var name: String
    private(set) var scopes: Abilities
    private(set) var expiresAt: Timestamp?

    /// The values as they were sent.
    private struct Sent {
        var name: String?
        /// Nil inside for something that is no text.
        var scopes: [String?]?
        var expiresAt: String?
    }

    /// - Throws: a `Problem` (400); `ChatError.invalid` with a sentence for each bad value.
    init(_ body: RequestBody) throws {
        let sent =
            switch body {
            case .json(let json): try Self.read(json: json)
            case .form(let form): try Self.read(form: form)
            }
        guard let name = sent.name else { throw Problem.missingParameter("name") }
        guard let names = sent.scopes else { throw Problem.missingParameter("scopes") }
        self.name = name
        self.scopes = []
        var errors: [String] = []
        let known = names.map { $0.flatMap { Abilities(name: $0) } }
        if known.contains(nil) { errors.append("Scopes must be a list of read, write, members and admin") }
        for scope in known { scopes.formUnion(scope ?? []) }
        if let text = sent.expiresAt {
            expiresAt = Timestamp(rfc3339: text)
            if expiresAt == nil {
                errors.append("Expires_at must be a time as in RFC 3339, such as 2027-01-01T00:00:00Z")
            }
        }
        guard errors.isEmpty else { throw ChatError.invalid(errors) }
    }

    private static func read(json: ByteBuffer) throws -> Sent {
        var sent = Sent()
        try JSONReader.read(json) { member, reader in
            switch member {
            case "name": sent.name = try reader.scalar()
            case "scopes": sent.scopes = try scopes(&reader)
            case "expires_at":
                if reader.current == UInt8(ascii: "n") {
                    try reader.literal("null")
                    sent.expiresAt = nil
                } else {
                    sent.expiresAt = try reader.scalar()
                }
            default: try reader.value()
            }
        }
        return sent
    }

    private static func scopes(_ reader: inout JSONReader) throws -> [String?] {
        guard reader.current == UInt8(ascii: "[") else {
            try reader.value()
            return [nil]
        }
        var scopes: [String?] = []
        try reader.array { reader in
            if reader.current == UInt8(ascii: "\"") {
                scopes.append(try reader.string())
            } else {
                try reader.value()
                scopes.append(nil)
            }
        }
        return scopes
    }

    private static func read(form: ByteBuffer) throws -> Sent {
        var sent = Sent()
        try FormBody.read(form) { names, value in
            switch (String(decoding: names[0], as: UTF8.self), names.count) {
            case ("name", _): sent.name = names.count == 1 ? value : ""
            case ("scopes", 2) where names[1].isEmpty: sent.scopes = (sent.scopes ?? []) + [value]
            case ("scopes", _): sent.scopes = [nil]
            case ("expires_at", _): sent.expiresAt = names.count == 1 ? value : ""
            default: break
            }
        }
        return sent
    }
}
