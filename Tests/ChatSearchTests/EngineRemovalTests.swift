import ChatSearch
import Foundation
import TestSupport
import Testing

@testable import ChatCore

/// A deleted application leaves no document in the engine.
@Suite(.timeLimit(.minutes(3))) struct EngineRemovalTests {
    @Test(arguments: BackendKind.allCases)
    func documentsGo(_ kind: BackendKind) async throws {
        try await EngineStage.run(kind) { stage in
            let doomed = try await stage.service.createTenant(name: "doomed")
            let tenant = try #require(
                try await stage.backend.tenants.identity(of: .publicID(doomed.publicID))
            ).id
            let (chat, kept) = (try await stage.makeChat(in: tenant), try await stage.makeChat())
            try await stage.send((1...50).map { "needle \($0)" }, to: chat, in: tenant)
            try await stage.send(["needle"], to: kept)
            try await stage.feed()
            let live = try #require(
                try await stage.backend.generations.generations().first { $0.state == .live })
            func tenants() async throws -> [Tenant.ID] {
                var found: [Tenant.ID] = []
                while let next = try await stage.engine.tenant(after: found.last, in: live.id) { found.append(next) }
                return found
            }
            #expect(try await tenants() == [stage.tenant, tenant].sorted { $0.rawValue < $1.rawValue })

            let time = EngineStage.time
            _ = try await stage.backend.tenantLog.apply([.suspend(tenant, deletesAt: time)], at: time)
            var limits = RemovalLimits()
            limits.settling = .zero
            limits.patience = .zero
            func run(_ engine: (any SearchEngine)?) async throws {
                var state = Remover.State()
                let remover = Remover(
                    stage.backend.removals, generations: stage.backend.generations, engine: engine, limits: limits,
                    logger: EngineStage.logger)
                while await remover.step(&state) != limits.pause {}
                #expect(!state.hasFailed)
            }
            // Without the engine it is not finished.
            try await run(nil)
            #expect(try await stage.backend.removals.removals().count == 1)
            #expect(try await tenants().count == 2)
            try await run(stage.engine)
            #expect(try await stage.backend.removals.removals().isEmpty)
            #expect(try await tenants() == [stage.tenant])
            #expect(try await stage.search("needle").hits.count == 1)
        }
    }
}
