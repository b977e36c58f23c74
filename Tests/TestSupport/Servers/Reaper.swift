import Foundation

/// Ends all processes of the tests when the tests end, in whatever way: a shell that reads from us what to end.
///
/// When we are gone, by an exit, a crash or a SIGKILL, its input ends; it then kills the processes that are left and
/// deletes their folders. Unlike a handler that runs at exit it cannot be missed, and unlike the kernel's
/// PR_SET_PDEATHSIG it does not go by the thread that started a process, which a pool may end at any time.
final class Reaper: Sendable {
    static let shared = Result { try Reaper() }

    private let pipe = Pipe()
    private let lock = NSLock()

    private static let script = """
        trap '' INT TERM HUP
        pids=' '
        while IFS=' ' read -r what value; do
            case $what in
            started) pids="$pids$value " ;;
            ended) pids="${pids%% $value *} ${pids#* $value }" ;;
            folder) set -- "$@" "$value" ;;
            esac
        done
        for pid in $pids; do kill -9 "$pid"; done
        sleep 0.2
        rm -rf -- "$@" || { sleep 2; rm -rf -- "$@"; }
        """

    init() throws {
        // Both ends are closed when another program is executed.
        let reading = pipe.fileHandleForReading
        _ = try spawn(
            ["/bin/sh", "-c", Self.script, "luciq-reaper"], environment: ["PATH": "/usr/bin:/bin"],
            input: reading.fileDescriptor, output: .file("/dev/null"), errors: .file("/dev/null"))
        try reading.close()
    }

    // Nobody could do anything about an error, and the descriptor is closed in any case.
    deinit { try? pipe.fileHandleForWriting.close() }

    func started(_ pid: pid_t) { tell("started \(pid)") }

    /// Must be called before the process is reaped, which frees its pid for others.
    func ended(_ pid: pid_t) { tell("ended \(pid)") }

    /// - Parameter path: deleted in the end, if it is there.
    func folder(_ path: String) { tell("folder \(path)") }

    private func tell(_ line: String) {
        lock.withLock { pipe.fileHandleForWriting.write(Data((line + "\n").utf8)) }
    }
}
