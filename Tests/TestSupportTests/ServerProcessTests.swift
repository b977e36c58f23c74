import Foundation
import TestSupport
import Testing

@Suite("Processes of tests", .timeLimit(.minutes(3)))
struct ServerProcessTests {
    @Test("an exit code, a signal, and what was printed")
    func endings() async throws {
        let folder = try TemporaryFolder()
        let exits = try ServerProcess(["sh", "-c", "echo out; echo err >&2; exit 3"], log: folder.file("a"))
        #expect(await exits.end(within: 10) == 3)
        #expect(exits.output == "out\nerr\n")
        let sleeps = try ServerProcess(["sleep", "100"], log: folder.file("b"))
        #expect(await sleeps.end(within: 0.05) == nil)
        sleeps.kill()
        #expect(sleeps.exitCode == 128 + 9)
    }

    @Test("it is killed with its value")
    func goes() async throws {
        let folder = try TemporaryFolder()
        let pid = try ServerProcess(["sleep", "100"], log: folder.file("log")).pid
        #expect(kill(pid, 0) == -1 && errno == ESRCH)
    }

    @Test("many at once")
    func many() async throws {
        let outputs = try await withThrowingTaskGroup(of: String.self) { group in
            for index in 0..<100 { group.addTask { try await runProgram(["echo", "\(index)"]) } }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(outputs.count == 100)
    }

    @Test("a program that is not there: a sentence that says what to do")
    func missing() async throws {
        let folder = try TemporaryFolder()
        let failure = #expect(throws: ServerFailure.self) {
            try ServerProcess(["mariadb-no-such-program"], log: folder.file("log"))
        }
        #expect(
            failure?.description
                == "The tests need mariadb-no-such-program: install mariadb-server (Homebrew: mariadb), "
                + "or run scripts/setup test.")
    }

    @Test("ports are given once, and nothing listens on them")
    func ports() throws {
        let ports = try (0..<100).map { _ in try FreePort.any() }
        #expect(Set(ports).count == 100)
        #expect(throws: RawConnection.Failure.self) { try RawConnection(port: ports[0]) }
    }
}
