import ChatCore
import Foundation
import Synchronization

/// A database file that this process alone serves or changes, for as long as this value lives.
///
/// The lock is on the file itself, so that no second process can open it by another name (a link, another path). The
/// operating system releases it when the process ends in any way.
///
/// By POSIX, a process that closes any descriptor of a file loses all its locks on it, including SQLite's. So
/// descriptors are closed after SQLite's own: this value outlives the store.
package final class SQLiteFile: Sendable {
    /// The file beside it with the holder's pid. Earlier versions have their lock there.
    private let pidFile: CInt
    let descriptor: CInt
    package let path: String
    /// The files that SQLite has open; nil before.
    private let openFiles = Mutex<OpenFiles?>(nil)
    private let hasLoss = Atomic(false)

    /// Takes the lock. Creates the file and its folder if necessary.
    ///
    /// - Throws: `StoreProblem` when another process has it.
    package convenience init(path: String) throws {
        try Self.makeFolder(of: path)
        let pidFile = try Self.openPIDFile(path)
        do {
            guard flock(pidFile, LOCK_EX | LOCK_NB) == 0 else { throw Self.inUse(path, pidFile) }
            let descriptor = try Self.openLocked(path, pidFile)
            self.init(path: path, descriptor: descriptor, pidFile: pidFile)
        } catch {
            close(pidFile)
            throw error
        }
        ftruncate(pidFile, 0)
        let pid = "\(getpid())\n"
        _ = pwrite(pidFile, pid, pid.utf8.count, 0)
    }

    private init(path: String, descriptor: CInt, pidFile: CInt) {
        self.path = path
        self.descriptor = descriptor
        self.pidFile = pidFile
    }

    deinit {
        openFiles.withLock { $0?.close() }
        close(descriptor)
        close(pidFile)
    }

    /// Replaces the file by another one, which is locked before any process can open it.
    ///
    /// - Parameter fill: writes the new file, which is empty and not in its place yet.
    /// - Throws: `StoreProblem`, or the error of `fill`; then nothing has changed.
    /// - Returns: the holder of the new file; this value still holds the old one.
    func replaced(_ fill: (_ fresh: String) throws -> Void = { _ in }) throws -> SQLiteFile {
        let fresh = path + ".new"
        unlink(fresh)  // Left by one that was killed.
        let descriptor = try Self.create(fresh)
        let pidFile = dup(pidFile)
        let file = SQLiteFile(path: path, descriptor: descriptor, pidFile: pidFile)
        do {
            guard pidFile >= 0, Self.lock(descriptor) else {
                throw StoreProblem("Cannot replace \(path): \(Self.reason).")
            }
            try fill(fresh)
            guard rename(fresh, path) == 0 else { throw StoreProblem("Cannot replace \(path): \(Self.reason).") }
        } catch {
            unlink(fresh)
            throw error
        }
        // If the process dies here, SQLite ignores an old log beside an empty file.
        for suffix in ["-wal", "-shm", "-journal"] { unlink(path + suffix) }
        try Self.flush(URL(fileURLWithPath: path).deletingLastPathComponent().path)
        return file
    }

    /// Flushes a file or a folder to the disk.
    ///
    /// - Throws: `StoreProblem`.
    static func flush(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, fsync(descriptor) == 0 else {
            throw StoreProblem("Cannot write \(path) to the disk: \(reason).")
        }
    }

    /// Removes other users' permissions on the files, which earlier versions left to the umask.
    func restrict() {
        fchmod(descriptor, 0o600)
        for suffix in ["-wal", "-shm"] {
            let descriptor = open(path + suffix, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            fchmod(descriptor, 0o600)
            close(descriptor)
        }
    }

    /// Whether a check has failed. Cheap.
    var isLost: Bool { hasLoss.load(ordering: .relaxed) }

    /// From now on checks compare them with the files at the path.
    func remember(_ files: OpenFiles) { openFiles.withLock { $0 = files } }

    /// Checks that the files that SQLite has open are those that the next start will find: a few system calls.
    ///
    /// - Returns: the loss, from the first one on and for ever: even if the files are put back, they may have been
    ///   changed meanwhile.
    @discardableResult
    func check() -> FileLoss? {
        let loss = openFiles.withLock { files -> FileLoss? in
            if files?.loss == nil { files?.compare() }
            return files?.loss
        }
        if loss != nil { hasLoss.store(true, ordering: .relaxed) }
        return loss
    }

    /// - Throws: `ChatError.unavailable` after a loss.
    func verify() throws(ChatError) { if check() != nil { throw Self.lost } }

    /// - Throws: `ChatError.unavailable` if the file system is read-only: Linux may remount it so after a disk error.
    func verifyWritable() throws(ChatError) {
        for suffix in ["", "-wal"] where access(path + suffix, W_OK) != 0 && errno != ENOENT {
            throw .unavailable(reason: "The database file cannot be written: \(Self.reason)")
        }
    }

    static var lost: ChatError { .unavailable(reason: "The database file was moved, replaced or damaged") }

    private static var reason: String { String(cString: strerror(errno)) }

    private static func makeFolder(of path: String) throws {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
        do {
            try FileManager.default.createDirectory(
                at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw StoreProblem("Cannot create the folder \(folder.path): \(error.localizedDescription)")
        }
    }

    /// Does not follow a link, because its target would be emptied.
    private static func openPIDFile(_ path: String) throws -> CInt {
        let descriptor = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            if errno == ELOOP { throw StoreProblem("\(path).lock is a link. Remove it.") }
            throw StoreProblem("Cannot write beside \(path): \(reason).")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_nlink <= 1 else {
            close(descriptor)
            throw StoreProblem("\(path).lock is not a file of its own. Remove it.")
        }
        fchmod(descriptor, 0o600)
        return descriptor
    }

    private static func openLocked(_ path: String, _ pidFile: CInt) throws -> CInt {
        while true {
            let descriptor = try openOrCreate(path)
            var status = stat()
            guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                close(descriptor)
                throw StoreProblem("\(path) is not a regular file. Choose another DATABASE_URL.")
            }
            guard lock(descriptor) else {
                let code = errno
                close(descriptor)
                if code == EAGAIN || code == EACCES { throw inUse(path, nil) }
                throw StoreProblem("Cannot lock \(path): \(String(cString: strerror(code))).")
            }
            // The file may have been replaced between the two calls.
            if FileIdentity(path: path) == FileIdentity(status) { return descriptor }
            close(descriptor)
        }
    }

    private static func openOrCreate(_ path: String) throws -> CInt {
        if let descriptor = try? create(path) { return descriptor }
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw StoreProblem("Cannot open the database \(path): \(reason).") }
        return descriptor
    }

    private static func create(_ path: String) throws -> CInt {
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw StoreProblem("Cannot create \(path): \(reason).") }
        fchmod(descriptor, 0o600)  // Whatever the umask took away.
        return descriptor
    }

    /// A byte that neither SQLite nor the data uses: SQLite's locks are the 512 bytes from 1 GiB on, and the page there
    /// holds nothing.
    private static let lockedByte = off_t(0x4000_0000 + 1024)

    /// Locks the open file, not the process (`fcntl(2)`, "Open file description locks"): SQLite's own locks neither
    /// meet this one nor let go of it.
    private static func lock(_ descriptor: CInt) -> Bool {
        #if canImport(Darwin)
            let command: CInt = 90  // F_OFD_SETLK
        #else
            let command: CInt = 37
        #endif
        var lock = flock()
        lock.l_type = .init(F_WRLCK)
        lock.l_whence = .init(SEEK_SET)
        lock.l_start = lockedByte
        lock.l_len = 1
        return fcntl(descriptor, command, &lock) == 0
    }

    private static func inUse(_ path: String, _ pidFile: CInt?) -> StoreProblem {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pidFile.map { pread($0, &buffer, buffer.count, 0) } ?? 0
        let pid = Int(String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self).filter(\.isNumber))
        return StoreProblem(
            "Another luciq\(pid.map { " (pid \($0))" } ?? "") is using \(path). "
                + "Stop it first, or give this one another DATABASE_URL.")
    }
}

/// The file's identity, whatever its name.
struct FileIdentity: Equatable {
    let device: UInt64
    let inode: UInt64

    init(_ status: stat) {
        device = UInt64(truncatingIfNeeded: status.st_dev)
        inode = UInt64(truncatingIfNeeded: status.st_ino)
    }

    /// Nil if there is none.
    init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }
}
