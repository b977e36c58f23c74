import COpenSSL

/// SHA-1 (FIPS 180-4), only for protocols that require it. It is not secure.
package enum SHA1 {
    private static let function = HashFunction("SHA1")

    /// - Returns: 20 bytes.
    package static func hash(_ bytes: some Collection<UInt8>) -> [UInt8] { function.hash(bytes) }
}

/// SHA-256 (FIPS 180-4), and HMAC (RFC 2104) with it.
package enum SHA256 {
    private static let function = HashFunction("SHA256")

    /// - Returns: 32 bytes.
    package static func hash(_ bytes: some Collection<UInt8>) -> [UInt8] { function.hash(bytes) }

    /// The same for a caller that hashes at each request, to whom a generic call into another module would cost much.
    ///
    /// - Returns: 32 bytes.
    package static func hash(_ bytes: UnsafeRawBufferPointer) -> [UInt8] { function.hash(bytes) }

    /// - Returns: 32 bytes.
    package static func hmac(_ bytes: some Collection<UInt8>, key: SecretKey) -> [UInt8] {
        function.hmac(bytes, key: key.bytes)
    }

    /// Whether it is the HMAC of these bytes; compared in constant time.
    package static func isHMAC(_ code: [UInt8], of bytes: some Collection<UInt8>, key: SecretKey) -> Bool {
        SecretKey(hmac(bytes, key: key)) == SecretKey(code)
    }
}

/// One of OpenSSL's digests, looked up once: a look-up by name takes longer than hashing a short text.
private struct HashFunction: @unchecked Sendable {
    private let method: OpaquePointer

    init(_ name: String) {
        guard let method = EVP_MD_fetch(nil, name, nil) else { preconditionFailure("OpenSSL has no \(name)") }
        self.method = method
    }

    func hash(_ bytes: some Collection<UInt8>) -> [UInt8] {
        Array(bytes).withUnsafeBytes { hash($0) }
    }

    func hash(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        output { digest, length in
            EVP_Digest(bytes.baseAddress, bytes.count, digest, length, method, nil) == 1
        }
    }

    func hmac(_ bytes: some Collection<UInt8>, key: [UInt8]) -> [UInt8] {
        let bytes = Array(bytes)
        return output { digest, length in
            HMAC(method, key, Int32(key.count), bytes, bytes.count, digest, length) != nil
        }
    }

    private func output(_ write: (UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt32>) -> Bool) -> [UInt8] {
        Array(unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { digest, count in
            var length: UInt32 = 0
            guard write(digest.baseAddress, &length) else { preconditionFailure("OpenSSL does not hash") }
            count = Int(length)
        }
    }
}
