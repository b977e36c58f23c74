import COpenSSL

// Import Glibc here, so that C library declarations in OpenSSL's headers belong to Glibc and not to COpenSSL.
#if canImport(Glibc)
    import Glibc
#endif

/// AES-256-GCM (NIST SP 800-38D), with nonces of 12 bytes and tags of 16. The caller must not use a nonce twice with a
/// key: that reveals both texts, and permits forgeries.
package enum AES256GCM {
    package static let tagLength = 16
    private static let cipher = Cipher()

    /// - Parameters:
    ///   - key: 32 bytes.
    ///   - nonce: 12 bytes.
    ///   - context: is authenticated too, but not part of the result.
    /// - Returns: the ciphertext, as long as `plain`, and the tag.
    package static func seal(
        _ plain: [UInt8], key: SecretKey, nonce: [UInt8], authenticating context: [UInt8]
    ) -> [UInt8] {
        let session = Session(cipher.method, key, nonce, encrypts: true)
        session.authenticate(context)
        var sealed = session.update(plain)
        guard session.finish() else { preconditionFailure("OpenSSL does not encrypt") }
        sealed += session.tag()
        return sealed
    }

    /// - Returns: nil unless it was sealed with the same key, nonce and context.
    package static func open(
        _ sealed: some Collection<UInt8>, key: SecretKey, nonce: [UInt8], authenticating context: [UInt8]
    ) -> [UInt8]? {
        guard sealed.count >= tagLength else { return nil }
        let session = Session(cipher.method, key, nonce, encrypts: false)
        session.authenticate(context)
        let plain = session.update(Array(sealed.dropLast(tagLength)))
        session.expect(tag: Array(sealed.suffix(tagLength)))
        return session.finish() ? plain : nil
    }

    /// OpenSSL's cipher, looked up once.
    private struct Cipher: @unchecked Sendable {
        let method: OpaquePointer

        init() {
            guard let method = EVP_CIPHER_fetch(nil, "AES-256-GCM", nil) else {
                preconditionFailure("OpenSSL has no AES-256-GCM")
            }
            self.method = method
        }
    }

    /// The context of one text. Calls fail only without memory or by a fault of OpenSSL, except `finish`, which
    /// compares the tags.
    private struct Session: ~Copyable {
        private let context: OpaquePointer

        init(_ method: OpaquePointer, _ key: SecretKey, _ nonce: [UInt8], encrypts: Bool) {
            precondition(key.bytes.count == 32 && nonce.count == 12, "AES-256-GCM takes 32 bytes and 12")
            guard let context = EVP_CIPHER_CTX_new() else { preconditionFailure("Out of memory") }
            self.context = context
            Self.check(EVP_CipherInit_ex2(context, method, key.bytes, nonce, encrypts ? 1 : 0, nil))
        }

        deinit { EVP_CIPHER_CTX_free(context) }

        borrowing func authenticate(_ bytes: [UInt8]) {
            var length: Int32 = 0
            Self.check(EVP_CipherUpdate(context, nil, &length, bytes, Int32(bytes.count)))
        }

        borrowing func update(_ bytes: [UInt8]) -> [UInt8] {
            // No call for an empty text: OpenSSL would treat a null pointer as text to authenticate.
            guard !bytes.isEmpty else { return [] }
            return Array(unsafeUninitializedCapacity: bytes.count) { output, count in
                var length: Int32 = 0
                Self.check(EVP_CipherUpdate(context, output.baseAddress, &length, bytes, Int32(bytes.count)))
                count = Int(length)
            }
        }

        borrowing func finish() -> Bool {
            // GCM has nothing left to write.
            var rest: [UInt8] = [0]
            var length: Int32 = 0
            return EVP_CipherFinal_ex(context, &rest, &length) == 1
        }

        borrowing func tag() -> [UInt8] {
            Array(unsafeUninitializedCapacity: tagLength) { tag, count in
                Self.check(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tagLength), tag.baseAddress))
                count = tagLength
            }
        }

        borrowing func expect(tag: [UInt8]) {
            var tag = tag
            Self.check(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tagLength), &tag))
        }

        private static func check(_ result: Int32) {
            guard result == 1 else { preconditionFailure("OpenSSL does not encrypt or decrypt") }
        }
    }
}
