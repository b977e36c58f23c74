import Cryptography

/// A Lua script, known to the server by its SHA-1 once it has run there.
package struct RedisScript: Sendable {
    package let source: String
    /// 40 hexadecimal digits.
    package let sha1: String

    package init(_ source: String) {
        self.source = source
        self.sha1 = SHA1.hash(source.utf8).hexadecimal
    }
}
