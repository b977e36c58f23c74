import Testing

@testable import ChatCore

/// The form of keys and public ids, and that secrets do not show.
@Suite struct AccessKeyTests {
    /// Made elsewhere, by the text of the format (Python's `zlib.crc32`).
    private static let known = "lq_app_0123456789AB_00000000000000000000000000000000000000000012yRIlH"

    private func checksummed(_ body: String) -> String {
        let checksum = Array(body.utf8).withUnsafeBytes { CRC32.checksum(of: $0) }
        return body + String(decoding: Base62.digits(of: checksum, count: 6), as: UTF8.self)
    }

    @Test func aKeyOfAnotherProgramIsRead() throws {
        #expect(try #require(AccessKey(Self.known)).id.text == "0123456789AB")
    }

    @Test func theChecksumIsTheUsualOne() {
        // The check value of CRC-32.
        #expect(Array("123456789".utf8).withUnsafeBytes { CRC32.checksum(of: $0) } == 0xCBF4_3926)
    }

    @Test(arguments: [AccessKey.Kind.admin, .application, .webhook])
    func aNewKeyIsRead(_ kind: AccessKey.Kind) throws {
        let key = AccessKey.random(kind)
        #expect(key.text.wholeMatch(of: /lq_(adm|app|whk)_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}[0-9A-Za-z]{6}/) != nil)
        let read = try #require(AccessKey(key.text))
        #expect(read.kind == kind && read.id == key.id && read.text == key.text && read.digest == key.digest)
        #expect(AccessKey.ID(key.id.text) == key.id)
        let other = AccessKey.random(kind)
        #expect(other.id != key.id && other.digest != key.digest)
    }

    @Test func whatIsNoKeyIsRefused() throws {
        let key = AccessKey.random(.application).text
        var others = [
            "", "lq_", String(key.dropLast()), key + "0", " " + key.dropLast(), key.uppercased(),
            checksummed("lq_xxx_" + key.dropFirst(7).prefix(56)), checksummed("LQ_" + key.dropFirst(3).prefix(60)),
            checksummed(key.prefix(7) + "0123456789A-" + key.dropFirst(19).prefix(44)),
            checksummed(key.prefix(19) + "-" + key.dropFirst(20).prefix(43)),
            checksummed(key.prefix(20) + "é" + key.dropFirst(22).prefix(41)), String(repeating: "x", count: 100_000),
            // A checksum of 2^32 and more.
            key.prefix(63) + "zzzzzz",
        ]
        // Each single character changed to another one of base62.
        for index in key.indices where key[index] != "_" {
            var changed = key
            changed.replaceSubrange(index...index, with: key[index] == "7" ? "8" : "7")
            others.append(changed)
        }
        for other in others { #expect(AccessKey(other) == nil, "\(other.prefix(80))") }
        for id in ["", "0123456789A", "0123456789ABC", "0123456789A_", "0123456789A\u{301}"] {
            #expect(AccessKey.ID(id) == nil)
        }
    }

    @Test func aKeyDoesNotShow() {
        let key = AccessKey.random(.application)
        let secret = key.text.dropFirst(20).prefix(43)
        var dumped = ""
        dump(key, to: &dumped)
        dump([Authorization.key(key)], to: &dumped)
        for text in ["\(key)", "\([key])", String(reflecting: key), "\(Authorization.key(key))", dumped] {
            #expect(!text.contains(secret) && !text.contains(key.text))
            #expect(!text.contains(String(secret.prefix(8))))
        }
        #expect("\(key)" == "lq_app_\(key.id)_…")
    }

    /// The digest is that of the secret's 43 characters: stored digests depend on it.
    @Test func theDigestIsThatOfTheSecret() throws {
        let body = "lq_app_0123456789AB_" + String(repeating: "0", count: 43)
        let key = try #require(AccessKey(checksummed(body)))
        // printf '0%.0s' {1..43} | sha256sum
        let hex = key.digest.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(hex == Self.digestOfZeros)
    }

    private static let digestOfZeros = "b918b22a1581fedd39058065f00e6aad35bd561f20257151131a1ddcd21803de"

    @Test func aLargeNumberInBase62() {
        #expect(String(decoding: Base62.digits(of: [0xFF, 0xFF], count: 4), as: UTF8.self) == "0H31")
        let largest = Base62.digits(of: [UInt8](repeating: 0xFF, count: 32), count: 43)
        // 2^256 - 1 takes 43 digits, and its last one is (2^256 - 1) mod 62 = 1.
        #expect(largest.count == 43 && largest[0] != UInt8(ascii: "0") && largest[42] == UInt8(ascii: "1"))
    }

    @Test func publicIDs() throws {
        let id = Tenant.PublicID.random()
        #expect(id.text.wholeMatch(of: /app_[0-9A-Za-z]{22}/) != nil)
        #expect(Tenant.PublicID(id.text) == id)
        #expect(Tenant.Name(id.text[...]) == .publicID(id))
        let token = Tenant.Token.random()
        #expect(Tenant.Name(token.text[...]) == .token(token))
        for text in [
            "", "app_", String(id.text.dropLast()), id.text + "0", "APP" + id.text.dropFirst(3), "app_\(token)",
        ] {
            #expect(Tenant.PublicID(text) == nil && Tenant.Name(text[...]) == nil)
        }
    }

    @Test func scopesHaveNames() {
        #expect(Abilities.all.names == ["read", "write", "members", "admin"])
        for name in Abilities.all.names { #expect(Abilities(name: name)?.names == [name]) }
        for name in ["", "Read", "all", "read ", "re\u{301}ad"] { #expect(Abilities(name: name) == nil) }
    }

    @Test func aKeyEndsAtItsTime() {
        let now = Timestamp(microseconds: 1_763_830_664_194_123)
        func key(expiresAt: Timestamp?, revokedAt: Timestamp? = nil) -> ApplicationKey {
            ApplicationKey(
                id: .random(), tenant: Tenant.ID(1), name: "k", digest: AccessKey.random(.application).digest,
                scopes: .read, createdAt: now, expiresAt: expiresAt, revokedAt: revokedAt)
        }
        #expect(key(expiresAt: nil).state(at: now) == .active)
        #expect(key(expiresAt: now.adding(.microseconds(1))).state(at: now) == .active)
        #expect(key(expiresAt: now).state(at: now) == .expired)
        #expect(key(expiresAt: now, revokedAt: now).state(at: now) == .revoked)
    }

    @Test func aUseIsNotedOnceAMinute() {
        let now = Timestamp(microseconds: 1_763_830_664_194_123)
        var stored = ApplicationKey(
            id: .random(), tenant: Tenant.ID(1), name: "k", digest: AccessKey.random(.application).digest,
            scopes: .read, createdAt: now, expiresAt: nil)
        #expect(KnownKey(stored, lastUsedAt: stored.lastUsedAt).use(at: now))
        stored.lastUsedAt = now
        let key = KnownKey(stored, lastUsedAt: stored.lastUsedAt)
        #expect(!key.use(at: now) && !key.use(at: now.adding(.seconds(59))))
        #expect(key.use(at: now.adding(.seconds(60))) && !key.use(at: now.adding(.seconds(61))))
    }

    @Test func usesAreBounded() {
        let usage = KeyUsage<AccessKey.ID>()
        let now = Timestamp(microseconds: 1)
        for _ in 0..<20_000 { usage.note(.random(), at: now) }
        var taken = 0
        while true {
            let some = usage.take()
            if some.isEmpty { break }
            #expect(some.count <= 256)
            taken += some.count
        }
        #expect(taken == 16_384)
    }
}
