import Foundation
import TLS

/// The files of a server's certificate (`TLS_CERT`, `TLS_KEY`).
struct CertificateFiles: Sendable {
    let certificate: String
    let key: String

    /// A certificate, with the state of its files before they were read.
    struct Loaded: Sendable {
        let files: CertificateFiles
        let context: TLSServerContext
        let version: Version
    }

    /// Tells one state of the files from another. Links are followed, so that it differs when one leads elsewhere.
    struct Version: Equatable, Sendable {
        private let certificate: FileVersion?
        private let key: FileVersion?

        fileprivate init(of files: CertificateFiles) {
            certificate = FileVersion(of: files.certificate)
            key = FileVersion(of: files.key)
        }
    }

    var version: Version { Version(of: self) }

    /// - Throws: `TLSError.unusableFile`.
    func load() throws(TLSError) -> Loaded {
        // A change during the read shows at the next look.
        let version = version
        return Loaded(
            files: self, context: try TLSServerContext(certificate: certificate, key: key), version: version)
    }
}

private struct FileVersion: Equatable, Sendable {
    private let device: UInt64
    private let file: UInt64
    private let size: Int64
    private let changes: [Int]

    /// - Returns: nil if there is no such file.
    init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(truncatingIfNeeded: status.st_dev)
        file = UInt64(status.st_ino)
        size = Int64(status.st_size)
        #if canImport(Darwin)
            let (content, inode) = (status.st_mtimespec, status.st_ctimespec)
        #else
            let (content, inode) = (status.st_mtim, status.st_ctim)
        #endif
        changes = [content.tv_sec, content.tv_nsec, inode.tv_sec, inode.tv_nsec]
    }
}
