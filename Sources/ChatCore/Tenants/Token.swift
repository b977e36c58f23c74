extension Tenant {
    /// The secret that finds a tenant: 128 random bits, written as 32 lower-case hex characters.
    ///
    /// Describing a token (in a log, an error, a debugger) shows its first six characters only; `text` is the whole.
    package struct Token: Hashable, Sendable {
        private let high: UInt64
        private let low: UInt64

        private init(high: UInt64, low: UInt64) {
            self.high = high
            self.low = low
        }

        /// Nil unless `text` is exactly 32 lower-case hex characters.
        ///
        /// A concrete type on purpose: another module's call of a generic function is not specialised, and this one runs
        /// for every request: it took 3.5 µs of each.
        package init?(_ text: Substring) {
            var text = text
            let halves: (UInt64, UInt64)? = text.withUTF8 { utf8 in
                guard utf8.count == 32 else { return nil }
                var halves: (UInt64, UInt64) = (0, 0)
                for index in 0..<32 {
                    let digit: UInt8
                    switch utf8[index] {
                    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = utf8[index] - UInt8(ascii: "0")
                    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = utf8[index] - UInt8(ascii: "a") + 10
                    default: return nil
                    }
                    halves = (halves.0 << 4 | halves.1 >> 60, halves.1 << 4 | UInt64(digit))
                }
                return halves
            }
            guard let halves else { return nil }
            self.init(high: halves.0, low: halves.1)
        }

        package init?(_ text: String) { self.init(text[...]) }

        /// A fresh token from the operating system's cryptographic generator.
        package static func random() -> Token {
            var generator = SystemRandomNumberGenerator()
            return Token(high: generator.next(), low: generator.next())
        }

        /// All 32 characters. Never for a log.
        package var text: String {
            String(unsafeUninitializedCapacity: 32) { buffer in
                for index in 0..<32 {
                    let half = index < 16 ? high : low
                    let digit = UInt8(truncatingIfNeeded: half >> UInt64(60 - 4 * (index % 16)) & 0xF)
                    buffer[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
                }
                return 32
            }
        }
    }
}

extension Tenant.Token: CustomStringConvertible, CustomDebugStringConvertible {
    package var description: String { text.prefix(6) + "…" }
    package var debugDescription: String { description }
}
