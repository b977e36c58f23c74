import ChatCore
import HTTPTypes
import NIOCore

/// Changes of an application as a whole, and its audit.
struct LifecycleController {
    let service: ChatService
    let scopes: Scopes

    private static let overlap = TextParameter(wrapper: "application", name: "overlap_s")
    private static let usualOverlap: Int64 = 86_400

    func add(to routes: Routes) {
        let path = "/applications/{token}"
        routes.onJSON(.delete, path, scopes.tenant(.server, delete))
        routes.onJSON(.post, path + "/suspension", scopes.tenant(.server, suspend))
        routes.onJSON(.delete, path + "/suspension", scopes.tenant(.server, resume))
        routes.onJSON(.post, path + "/rotate", takesBody: true, scopes.tenant(.admin, rotate))
        routes.onJSON(.get, path + "/audit", audit)
    }

    @Sendable private func rotate(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let body = try call.request.typedBody()
        var overlap: Int64? = Self.usualOverlap
        if body.bytes.readableBytes > 0, let text = try Self.overlap.find(body) { overlap = Int64(digits: text[...]) }
        // One that is no number is as wrong as one out of bounds.
        return .task { [overlap] in
            let (token, oldUntil) = try await tenant.rotate(overlap: overlap ?? -1)
            return Response(json: RotationAnswer(token: token, oldUntil: oldUntil))
        }
    }

    @Sendable private func suspend(_ call: Call, _ tenant: TenantScope) -> EndpointResult {
        .task { Response(json: ApplicationItem(tenant: try await tenant.suspend())) }
    }

    @Sendable private func resume(_ call: Call, _ tenant: TenantScope) -> EndpointResult {
        .task { Response(json: ApplicationItem(tenant: try await tenant.resume())) }
    }

    @Sendable private func delete(_ call: Call, _ tenant: TenantScope) -> EndpointResult {
        .task { Response(status: .accepted, json: ApplicationItem(tenant: try await tenant.delete())) }
    }

    /// The server's own keys read the audit of an application that is gone, too.
    @Sendable private func audit(_ call: Call) throws -> EndpointResult {
        let present = scopes.tenant(.admin) { call, tenant in
            let page = try Page(QueryItems(call.request.query))
            return .task { Self.answer(try await tenant.audit(page), page, at: tenant.path) }
        }
        return .task { [service] in
            do {
                return try await present(call).response()
            } catch ChatError.notFound {
                guard let id = Tenant.PublicID(call.parameters.token) else { throw ChatError.notFound }
                let admin: AdminScope
                do { admin = try await service.admin(call.request.authorization) } catch ChatError.notAllowed {
                    throw ChatError.notFound
                }
                let page = try Page(QueryItems(call.request.query))
                return Self.answer(
                    try await admin.audit(ofDeleted: id, page), page, at: "/applications/\(id.text)")
            }
        }
    }

    private static func answer(_ entries: PageOf<AuditEntry>, _ page: Page, at path: String) -> Response {
        var response = Response(json: entries.items.map(AuditItem.init), size: 256 * entries.items.count)
        response.add("Link", entries.links(path: path + "/audit", page: page) { $0.id })
        return response
    }
}

/// A new token; the only answer that has it, beside those that call the application by it.
private struct RotationAnswer: JSONWritable {
    let token: Tenant.Token
    /// Nil if the old one has ended.
    let oldUntil: Timestamp?

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("token", token.text)
            json.member("old_token_until", oldUntil?.rfc3339)
        }
    }
}

private struct AuditItem: JSONWritable {
    let entry: AuditEntry

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("id", entry.id)
            json.member("created_at", entry.at)
            json.member("principal", entry.principal)
            json.member("action", entry.action)
            json.member("target", entry.target)
            json.member("request_id", entry.requestID)
            json.member("address", entry.address)
        }
    }
}
