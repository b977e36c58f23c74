import ChatCore
import Foundation

/// A loss of files that SQLite has open. Writes to them may be missing at the next start.
enum FileLoss: String, Sendable {
    case moved, replaced
    case logGone = "log_gone"
    case logCut = "log_cut"
    case overwritten

    /// Whether the open files are still whole, so that the log can be folded into the database file.
    var leavesContentWhole: Bool {
        switch self {
        case .moved, .replaced, .logGone: true
        case .logCut, .overwritten: false
        }
    }

    /// For the log: what happened, and what to do.
    func advice(_ file: SQLiteFile) -> String {
        #if os(Linux)
            let held = "/proc/\(getpid())/fd/\(file.descriptor)"
        #else
            let held = "descriptor \(file.descriptor) of process \(getpid())"
        #endif
        return switch self {
        case .moved:
            "The file is not at its path any more. All that was answered is in \(held): copy it to a safe place, "
                + "stop this process, put the file back, start again."
        case .replaced:
            "Another file is at the path. All that was answered is in \(held): copy it to a safe place if it is still "
                + "wanted, stop this process, start again."
        case .logGone: "The file's -wal or -shm was removed. Nothing is lost so far: restart this process."
        case .logCut:
            "The file's -wal was cut short. Stop this process, start again, run luciq verify, and restore a backup "
                + "where that finds something."
        case .overwritten:
            "The file was written over. Stop this process, remove the file's -wal and -shm, restore a backup, start "
                + "again."
        }
    }
}

/// The database file, its log and the log's index as SQLite has them open, compared with the files at the path.
///
/// SQLite looks at paths only when it opens files. A file that is removed, moved away or replaced under it still takes
/// commits, which are gone with the process.
struct OpenFiles {
    private(set) var loss: FileLoss?
    private let path: String
    private let database: CInt
    private let log: CInt
    private let index: CInt
    private let identities: [FileIdentity?]
    /// `PRAGMA user_version` as the file may show it.
    private let marks: Set<UInt32>
    private var databaseSize: off_t = 0

    /// - Parameters:
    ///   - mark: the `user_version` that this process gave the file.
    ///   - before: the mark of the previous run.
    /// - Throws: `StoreProblem`.
    init(_ file: SQLiteFile, mark: Int32, before: Int32) throws {
        path = file.path
        database = file.descriptor
        log = open(path + "-wal", O_RDONLY | O_CLOEXEC)
        index = open(path + "-shm", O_RDONLY | O_CLOEXEC)
        identities = [database, log, index].map { FileIdentity(descriptor: $0) }
        // If a reader kept the log from being folded in, the file still has an older mark.
        let (mark, before) = (UInt32(bitPattern: mark), UInt32(bitPattern: before))
        let shown = Self.number(at: 60, of: database) ?? mark
        marks = shown == mark ? [mark] : [mark, before, shown]
        let paths = Self.suffixes.map { FileIdentity(path: file.path + $0) }
        guard paths == identities, !paths.contains(nil) else {
            close()
            throw StoreProblem("\(path) or its -wal was replaced while it was opened. Start again.")
        }
    }

    func close() {
        // The database file's descriptor is `SQLiteFile`'s.
        for descriptor in [log, index] where descriptor >= 0 { Foundation.close(descriptor) }
    }

    private static let suffixes = ["", "-wal", "-shm"]

    /// Sets `loss` if there is one.
    mutating func compare() {
        // SQLite may write between two reads, so check the contents again.
        guard let first = compareOnce() else { return }
        loss = first.leavesContentWhole ? first : compareOnce()
    }

    private mutating func compareOnce() -> FileLoss? {
        guard let found = FileIdentity(path: path) else { return .moved }
        guard found == identities[0] else { return .replaced }
        return compareDatabase() ?? compareLog()
    }

    /// The file's header (https://sqlite.org/fileformat.html#the_database_header) and size.
    private mutating func compareDatabase() -> FileLoss? {
        guard let mark = Self.number(at: 60, of: database), marks.contains(mark),
            let pages = Self.number(at: 28, of: database), let size = Self.size(of: database)
        else { return .overwritten }
        // SQLite too shortens a file, after a VACUUM, and writes the header first.
        if size < databaseSize, size < off_t(pages) * off_t(Self.pageSize(of: database)) { return .overwritten }
        databaseSize = size
        return nil
    }

    private func compareLog() -> FileLoss? {
        for (suffix, identity) in zip(Self.suffixes, identities).dropFirst()
        where FileIdentity(path: path + suffix) != identity { return .logGone }
        // Frames the log must hold by its index (https://sqlite.org/walformat.html#the_wal_index_header), which has a
        // number in the machine's own order.
        let frames = off_t(UInt32(bigEndian: Self.number(at: 16, of: index) ?? 0))
        guard frames > 0 else { return nil }
        let magic = (Self.number(at: 0, of: log) ?? 0) & ~1
        let size = 32 + frames * off_t(24 + Self.pageSize(of: database))
        return magic == 0x377F_0682 && Self.size(of: log) ?? 0 >= size ? nil : .logCut
    }

    private static func pageSize(of database: CInt) -> Int {
        let size = Int((number(at: 16, of: database) ?? 0) >> 16)
        return size == 1 ? 65_536 : size
    }

    private static func size(of descriptor: CInt) -> off_t? {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? status.st_size : nil
    }

    /// Four bytes as a number, the most significant first; nil beyond the end.
    private static func number(at offset: off_t, of descriptor: CInt) -> UInt32? {
        var number: UInt32 = 0
        guard pread(descriptor, &number, 4, offset) == 4 else { return nil }
        return UInt32(bigEndian: number)
    }
}

extension FileIdentity {
    init?(descriptor: CInt) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }
}
