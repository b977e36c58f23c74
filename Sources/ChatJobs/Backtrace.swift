import Foundation

/// `error_backtrace`: base64 of zlib's format (RFC 1950) of a JSON array of lines.
///
/// In stored blocks, which are not compressed: every zlib reader accepts them, and they need no library.
enum Backtrace {
    static func encode(_ lines: [String]) -> String {
        let text = Array(JSONText.strings(lines).utf8)
        // 32 kB window, no dictionary; the header is a multiple of 31.
        var bytes: [UInt8] = [0x78, 0x01]
        var start = 0
        repeat {
            let end = min(start + 65_535, text.count)
            bytes.append(end == text.count ? 1 : 0)
            let size = UInt16(end - start)
            bytes += [size, ~size].flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
            bytes += text[start..<end]
            start = end
        } while start < text.count
        let sum = adler32(text)
        bytes += (0..<4).map { UInt8(truncatingIfNeeded: sum >> (24 - 8 * UInt32($0))) }
        return Data(bytes).base64EncodedString()
    }

    private static func adler32(_ bytes: [UInt8]) -> UInt32 {
        var (a, b): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            a = (a + UInt32(byte)) % 65_521
            b = (b + a) % 65_521
        }
        return b << 16 | a
    }
}
