import ChatCore
import Cryptography
import Testing

@testable import ChatCluster

/// Requests that waited while the server changed: their ids were looked up in another epoch.
@Suite(.timeLimit(.minutes(1))) struct OriginTests {
    @Test func whatNamesAnotherOwnerIsNotStored() async throws {
        try await TestCluster.run { test in
            let token = try #require(await test.store.tenant(test.tenant)).token
            func message(_ token: Tenant.Token, _ number: Int64) -> NewMessage {
                NewMessage(
                    tenant: test.tenant, chat: test.chat, content: MessageContent(body: "x"),
                    origin: Origin(token: token, chat: Chat.Number(number), epoch: 7))
            }
            let plain = NewMessage(tenant: test.tenant, chat: test.chat, body: "x")
            let results = try await test.store.append(
                [message(token, 1), message(.random(), 1), message(token, 2), plain], at: TestCluster.time)
            #expect(results[1] == .failure(.notFound))
            #expect(results[2] == .failure(.notFound))
            #expect(try [results[0], results[3]].map { try $0.get().number.rawValue } == [1, 2])
            #expect(try await test.storedNumbers() == [1, 2])
            // A whole batch of a lost chat's leaves no hole.
            let lost = try await test.store.append([message(.random(), 1)], at: TestCluster.time)
            #expect(lost == [.failure(.notFound)])
            #expect(try await test.send(1) == [3])

            func chat(_ token: Tenant.Token) -> NewChat {
                NewChat(tenant: test.tenant, origin: Origin(token: token, epoch: 7))
            }
            let chats = try await test.store.append([chat(.random()), chat(token)], at: TestCluster.time)
            #expect(chats[0] == .failure(.notFound))
            #expect(try chats[1].get().number.rawValue == 2)
            let renames = try await test.store.apply(
                [.update(test.tenant, token: token, name: "right"), .update(test.tenant, token: .random(), name: "w")],
                at: TestCluster.time)
            #expect((try? renames[0].get()) != nil && (try? renames[1].get()) == nil)
            #expect(try await test.store.tenant(test.tenant)?.name == "right")

            // A process need not know of a rotation yet. It does of one before.
            let other = NewChat(tenant: test.tenant, origin: Origin(token: .random(), epoch: 7))
            for (count, isKnown) in [(1, true), (2, false)] {
                let new = Tenant.Token.random()
                _ = try await test.store.apply(
                    [.rotate(test.tenant, to: new, oldUntil: TestCluster.time)], at: TestCluster.time)[0].get()
                let sent = try await test.store.append([message(token, 1), message(new, 1)], at: TestCluster.time)
                #expect(sent.map { (try? $0.get()) != nil } == [isKnown, true], "\(count)")
                let made = try await test.store.append([chat(token), chat(new), other], at: TestCluster.time)
                #expect(made.map { (try? $0.get()) != nil } == [isKnown, true, false], "\(count)")
                let renamed = try await test.store.apply(
                    [.update(test.tenant, token: token, name: "x")], at: TestCluster.time)
                #expect(((try? renamed[0].get()) != nil) == isKnown, "\(count)")
            }
        }
    }

    @Test func theBusTellsServersApart() {
        let seal = BusSeal(key: .random())
        let sealed = seal.seal([1, 2, 3], for: "a", at: "one")
        #expect(seal.open(sealed, from: "a", at: "one") == [1, 2, 3])
        #expect(seal.open(sealed, from: "a", at: "two") == nil)
        #expect(seal.isElsewhere(sealed, than: "two") && !seal.isElsewhere(sealed, than: "one"))
        // A payload that this deployment did not seal does not count as one from elsewhere.
        #expect(!seal.isElsewhere([UInt8]("x".utf8), than: "two"))
        var forged = seal.seal([9], for: "b", at: "two")
        forged.replaceSubrange(9..., with: sealed.dropFirst(9))
        #expect(seal.open(forged, from: "a", at: "two") == nil)
    }
}
