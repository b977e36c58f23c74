import Foundation
import GRDB

/// The mark of a server's run in a database file, as `PRAGMA user_version`: positive during the run, when the file is
/// complete only with its `-wal`; the same number negated after an orderly end; 0 before the first run.
///
/// A copy of only the database file of a running server lacks the log. Nothing else in the file shows that: it is a
/// valid database of an earlier moment.
enum FileMark {
    static func random() -> Int32 { .random(in: 1...Int32.max) }

    /// Marks the file as complete without a log, after the log has been copied into it.
    static func needsNoLog(_ db: Database) throws {
        let mark = try Int32.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        if mark > 0 { try db.execute(sql: "PRAGMA user_version = \(-mark)") }
    }

    /// Reads a file that SQLite has not opened in this process.
    ///
    /// - Returns: the problem and the advice, if the file needs a log and has none.
    static func missingLog(of path: String) -> String? {
        // A process that only reads leaves an empty log; a server's log has at least its mark.
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
