import ChatCore
import TestSupport
import Testing

@Suite struct Base64URLTests {
    /// RFC 4648, 10, without padding, and both characters that are not base64's.
    @Test(arguments: [
        ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"),
        ("foobar", "Zm9vYmFy"), ("~~~???", "fn5-Pz8_"),
    ])
    func vectors(_ plain: String, _ encoded: String) {
        #expect(Base64URL.encode(Array(plain.utf8)) == encoded)
        #expect(decode(encoded) == Array(plain.utf8))
    }

    @Test(arguments: [
        "Z", "Zm9vY", "Zh", "Zm9", "Zg==", "Zg=", "Z g", "Zg ", " Zg", "Zg\n", "fn5+", "Pz8/", "Zm.v", "Zm9v\u{0}",
        "Zé",
    ])
    func everythingElseIsRefused(_ text: String) {
        #expect(decode(text) == nil)
    }

    @Test func whatIsEncodedIsDecoded() {
        var random = SeededRandom(seed: 17)
        for length in 0..<200 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(decode(Base64URL.encode(bytes)) == bytes)
        }
    }

    /// For each last character, either the text is refused or it is what its bytes are written as.
    @Test func bytesHaveOneSpelling() {
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
            for start in ["A", "AA", "AAA"] {
                let text = start + String(last)
                if let bytes = decode(text) { #expect(Base64URL.encode(bytes) == text) }
            }
        }
    }

    private func decode(_ text: String) -> [UInt8]? { Base64URL.decode(Array(text.utf8)[...]) }
}
