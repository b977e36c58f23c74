import Cryptography
import Testing

/// Against the vectors that the standards and their authors publish.
@Suite struct CryptographyTests {
    @Test(arguments: [
        ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ])
    func sha1(_ text: String, _ hash: String) {
        #expect(SHA1.hash(text.utf8) == bytes(hash))
    }

    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ])
    func sha256(_ text: String, _ hash: String) {
        #expect(SHA256.hash(text.utf8) == bytes(hash))
    }

    /// RFC 4231, 4.3, and 4.7 with a key that is longer than a block.
    @Test(arguments: [
        (
            Array("Jefe".utf8), "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            [UInt8](repeating: 0xAA, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
    ])
    func hmac(_ key: [UInt8], _ text: String, _ code: String) {
        #expect(SHA256.hmac(text.utf8, key: SecretKey(key)) == bytes(code))
        #expect(SHA256.isHMAC(bytes(code), of: text.utf8, key: SecretKey(key)))
        #expect(!SHA256.isHMAC(bytes(code), of: (text + " ").utf8, key: SecretKey(key)))
        #expect(!SHA256.isHMAC(bytes(code).dropLast(), of: text.utf8, key: SecretKey(key)))
        #expect(!SHA256.isHMAC([], of: text.utf8, key: SecretKey(key)))
    }

    /// Test cases 13 and 16 of McGrew and Viega, "The Galois/Counter Mode of Operation".
    @Test(arguments: [
        (
            String(repeating: "00", count: 32), String(repeating: "00", count: 12), "", "",
            "530f8afbc74536b9a963b4f1c4cb738b"
        ),
        (
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
                + "b16aedf5aa0de657ba637b39",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
                + "c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"
        ),
    ])
    func aes256GCM(_ key: String, _ nonce: String, _ plain: String, _ context: String, _ sealed: String) {
        let key = SecretKey(bytes(key))
        let (nonce, plain, context) = (bytes(nonce), bytes(plain), bytes(context))
        let box = AES256GCM.seal(plain, key: key, nonce: nonce, authenticating: context)
        #expect(box == bytes(sealed))
        #expect(AES256GCM.open(box, key: key, nonce: nonce, authenticating: context) == plain)
        #expect(AES256GCM.open(box, key: key, nonce: nonce, authenticating: context + [0]) == nil)
        #expect(AES256GCM.open(box, key: .random(), nonce: nonce, authenticating: context) == nil)
        for index in box.indices {
            var altered = box
            altered[index] ^= 1
            #expect(AES256GCM.open(altered, key: key, nonce: nonce, authenticating: context) == nil)
            #expect(AES256GCM.open(box[..<index], key: key, nonce: nonce, authenticating: context) == nil)
        }
    }

    @Test func aKeyIsItsBytesAndPrintsNone() {
        let key = SecretKey(Array(200..<232))
        #expect(key == SecretKey(Array(200..<232)))
        #expect(key != SecretKey(Array(200..<231)))
        #expect(key != SecretKey(Array(201..<233)))
        #expect(SecretKey.random() != SecretKey.random())
        var dumped = ""
        dump(key, to: &dumped)
        #expect(!"\(key) \(String(reflecting: key)) \(dumped)".contains("201"))
    }

    private func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = Array(hexadecimal)
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...$0 + 1]), radix: 16)! }
    }
}
