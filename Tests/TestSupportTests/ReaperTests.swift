import Foundation
import Testing

@testable import TestSupport

@Suite("The reaper", .timeLimit(.minutes(3)))
struct ReaperTests {
    @Test("when we are gone it kills what is left, and deletes the folders")
    func reap() async throws {
        let folder = try TemporaryFolder()
        let data = folder.file("a folder's name")
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        let left = try ServerProcess(["sleep", "100"], log: folder.file("left"))
        let ended = try ServerProcess(["sleep", "100"], log: folder.file("ended"))
        do {
            let reaper = try Reaper()
            reaper.started(ended.pid)
            reaper.started(left.pid)
            reaper.ended(ended.pid)
            reaper.folder(data)
        }
        #expect(await left.end(within: 20) == 128 + 9)
        try await eventually("the folder is deleted") { !FileManager.default.fileExists(atPath: data) }
        #expect(ended.isRunning)
    }

    @Test("a program inherits no descriptors")
    func descriptors() async throws {
        let folder = try TemporaryFolder()
        // One that is not closed by itself.
        let descriptor = open(folder.file("open"), O_RDWR | O_CREAT, 0o600)
        defer { close(descriptor) }
        #expect(fcntl(descriptor, F_GETFD) == 0)
        // `ls` itself has one open, for the folder that it lists.
        #expect(try await runProgram(["ls", "/dev/fd"]).split(separator: "\n") == ["0", "1", "2", "3"])
    }
}
