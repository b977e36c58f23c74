import ChatCore
import Foundation

/// Says that this process serves (or changes) a database file. The operating system lets go of it when the process
/// ends, however it ends.
package final class SQLiteLock: Sendable {
    private let descriptor: CInt

    /// - Parameter path: the database file; its folder is made where there is none. The lock is the file beside it, `<path>.lock`.
    /// - Throws: `StoreProblem` when another process has it.
    package init(database path: String) throws {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw StoreProblem("Cannot create the folder \(folder.path): \(error.localizedDescription)")
        }
        let descriptor = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw StoreProblem("Cannot write beside \(path): \(String(cString: strerror(errno))).")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = Self.holder(descriptor)
            close(descriptor)
            throw StoreProblem(
                "Another luciq\(holder.map { " (pid \($0))" } ?? "") is using \(path). "
                    + "Stop it first, or give this one another DATABASE_URL.")
        }
        ftruncate(descriptor, 0)
        let pid = "\(getpid())\n"
        _ = pwrite(descriptor, pid, pid.utf8.count, 0)
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    private static func holder(_ descriptor: CInt) -> Int? {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        return Int(String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self).filter(\.isNumber))
    }
}
