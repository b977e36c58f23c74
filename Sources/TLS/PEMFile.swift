import COpenSSL

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The bytes of a PEM file, read at once, so that a file that changes meanwhile is not read in two states.
struct PEMFile {
    /// In bytes. A chain of certificates has a few KiB.
    private static let longest = 1 << 20

    let path: String
    /// For the sentence of an error: "certificate", "key".
    private let content: String
    private let bytes: [UInt8]

    /// - Parameter content: what it should hold.
    /// - Throws: `.unusableFile`.
    init(_ path: String, holding content: String) throws(TLSError) {
        self.path = path
        self.content = content
        // A pipe must not hold us up.
        let file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        var status = stat()
        guard file >= 0, fstat(file, &status) == 0 else { throw Self.failure(content, path, Self.systemReason) }
        defer { close(file) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw Self.failure(content, path, "it is not a file") }
        var bytes = [UInt8](repeating: 0, count: Self.longest + 1)
        var count = 0
        while count < bytes.count {
            let more = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress! + count, $0.count - count) }
            guard more >= 0 else { throw Self.failure(content, path, Self.systemReason) }
            if more == 0 { break }
            count += more
        }
        guard count <= Self.longest else {
            throw Self.failure(content, path, "it is larger than \(Self.longest >> 10) KiB")
        }
        self.bytes = Array(bytes.prefix(count))
    }

    /// All certificates of the file, the server's own first. The caller frees them.
    func certificates() throws(TLSError) -> [OpaquePointer] {
        var chain: [OpaquePointer] = []
        ERR_clear_error()
        let reason = withBIO { bio in
            while let certificate = PEM_read_bio_X509(bio, nil, nil, nil) { chain.append(certificate) }
            return ERR_peek_last_error()
        }
        // The search for another one ends with this.
        let isAtEnd = reason & 0x7F_FFFF == UInt(PEM_R_NO_START_LINE)
        guard isAtEnd, !chain.isEmpty else {
            for certificate in chain { X509_free(certificate) }
            throw failure(isAtEnd ? "it must hold a certificate in PEM" : "a certificate in it is damaged")
        }
        return chain
    }

    /// The private key. The caller frees it.
    func privateKey() throws(TLSError) -> OpaquePointer {
        var isEncrypted = false
        ERR_clear_error()
        let key = withUnsafeMutablePointer(to: &isEncrypted) { isEncrypted in
            withBIO { bio in
                PEM_read_bio_PrivateKey(
                    bio, nil,
                    { _, _, _, isEncrypted in
                        isEncrypted?.assumingMemoryBound(to: Bool.self).pointee = true
                        return -1
                    }, isEncrypted)
            }
        }
        guard let key else {
            throw failure(
                isEncrypted
                    ? "it is encrypted with a passphrase; store it without one" : "it must hold a private key in PEM")
        }
        return key
    }

    private func withBIO<Result>(_ body: (OpaquePointer?) -> Result) -> Result {
        bytes.withUnsafeBytes { bytes in
            let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count))
            defer { BIO_free(bio) }
            return body(bio)
        }
    }

    private func failure(_ reason: String) -> TLSError { Self.failure(content, path, reason) }

    private static func failure(_ content: String, _ path: String, _ reason: String) -> TLSError {
        .unusableFile("Cannot read the \(content) in \(path): \(reason).")
    }

    private static var systemReason: String { String(cString: strerror(errno)) }
}
