import Foundation
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// The query plans of keys, users and the audit, likewise.
@Suite(.timeLimit(.minutes(3))) struct AccessPlanTests {
    @Test func keysUsersAndTheAudit() async throws {
        try await PlanScene.run { place in
            let (store, test) = (place.test.store, place.test)
            func newKey() -> ApplicationKey {
                let shown = AccessKey.random(.application)
                return ApplicationKey(
                    id: shown.id, tenant: test.tenant, name: "k", digest: shown.digest, scopes: .read,
                    createdAt: TestCluster.time, expiresAt: nil)
            }
            try await place.check("add a key", rows: 12) {
                _ = try await store.apply([.addKey(newKey())], at: TestCluster.time)
            }
            let key = newKey()
            _ = try await store.apply([.addKey(key)], at: TestCluster.time)
            // Many others'.
            try await test.sql(
                """
                INSERT INTO application_keys (id, application_id, name, digest, scopes, created_at)
                SELECT LPAD(seq, 12, '0'), 1000 + seq, 'k', REPEAT('x', 32), 1, NOW(6) FROM seq_1_to_5000
                """)
            try await test.sql(
                "INSERT INTO access_changes SELECT UTC_TIMESTAMP(6) - INTERVAL 1 HOUR, seq, 1, NULL, NULL FROM seq_1_to_5000"
            )
            try await test.sql("ANALYZE TABLE application_keys, access_changes")
            try await place.check("use a key", rows: 4) {
                _ = try await store.apply([.useKeys([key.id: TestCluster.time])], at: TestCluster.time)
            }
            try await place.check("revoke a key", rows: 8) {
                _ = try await store.apply([.revokeKey(key.id, of: test.tenant)], at: TestCluster.time)
            }
            try await place.check("a key", rows: 4) { _ = try await store.key(key.id) }
            try await place.check("keys", rows: 6) { _ = try await store.keys(of: test.tenant) }
            let publicID = try #require(try await store.tenant(test.tenant)).publicID
            try await place.check("by public id", rows: 4) {
                _ = try await store.identity(of: .publicID(publicID))
            }
            try await test.sql(
                """
                INSERT INTO applications (name, token, public_id, old_token, delete_at, created_at, updated_at)
                SELECT 'a', LPAD(seq, 32, 'd'), CONCAT('app_', LPAD(seq, 22, 'Z')), LPAD(seq, 32, 'e'),
                    NOW(6) + INTERVAL 1 DAY, NOW(6), NOW(6)
                FROM seq_1_to_5000
                """)
            try await test.sql(
                """
                INSERT INTO audit (application, created_at, principal, action, nonce)
                SELECT '\(publicID.text)', NOW(6), 'anyone', 'x', seq FROM seq_1_to_5000
                """)
            try await test.sql("ANALYZE TABLE applications, audit")
            try await place.check("unknown token", rows: 4) { _ = try await store.identity(of: .token(.random())) }
            for change in [
                TenantChange.rotate(test.tenant, to: .random(), oldUntil: TestCluster.time), .suspend(test.tenant),
                .resume(test.tenant),
            ] {
                try await place.check("\(change)", rows: 20) {
                    _ = try await store.apply(
                        [.audited(change, AuditRecord(.updateApplication, by: nil))], at: TestCluster.time)
                }
            }
            let token = try #require(try await store.tenant(test.tenant)).token
            _ = try await store.apply(
                [.rotate(test.tenant, to: .random(), oldUntil: TestCluster.time)], at: TestCluster.time)
            try await place.check("old token", rows: 4) { _ = try await store.identity(of: .token(token)) }
            for page in [Page(limit: 5), Page(limit: 5, before: 3000), Page(limit: 5, after: 3000)] {
                try await place.check("audit", rows: 20) { _ = try await store.audit(of: publicID, page: page) }
            }
            try await place.check("changes of access", rows: 20) {
                let now = try await store.read { try LogChanges.now($0) }
                var reader = AccessChanges.reader
                try await reader.read(since: now - AccessChanges.overlap, upTo: now, from: store) { _ in }
            }
            try await test.sql(
                """
                INSERT INTO users (application_id, id, created_at)
                SELECT \(test.tenant.rawValue) + seq % 2, CONCAT('u', LPAD(seq, 5, '0')), NOW(6) FROM seq_1_to_6000
                """)
            try await test.sql("ANALYZE TABLE users")
            for user in [nil, User.ID("u03000")] {
                try await place.check("users", rows: 8) {
                    let page = try await store.users(of: test.tenant, after: user, limit: 5)
                    #expect(page.users.count == 5 && page.hasMore)
                }
            }
        }
    }
}
