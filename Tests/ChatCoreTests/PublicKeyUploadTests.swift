import ChatCore
import Cryptography
import Testing

/// Public keys as people upload them. RFC 8037, A.2 and A.4; RFC 8410, 10.1.
@Suite struct PublicKeyUploadTests {
    private static let body = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    private static let begin = "-----BEGIN PUBLIC KEY-----"
    private static let end = "-----END PUBLIC KEY-----"
    private static let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

    @Test(arguments: [
        "\(begin)\n\(body)\n\(end)\n", "\(begin)\r\n\(body)\r\n\(end)\r\n", "\n  \(begin)\n  \(body)\n\t\(end)  \n\n",
        "\(begin)\n\(body.prefix(32))\n\(body.dropFirst(32))\n\(end)",
        #"{"kty":"OKP","crv":"Ed25519","x":"\#(x)"}"#,
        #" { "x" : "\#(x)", "crv" : "Ed25519", "kty" : "OKP", "use":"sig", "alg":"EdDSA", "kid":"mine", "key_ops":["verify"]}"#,
    ])
    func aKeyIsTaken(_ text: String) throws {
        let key = try Ed25519PublicKey(uploaded: text)
        #expect(key.bytes == TokenIssuer.publicBytes)
        let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        let bytes = try #require(Base64URL.decode(Array(signature.utf8)[...]))
        #expect(key.isSignature(bytes, of: Array(signed.utf8)))
    }

    /// RFC 8410, 10.1.
    @Test func anotherKeyIsTaken() throws {
        _ = try Ed25519PublicKey(
            uploaded: "\(Self.begin)\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\(Self.end)")
    }

    @Test(arguments: [
        "", " \n ", body, x, "\(begin)\n\(end)", "\(begin)\n\(body)", "\(body)\n\(end)", "\(begin)\(body)\(end)",
        "\(begin)\n\(body.dropLast())\n\(end)", "\(begin)\n\(body)=\n\(end)", "\(begin)\nA\(body.dropFirst())\n\(end)",
        "\(begin)\n\(body.replacing("/", with: "_"))\n\(end)", "\(begin)\n\(body.replacing("S/", with: "S!"))\n\(end)",
        "\(begin)\n\(body)\n\(body)\n\(end)", "\(begin)\nProc-Type: 4,ENCRYPTED\n\n\(body)\n\(end)",
        "-----BEGIN CERTIFICATE-----\n\(body)\n-----END CERTIFICATE-----",
        // X25519, P-256 and RSA.
        "\(begin)\nMCowBQYDK2VuAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\(end)",
        "\(begin)\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n\(end)",
        "{}", #"{"kty":"OKP","crv":"Ed25519"}"#, #"{"kty":"OKP","x":"\#(x)"}"#, #"{"crv":"Ed25519","x":"\#(x)"}"#,
        #"{"kty":"okp","crv":"Ed25519","x":"\#(x)"}"#, #"{"kty":"OKP","crv":"X25519","x":"\#(x)"}"#,
        #"{"kty":"OKP","crv":"Ed25519","x":"\#(x)="}"#, #"{"kty":"OKP","crv":"Ed25519","x":7}"#,
        #"{"kty":"OKP","crv":"Ed25519","x":"\#(x)","x":"\#(x)"}"#, #"{"kty":"OKP","crv":"Ed25519","x":"\#(x)""#,
        #"{"kty":"OKP","crv":"Ed25519","x":"\#(x)","use":"enc"}"#, #"{"kty":"oct","k":"AAEC"}"#,
        #"{"kty":"OKP","crv":"Ed25519","x":"\#(x)","alg":"HS256"}"#,
        #"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"\#(x)"}]}"#,
        "\(begin)\n\(body)\n\(end)" + String(repeating: "\n", count: 4096),
        // What Swift's strings are equal to: the Kelvin sign, line separators, and an accent that joins a line's end.
        "\(begin.replacing("K", with: "\u{212A}"))\n\(body)\n\(end)",
        "\(begin)\n\(body)\n\(end.replacing("K", with: "\u{212A}"))",
        "{\"kty\":\"O\u{212A}P\",\"crv\":\"Ed25519\",\"x\":\"\(x)\"}",
        #"{"kty":"O\u212aP","crv":"Ed25519","x":"\#(x)"}"#,
        "\(begin)\u{2028}\(body)\u{2028}\(end)", "\(begin)\u{85}\(body)\u{85}\(end)", "\(begin)\u{B}\(body)\u{C}\(end)",
        "\(begin)\n\(body)\n\(end)\u{2028}",
    ])
    func whatIsNoKeyIsRefused(_ text: String) {
        #expect(refusal(of: text)?.hasPrefix("Public key must be an Ed25519 key") == true, "\(text)")
    }

    @Test(arguments: [
        // 31 and 33 bytes, no point, and a point that verifies everything.
        #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ"}"#,
        #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURoA"}"#,
        #"{"kty":"OKP","crv":"Ed25519","x":"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        "\(begin)\nMCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\(end)",
    ])
    func bytesThatAreNoKeyAreRefused(_ text: String) {
        #expect(refusal(of: text)?.hasPrefix("Public key is not a valid Ed25519 key") == true)
    }

    @Test(arguments: [
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
        #"{"kty":"OKP","crv":"Ed25519","x":"\#(x)","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}"#,
        #"{"d":null,"kty":"OKP","crv":"Ed25519"}"#,
        // After something else, within it, in a set, cut off, escaped, twice, as PuTTY writes it, and without its frame.
        "Bag Attributes\n  friendlyName: mine\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        "\(begin)\n\(body)\n\(end)\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        #"{"pem":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}"#,
        #"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"\#(x)","d":"nWGx"}]}"#,
        #"[{"kty":"OKP","crv":"Ed25519","x":"\#(x)","d":"nWGx"}]"#,
        #"{"kty":"OKP","crv":"Ed25519","x":"\#(x)","other":{"d":"nWGx"}}"#, #" {"kty":"OKP","d":"nWGx","#,
        #"{"kty":"OKP","\u0064":"nWGx"}"#, #"{"kty":"OKP","kty":"OKP","d":"nWGx"}"#,
        "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\nAAAA",
        "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g",
        "\(begin)\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\(end)",
    ])
    func aPrivateKeyIsRefusedAsSuch(_ text: String) {
        let sentence = refusal(of: text)
        #expect(sentence?.hasPrefix("Public key is a private key") == true)
        #expect(sentence?.contains("nWGx") == false)
    }

    private func refusal(of text: String) -> String? {
        do throws(ChatError) {
            _ = try Ed25519PublicKey(uploaded: text)
            return nil
        } catch {
            guard case .invalid(let sentences) = error else { return "another error" }
            return sentences.joined()
        }
    }
}
