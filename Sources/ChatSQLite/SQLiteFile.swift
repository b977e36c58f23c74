import ChatCore
import Foundation
import Synchronization

/// A database file that this process alone serves or changes, for as long as this value lives.
///
/// The lock is on the file itself, so that no other name of it (a link, another path) lets a second process in. The
/// operating system lets go of it when the process ends, however it ends.
///
/// POSIX has it that a process which closes any descriptor of a file loses all of its locks on it, SQLite's included. So
/// descriptors are closed after SQLite's own: this value outlives the store.
package final class SQLiteFile: Sendable {
    /// The file beside it that tells the holder's pid. Earlier versions have their lock there.
    private let pidFile: CInt
    let descriptor: CInt
    package let path: String
    /// What SQLite has open; nil until it has.
    private let openFiles = Mutex<OpenFiles?>(nil)
    private let hasLoss = Atomic(false)

    /// Takes the lock. The file is made where there is none, and its folder.
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

    /// Puts another file in its place, which is locked before anybody can open it. What was there is gone.
    ///
    /// - Parameter fill: writes the new file, which is empty and not at its place yet.
    /// - Throws: `StoreProblem`, or what `fill` throws; then nothing has changed.
    /// - Returns: what holds the new file; this value goes on to hold the old one.
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
        // An old log beside an empty file is ignored, should this end here.
        for suffix in ["-wal", "-shm", "-journal"] { unlink(path + suffix) }
        try Self.flush(URL(fileURLWithPath: path).deletingLastPathComponent().path)
        return file
    }

    /// Has the disk hold what a file or a folder has.
    ///
    /// - Throws: `StoreProblem`.
    static func flush(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, fsync(descriptor) == 0 else {
            throw StoreProblem("Cannot write \(path) to the disk: \(reason).")
        }
    }

    /// Takes away what others may do with the files, which earlier versions left to the umask.
    func restrict() {
        fchmod(descriptor, 0o600)
        for suffix in ["-wal", "-shm"] {
            let descriptor = open(path + suffix, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            fchmod(descriptor, 0o600)
            close(descriptor)
        }
    }

    /// Whether a check has failed. Costs next to nothing.
    var isLost: Bool { hasLoss.load(ordering: .relaxed) }

    /// From now on they are compared with what is at the path.
    func remember(_ files: OpenFiles) { openFiles.withLock { $0 = files } }

    /// Looks whether the files that SQLite has open are those that the next start will find: a few system calls.
    ///
    /// - Returns: what is wrong, from the first time on and for good. The files may have been put back, but nobody
    ///   knows what was done to them meanwhile.
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

    /// - Throws: `ChatError.unavailable` when the operating system would let nobody write: after an error of the disk Linux
    ///   may mount it read-only.
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

    /// A link is not followed, as what it leads to would be emptied.
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
            // It may have been replaced between the two.
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

    /// Locks the open file, not the process (`fcntl(2)`, "Open file description locks"): SQLite's own locks neither meet
    /// this one nor let go of it.
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

/// Which file it is, whatever it is called.
struct FileIdentity: Equatable {
    let device: UInt64
    let inode: UInt64

    init(_ status: stat) {
        device = UInt64(truncatingIfNeeded: status.st_dev)
        inode = UInt64(truncatingIfNeeded: status.st_ino)
    }

    /// Nil where there is none.
    init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }
}
