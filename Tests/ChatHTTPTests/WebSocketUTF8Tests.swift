import Testing

@testable import ChatHTTP

/// The checker against Swift's own, in whatever pieces the bytes come.
struct WebSocketUTF8Tests {
    private func isValid(_ bytes: [UInt8], cutAt cut: Int? = nil) -> Bool {
        var checker = UTF8Checker()
        let pieces = cut.map { [bytes[..<$0], bytes[$0...]] } ?? [bytes[...]]
        return pieces.allSatisfy { piece in piece.withUnsafeBytes { checker.check($0) } } && checker.isComplete
    }

    @Test func edgesAfterAnyLead() {
        let edges: [UInt8] = [0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0]
        var wrong: [[UInt8]] = []
        for lead in UInt8.min ... .max {
            for a in edges {
                for b: UInt8 in [0x41, 0x80, 0xBF, 0xC0] {
                    for bytes in [[lead], [lead, a], [lead, a, b], [lead, a, b, 0x80], [lead, a, b, 0xC0]] {
                        if isValid(bytes) != (String(validating: bytes, as: UTF8.self) != nil) { wrong.append(bytes) }
                    }
                }
            }
        }
        #expect(wrong == [])
    }

    @Test(arguments: ["", "κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\u{10FFFF}\u{0}\u{7FF}\u{800}\u{FFFF}\u{10000}", "👩‍👩‍👧"])
    func anyCut(_ text: String) {
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count { #expect(isValid(bytes, cutAt: cut)) }
    }

    /// Autobahn's 6.3 and 6.4: what can never become valid is noticed at that byte.
    @Test func aWrongByteIsNoticedAtOnce() {
        var checker = UTF8Checker()
        let valid: [UInt8] = [0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xCE, 0xBC, 0xCE, 0xB5]
        func check(_ byte: UInt8) -> Bool { [byte].withUnsafeBytes { checker.check($0) } }
        for byte in valid + [0xF4] { #expect(check(byte)) }
        #expect(!check(0x90))
    }

    @Test func randomBytes() {
        var wrong: [[UInt8]] = []
        for _ in 0..<20_000 {
            // Mostly those that matter.
            let bytes = (0..<Int.random(in: 0...8)).map { _ in UInt8.random(in: Bool.random() ? 0x80...0xF5 : 0...255) }
            let cut = Int.random(in: 0...bytes.count)
            let expected = String(validating: bytes, as: UTF8.self) != nil
            if isValid(bytes, cutAt: cut) != expected { wrong.append(bytes) }
        }
        #expect(wrong == [])
    }
}
