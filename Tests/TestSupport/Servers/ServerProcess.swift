import Foundation

/// A program that runs beside the tests, killed when this value or the tests are gone.
package final class ServerProcess: @unchecked Sendable {
    package let pid: Int32
    /// The file with what it prints; nil where that goes elsewhere.
    package let log: String?

    /// The state that the waiting thread sets. The thread holds this instead of the process, which would otherwise
    /// never be freed.
    private final class Ending: @unchecked Sendable {
        let condition = NSCondition()
        var status: CInt?
    }
    private let ending = Ending()

    /// - Parameters:
    ///   - command: a program, looked for as a shell does, and its arguments.
    ///   - log: a file, made or emptied.
    ///   - errors: another file for standard error; nil for the log.
    ///   - input: a file for standard input; nil for none.
    ///   - environment: what is added to ours.
    package convenience init(
        _ command: [String], log: String, errors: String? = nil, input: String? = nil,
        environment: [String: String] = [:]
    ) throws {
        let stdin = try input.map { try FileHandle(forReadingFrom: URL(fileURLWithPath: $0)) }
        try self.init(
            [try Program.path(of: command[0])] + command.dropFirst(),
            allOfEnvironment: ProcessInfo.processInfo.environment.merging(environment) { $1 },
            input: stdin?.fileDescriptor, output: .file(log), errors: .file(errors ?? log))
    }

    /// - Parameters:
    ///   - command: a program's path and its arguments.
    ///   - folder: where it starts; nil for where we are.
    ///   - input: an open descriptor for standard input; nil for none.
    package init(
        _ command: [String], in folder: String? = nil, allOfEnvironment environment: [String: String],
        input: CInt? = nil, output: ProgramOutput, errors: ProgramOutput
    ) throws {
        log = if case .file(let path) = output { path } else { nil }
        let reaper = try Reaper.shared.get()
        pid = try spawn(command, environment: environment, in: folder, input: input, output: output, errors: errors)
        reaper.started(pid)
        let (pid, ending) = (pid, ending)
        Thread.detachNewThread {
            // First without reaping it, because others may be about to send a signal to its pid.
            var information = siginfo_t()
            while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) == -1, errno == EINTR {}
            ending.condition.withLock {
                reaper.ended(pid)
                var status: CInt = 0
                while waitpid(pid, &status, 0) == -1, errno == EINTR {}
                ending.status = status
                ending.condition.broadcast()
            }
        }
    }

    deinit { kill() }

    package var isRunning: Bool { ending.condition.withLock { ending.status == nil } }

    /// Its exit code, or 128 and the number of the signal that ended it; nil while it runs.
    package var exitCode: Int? {
        ending.condition.withLock { ending.status }.map { status in
            status & 0x7f == 0 ? Int(status >> 8) & 0xff : 128 + Int(status & 0x7f)
        }
    }

    /// What it has printed.
    package var output: String {
        // A file that is not there yet has nothing in it.
        log.flatMap { try? Data(contentsOf: URL(fileURLWithPath: $0)) }.map { String(decoding: $0, as: UTF8.self) }
            ?? ""
    }

    /// Nothing happens when it has ended.
    package func signal(_ signal: CInt) {
        ending.condition.withLock {
            // Its pid stays valid until the waiting thread, which needs this lock, has reaped it.
            if ending.status == nil { _ = Foundation.kill(pid, signal) }
        }
    }

    /// SIGSTOP; returns when every thread of the process has stopped, which the signal itself does not wait for.
    package func freeze() {
        signal(SIGSTOP)
        #if os(Linux)
            let tasks = "/proc/\(pid)/task"
            func standsStill(_ task: String) -> Bool {
                // A thread that has ended meanwhile has no file.
                (try? String(contentsOfFile: "\(tasks)/\(task)/stat", encoding: .utf8))?.contains(") T ") ?? true
            }
            while isRunning, let threads = try? FileManager.default.contentsOfDirectory(atPath: tasks),
                !threads.allSatisfy(standsStill)
            {
                usleep(1000)
            }
        #endif
    }

    /// Ends it by SIGKILL and waits for that; a few milliseconds.
    package func kill() {
        signal(SIGKILL)
        waitForEnd(seconds: 10)
    }

    /// Ends it by SIGTERM, and by SIGKILL when that does not help in ten seconds.
    package func stop() async {
        signal(SIGCONT)
        signal(SIGTERM)
        if await end(within: 10) == nil { kill() }
    }

    /// Waits for its end.
    ///
    /// - Returns: its exit code, nil when it still runs.
    @discardableResult
    package func end(within seconds: Double) async -> Int? {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { [self] in
                waitForEnd(seconds: seconds)
                continuation.resume(returning: exitCode)
            }
        }
    }

    /// Waits until it prints a text.
    ///
    /// - Throws: `ServerFailure` with the end of what it printed, when it ends before or takes longer.
    package func prints(_ text: String, within seconds: Double = 30) async throws {
        let until = ContinuousClock.now.advanced(by: .seconds(seconds))
        while !output.contains(text) {
            let isLate = ContinuousClock.now > until
            if isLate || !isRunning {
                // Its last output may have arrived just now.
                if output.contains(text) { return }
                let tail = output.split(separator: "\n").suffix(20).joined(separator: "\n")
                throw ServerFailure("It \(isLate ? "does not print" : "ended and never printed") \"\(text)\":\n\(tail)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private func waitForEnd(seconds: Double) {
        let until = Date(timeIntervalSinceNow: seconds)
        ending.condition.withLock {
            while ending.status == nil, ending.condition.wait(until: until) {}
        }
    }
}
