import Cryptography

/// A Lua script. After its first run the server knows it by its SHA-1.
package struct RedisScript: Sendable {
    package let source: String
    /// 40 hexadecimal digits.
    package let sha1: String

    package init(_ source: String) {
        self.source = source
        self.sha1 = SHA1.hash(source.utf8).hexadecimal
    }
}
