import Cryptography
import Testing

@Suite struct Ed25519Tests {
    /// RFC 8032, 7.1: TEST 1, 2, 3 and SHA(abc).
    private static let vectors: [(key: String, message: String, signature: String)] = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0"
                + "595bbe24655141438e7a100b"
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eae"
                + "b4302aeeb00d291612bb0c00"
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9"
                + "716ed28dc027beceea1ec40a"
        ),
        (
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423"
                + "643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c"
                + "138ac17ad9bef1177331a704"
        ),
    ]

    @Test(arguments: vectors)
    func aSignatureFitsItsMessageAndKeyOnly(_ vector: (key: String, message: String, signature: String)) throws {
        let key = try #require(Ed25519PublicKey(bytes(vector.key)))
        let (message, signature) = (bytes(vector.message), bytes(vector.signature))
        #expect(key.isSignature(signature, of: message))
        #expect(key.bytes == bytes(vector.key))
        #expect(key == Ed25519PublicKey(bytes(vector.key)))

        #expect(!key.isSignature(signature, of: message + [0]))
        for index in signature.indices {
            var altered = signature
            altered[index] ^= 1
            #expect(!key.isSignature(altered, of: message), "byte \(index)")
        }
        for length in [0, 32, 63] { #expect(!key.isSignature(Array(signature.prefix(length)), of: message)) }
        #expect(!key.isSignature(signature + [0], of: message))
        for other in Self.vectors where other.key != vector.key {
            let otherKey = try #require(Ed25519PublicKey(bytes(other.key)))
            #expect(!otherKey.isSignature(signature, of: message))
            #expect(otherKey != key)
        }
    }

    /// RFC 8032, 5.1.7, refuses S that is not below the group's order: otherwise each signature has a second form.
    @Test func aSignatureHasOneForm() throws {
        let key = try #require(Ed25519PublicKey(bytes(Self.vectors[0].key)))
        let secondForm = bytes(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901554c8c7872aa064e049dbb3013fbf29380d25bf5f0"
                + "595bbe24655141438e7a101b")
        #expect(!key.isSignature(secondForm, of: []))
    }

    @Test(arguments: [
        ("empty", ""),
        ("short", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f70751"),
        ("long", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a00"),
        ("y = 2: no point", "0200000000000000000000000000000000000000000000000000000000000000"),
        ("y = 7, x odd: no point", "0700000000000000000000000000000000000000000000000000000000000080"),
        ("y = p + 3: a point in another form", "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("y = 2^255 − 1", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        ("order 4", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("order 4, x odd", "0000000000000000000000000000000000000000000000000000000000000080"),
        ("order 1", "0100000000000000000000000000000000000000000000000000000000000000"),
        ("order 1, x odd: no point", "0100000000000000000000000000000000000000000000000000000000000080"),
        ("order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        ("order 8, x odd", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
        ("order 8", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        ("order 8, x odd", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
        ("order 2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("order 4 in another form", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("order 1 in another form", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ])
    func whatIsNoKeyIsRefused(_ name: String, _ key: String) {
        #expect(Ed25519PublicKey(bytes(key)) == nil, "\(name)")
    }

    /// y = 3, 4, 5 and 9 are points.
    @Test(arguments: [UInt8(3), 4, 5, 9], [UInt8(0), 0x80])
    func anyPointMayBeAKey(_ y: UInt8, _ sign: UInt8) {
        #expect(Ed25519PublicKey([y] + [UInt8](repeating: 0, count: 30) + [sign]) != nil)
    }

    private func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = Array(hexadecimal)
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...$0 + 1]), radix: 16)! }
    }
}
