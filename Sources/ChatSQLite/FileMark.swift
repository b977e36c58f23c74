import Foundation
import GRDB

/// `PRAGMA user_version` of a database file, by which a run of a server marks it: positive while the file is written to
/// and so is whole only together with its `-wal`, the same negated after an orderly end, 0 for a file that no run has
/// marked.
///
/// A copy of the database file alone, taken under a running server, lacks the log, and nothing else in the file shows
/// that: it is a whole database, of some moments ago.
enum FileMark {
    static func random() -> Int32 { .random(in: 1...Int32.max) }

    /// Marks the file as whole by itself, once the log has been brought into it.
    static func needsNoLog(_ db: Database) throws {
        let mark = try Int32.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        if mark > 0 { try db.execute(sql: "PRAGMA user_version = \(-mark)") }
    }

    /// Looks at a file that SQLite has not opened in this process.
    ///
    /// - Returns: what is wrong, and what to do, where the file needs a log and has none.
    static func missingLog(of path: String) -> String? {
        // A mere reader leaves an empty log behind; a server's log has at least its mark.
        var log = stat()
        guard stat(path + "-wal", &log) != 0 || log.st_size == 0 else { return nil }
        guard let file = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? file.close() }  // Nothing was written.
        // https://sqlite.org/fileformat.html#the_database_header: the format of a log, our number, the mark.
        guard let header = try? file.read(upToCount: 100), header.count == 100, header[18] == 2,
            number(68, header) == FileOwner.applicationID, number(60, header) > 0
        else { return nil }
        return """
            \(path) was in use by a server and its -wal is missing, so what was answered last may be missing too. Where \
            both were copied, put the -wal beside it. Where another program has opened the file since, or made it by \
            SQLite's online backup, nothing is missing: luciq db migrate takes it as it is.
            """
    }

    private static func number(_ offset: Int, _ header: Data) -> Int32 {
        header[offset..<offset + 4].reduce(0) { $0 << 8 | Int32($1) }
    }
}
