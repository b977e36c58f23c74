import Testing

@testable import ChatCore

/// Who may change whom, and what becomes of a member.
struct MemberChangeTests {
    private static let (ann, bob) = (User.ID("ann")!, User.ID("bob")!)
    private static let (before, now) = (Timestamp(microseconds: 1), Timestamp(microseconds: 2))
    private static let place = ChatPlace(id: Chat.ID(1), number: Chat.Number(1), tenant: Tenant.ID(1))

    private static func member(_ user: User.ID, _ role: Member.Role, removed: Bool = false) -> Member {
        Member(
            user: user, role: role, numbers: NumberSpan(first: 3, last: removed ? 5 : .max), joinedAt: before,
            removedAt: removed ? before : nil)
    }

    /// Ann changes Bob.
    private func decide(
        _ role: Member.Role?, of target: Member?, by actor: Member? = nil, isUser: Bool = true,
        in settings: Chat.Settings = Chat.Settings(access: .members), hasOtherOwner: Bool = true
    ) -> Result<MemberChange.Decision, ChatError> {
        let change = MemberChange(
            chat: Self.place, user: target?.user ?? Self.bob, role: role, actor: isUser ? Self.ann : nil)
        do {
            return .success(
                try change.decide(
                    in: settings, actor: actor, target: target, at: Self.now, hasOtherOwner: { hasOtherOwner },
                    lastNumber: { 9 }))
        } catch {
            return .failure(error as! ChatError)
        }
    }

    private func member(_ role: Member.Role, removed: Bool = false) -> Member {
        Self.member(Self.bob, role, removed: removed)
    }

    @Test func onlyOwnersAndAdminsChangeMembers() {
        for role in Member.Role.allCases {
            let actor = Self.member(Self.ann, role)
            let result = decide(.reader, of: member(.member), by: actor)
            switch role {
            case .owner, .admin: #expect((try? result.get()) != nil)
            case .member, .reader: #expect(result == .failure(.insufficientRole))
            case .banned: #expect(result == .failure(.notFound))
            }
        }
        #expect(decide(.reader, of: nil, by: nil) == .failure(.notFound))
        let open = Chat.Settings(access: .open)
        #expect(decide(.reader, of: nil, by: nil, in: open) == .failure(.insufficientRole))
        let removed = Self.member(Self.ann, .owner, removed: true)
        #expect(decide(.reader, of: nil, by: removed) == .failure(.insufficientRole))
    }

    @Test func anAdminTouchesNoOwner() {
        let admin = Self.member(Self.ann, .admin)
        #expect(decide(.member, of: member(.owner), by: admin) == .failure(.insufficientRole))
        #expect(decide(nil, of: member(.owner), by: admin) == .failure(.insufficientRole))
        #expect(decide(.owner, of: member(.member), by: admin) == .failure(.insufficientRole))
        #expect(decide(.owner, of: nil, by: admin) == .failure(.insufficientRole))
        #expect((try? decide(nil, of: member(.admin), by: admin).get()) != nil)
        let owner = Self.member(Self.ann, .owner)
        for role in [Member.Role.owner, .admin, .banned] {
            #expect((try? decide(role, of: member(.member), by: owner).get()) != nil)
        }
        #expect((try? decide(nil, of: member(.owner), by: owner).get()) != nil)
    }

    @Test func theLastOwnerStays() {
        let owner = Self.member(Self.ann, .owner)
        for role in [Member.Role.admin, nil] {
            let refused = decide(role, of: owner, by: owner, hasOtherOwner: false)
            #expect(refused == .failure(.invalid(["The last owner must make another owner first"])))
            #expect((try? decide(role, of: owner, by: owner).get()) != nil)
            // The application may.
            #expect((try? decide(role, of: owner, isUser: false, hasOtherOwner: false).get()) != nil)
        }
        #expect(decide(.owner, of: owner, by: owner, hasOtherOwner: false) == .success(.nothing))
    }

    @Test func aUserMayLeave() {
        for role in [Member.Role.admin, .member, .reader] {
            let member = Self.member(Self.ann, role)
            var left = member
            left.removedAt = Self.now
            left.numbers = NumberSpan(first: 3, last: 9)
            #expect(decide(nil, of: member, by: member) == .success(.store(left)))
        }
        let banned = Self.member(Self.ann, .banned)
        #expect(decide(nil, of: banned, by: banned) == .failure(.notFound))
        let gone = Self.member(Self.ann, .member, removed: true)
        #expect(decide(nil, of: gone, by: gone) == .success(.nothing))
    }

