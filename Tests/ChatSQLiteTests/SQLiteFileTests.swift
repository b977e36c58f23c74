import ChatCore
import Foundation
import GRDB
import Logging
import TestSupport
import Testing

@testable import ChatSQLite

/// Who may open a file, and who may read it.
@Suite(.timeLimit(.minutes(2))) struct SQLiteFileTests {
    @Test func oneProcessAtATime() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("test.sqlite")
        var first: SQLiteFile? = try SQLiteFile(path: path)
        let error = #expect(throws: StoreProblem.self) { _ = try SQLiteFile(path: path) }
        #expect(error?.description.contains("(pid \(getpid()))") == true)
        withExtendedLifetime(first) {}
        first = nil
        _ = try SQLiteFile(path: path)
    }

    @Test func noOtherNameOfTheFileLetsASecondProcessIn() async throws {
        let test = try await TestStore()
        let (hard, soft) = (test.folder.file("hard.sqlite"), test.folder.file("soft.sqlite"))
        try #require(link(test.path, hard) == 0 && symlink(test.path, soft) == 0)
        try FileManager.default.removeItem(atPath: test.path + ".lock")
        for path in [test.path, hard, soft] {
            let error = #expect(throws: StoreProblem.self) { _ = try SQLiteStore.openExclusively(path: path) }
            #expect(error?.description.contains("is using \(path)") == true)
        }
    }

    /// It locks the file beside the database, and nothing else.
    @Test func aServerOfAnEarlierVersionIsNoticed() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("test.sqlite")
        let lock = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        defer { close(lock) }
        try #require(lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
        let error = #expect(throws: StoreProblem.self) { _ = try SQLiteStore.openExclusively(path: path) }
        #expect(error?.description.contains("Another luciq") == true)
    }

    @Test func whatALinkInTheLocksPlaceLeadsToIsLeftAlone() throws {
        for isHard in [false, true] {
            let folder = try TemporaryFolder()
            let (path, precious) = (folder.file("test.sqlite"), folder.file("precious"))
            try "precious".write(toFile: precious, atomically: true, encoding: .utf8)
            let made = isHard ? link(precious, path + ".lock") : symlink(precious, path + ".lock")
            try #require(made == 0)
            let error = #expect(throws: StoreProblem.self) { _ = try SQLiteStore.openExclusively(path: path) }
            #expect(error?.description.contains("test.sqlite.lock is") == true)
            #expect(try String(contentsOfFile: precious, encoding: .utf8) == "precious")
        }
    }

    @Test func nobodyElseMayReadTheFiles() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a/b/test.sqlite")
        let mask = umask(0)
        defer { umask(mask) }
        let (store, file) = try SQLiteStore.openExclusively(path: path)
        for suffix in ["", "-wal", "-shm", ".lock"] { #expect(try mode(path + suffix) == 0o600, "\(suffix)") }
        for folder in [folder.file("a"), folder.file("a/b")] { #expect(try mode(folder) == 0o700) }
        try store.close()
        withExtendedLifetime(file) {}
        let other = folder.file("other.sqlite")
        for _ in 0..<2 {
            try await SQLiteKeeper(path: other).reset()
            #expect(try mode(other) == 0o600)
        }
    }

    private func mode(_ path: String) throws -> Int {
        var status = stat()
        try #require(stat(path, &status) == 0, "\(path)")
        return Int(status.st_mode) & 0o777
    }

    @Test func aFileOfAnEarlierVersionIsTakenOver() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("test.sqlite")
        let queue = try DatabaseQueue(path: path)
        try SQLiteMigrations.migrator.migrate(queue, upTo: "0004-search-times")
        let tokens = (0..<3).map { _ in Tenant.Token.random() }
        try await queue.write { db in
            for (index, token) in tokens.enumerated() {
                try db.execute(
                    sql: "INSERT INTO applications VALUES (?, 'old', ?, 0, 0, 0, 1, 1)",
                    arguments: [index + 7, token.text])
            }
        }
        try queue.close()
        chmod(path, 0o644)
        #expect(try await SQLiteKeeper(path: path).status().applications == 3)
        var ids: [[Tenant.PublicID]] = []
        for _ in 0..<2 {
            _ = try await SQLiteKeeper(path: path).migrate()
            #expect(try FileOwner(path: path) == .luciq)
            let (store, file) = try SQLiteStore.openExclusively(path: path)
            ids.append(try #require(try await store.tenants(after: nil, limit: 10)).tenants.map(\.publicID))
            for token in tokens { #expect(try await store.identity(of: .token(token))?.pathToken == .credential) }
            try withExtendedLifetime(file) { try store.close() }
        }
        // Each has an id of its own, and keeps it.
        #expect(Set(ids[0]).count == 3 && ids[0] == ids[1])
        #expect(try mode(path) == 0o600)
        // An operator has changed it on purpose.
        chmod(path, 0o640)
        _ = try await SQLiteKeeper(path: path).migrate()
        #expect(try mode(path) == 0o640)
        #expect(try await SQLiteKeeper(path: path).status().applications == 3)
    }

    @Test(arguments: ["", "PRAGMA application_id = 77", "PRAGMA journal_mode = WAL"])
    func anotherProgramsFileIsRefused(_ setting: String) async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("payroll.sqlite")
        let queue = try DatabaseQueue(path: path)
        try await queue.writeWithoutTransaction { db in
            try db.execute(sql: setting + "; CREATE TABLE applications (a); INSERT INTO applications VALUES (1)")
        }
        try queue.close()
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        let keeper = SQLiteKeeper(path: path)
        let attempts: [() async throws -> Void] = [
            { _ = try Backend.sqlite(path: path, logger: .init(label: "test")) }, { _ = try await keeper.migrate() },
            { try await keeper.reset() }, { _ = try await keeper.status() },
            { _ = try await keeper.verify(mends: false) { _, _ in } },
        ]
        for attempt in attempts {
            let error = await #expect(throws: StoreProblem.self) { try await attempt() }
            #expect(error?.description.contains("is a database of another program") == true)
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
        #expect(!FileManager.default.fileExists(atPath: path + ".lock"))
    }

    @Test func anEmptyFileIsTaken() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("test.sqlite")
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        #expect(try await SQLiteKeeper(path: path).migrate() == SQLiteMigrations.migrator.migrations)
    }

    @Test func whatIsNoDatabaseIsSaidInOneSentence() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("test.sqlite")
        let text = String(repeating: "not a database. ", count: 100)
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        let opening = #expect(throws: StoreProblem.self) { _ = try SQLiteStore.openExclusively(path: path) }
        let reset = await #expect(throws: StoreProblem.self) { try await SQLiteKeeper(path: path).reset() }
        for error in [opening, reset] { #expect(error?.description.contains("is not a SQLite database") == true) }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
    }
}
