import Foundation
import TestSupport

/// A file system in memory that can be filled to its last byte. Linux, as root.
struct SmallDisk: Sendable {
    let folder: TemporaryFolder

    static func isPossible() async -> Bool {
        #if os(Linux)
            guard getuid() == 0 else { return false }
            // In a container root may not.
            guard let disk = try? await make(mebibytes: 1) else { return false }
            return (try? await disk.unmount()) != nil
        #else
            return false
        #endif
    }

    static func make(mebibytes: Int) async throws -> SmallDisk {
        let folder = try TemporaryFolder()
        try await runProgram(["mount", "-t", "tmpfs", "-o", "size=\(mebibytes)m", "luciq-test", folder.path])
        return SmallDisk(folder: folder)
    }

    /// A process that still has files open there keeps them.
    func unmount() async throws { try await runProgram(["umount", "--lazy", folder.path]) }

    func fill() throws {
        let file = open(filler, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        guard file >= 0 else { throw RawConnection.Failure(description: String(cString: strerror(errno))) }
        defer { close(file) }
        // Large pieces first, then what is left of the last one.
        for size in [1 << 20, 4096] {
            let piece = [UInt8](repeating: 0, count: size)
            while write(file, piece, size) == size {}
        }
    }

    func makeRoom() throws { try FileManager.default.removeItem(atPath: filler) }

    private var filler: String { folder.file("filler") }
}