    @Test func whatANewMemberSees() {
        func numbers(_ target: Member?, _ history: Chat.History) -> NumberSpan? {
            let settings = Chat.Settings(access: .members, history: history)
            guard case .success(.store(let member)) = decide(.member, of: target, isUser: false, in: settings) else {
                return nil
            }
            return member.isActive ? member.numbers : nil
        }
        for target in [nil, member(.member, removed: true), member(.banned)] {
            #expect(numbers(target, .all) == .all)
            #expect(numbers(target, .sinceJoin) == NumberSpan(first: 10))
        }
        #expect(numbers(member(.reader), .sinceJoin) == NumberSpan(first: 3))
        #expect(decide(nil, of: member(.banned), isUser: false) == .success(.delete))
        #expect(decide(nil, of: member(.member, removed: true), isUser: false) == .success(.nothing))
        #expect(decide(nil, of: nil, isUser: false) == .failure(.notFound))
    }

    @Test func standings() {
        func standing(_ access: Chat.Access, _ role: Member.Role?, removed: Bool = false) -> Standing? {
            Standing(access: access, member: role.map { member($0, removed: removed) })
        }
        #expect(standing(.members, nil) == nil)
        #expect(standing(.members, .banned) == nil && standing(.open, .banned) == nil)
        #expect(standing(.open, nil)?.role == .member && standing(.open, nil)?.numbers == .all)
        #expect(standing(.open, .reader)?.role == .reader && standing(.open, .reader)?.numbers == .all)
        #expect(standing(.members, .reader)?.numbers == NumberSpan(first: 3))
        let removed = standing(.members, .admin, removed: true)
        #expect(removed?.role == nil && removed?.numbers == NumberSpan(first: 3, last: 5))
        #expect(standing(.open, .member, removed: true)?.role == .member)
        #expect(standing(.open, .reader, removed: true)?.role == .reader)
        #expect(standing(.open, .reader, removed: true)?.numbers == .all)
        #expect(standing(.members, .reader, removed: true)?.role == nil)
    }

    /// Whoever was made a reader does not write again by leaving; somebody else may let it.
    @Test func aReaderWhoLeavesStaysOne() throws {
        for access in Chat.Access.allCases {
            let settings = Chat.Settings(access: access)
            let reader = Self.member(Self.ann, .reader)
            guard case .success(.store(let left)) = decide(nil, of: reader, by: reader, in: settings) else {
                Issue.record("It may leave")
                return
            }
            #expect(!left.isActive && left.role == .reader)
            #expect(Standing(access: .open, member: left)?.role == .reader)
            #expect(
                Standing.refusalToWrite(access: .open, role: left.role, isRemoved: true) == .insufficientRole)
            // Again, and it changes nothing.
            #expect(decide(nil, of: left, by: left, in: settings) == .success(.nothing))
            #expect(decide(.member, of: left, by: left, in: settings) == .failure(.insufficientRole))
            // The application lifts it, before or after.
            for target in [reader, left] {
                guard case .success(.store(let lifted)) = decide(nil, of: target, isUser: false, in: settings) else {
                    Issue.record("It is lifted")
                    return
                }
                #expect(!lifted.isActive && Standing(access: .open, member: lifted)?.role == .member)
                #expect(lifted.numbers.last == (target.isActive ? 9 : left.numbers.last))
                #expect(decide(nil, of: lifted, isUser: false, in: settings) == .success(.nothing))
            }
        }
    }

    /// The examples of RFC 7396, appendix A, whose patch and target are objects; and what is special here.
    @Test(arguments: [
        (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
        (#"{"a":"b"}"#, #"{"a":null}"#, "{}"), (#"{"a":"b","b":"c"}"#, #"{"a":null}"#, #"{"b":"c"}"#),
        (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
        (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
        (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#), (#"{"e":null}"#, #"{"a":1}"#, #"{"e":null,"a":1}"#),
        ("{}", #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
        (#"{"a":1.50,"b":[ 1 , 2 ]}"#, #"{"c":1e3}"#, #"{"a":1.50,"b":[1,2],"c":1e3}"#),
        (#"{"a":[{"b":null}]}"#, #"{"c":[null,{"d":null}]}"#, #"{"a":[{"b":null}],"c":[null,{"d":null}]}"#),
        (#"{"\u0061":1}"#, #"{"a":2,"a":3}"#, #"{"a":3}"#),
        ("{\"\u{E9}\":1}", #"{"e\u0301":2}"#, "{\"\u{E9}\":1,\"e\u{301}\":2}"),
    ])
    func mergedMetadata(_ target: String, _ patch: String, _ expected: String) throws {
        #expect(try Metadata.merge(patch.utf8, into: target)?.utf8.elementsEqual(expected.utf8) == true)
        #expect(try Metadata.merge("{}".utf8, into: nil) == "{}")
    }
}
