import Foundation
import Synchronization
import TestSupport

/// A headless Chromium, driven by its DevTools protocol: JSON that ends with a NUL, on its descriptors 3 and 4
/// (`--remote-debugging-pipe`).
final class Browser: Sendable {
    /// What happened in a tab, as the protocol says it.
    struct Event: Sendable {
        let method: String
        let session: String?
        private let data: Data

        fileprivate init?(_ data: Data) {
            guard let message = Self.object(data), let method = message["method"] as? String else { return nil }
            (self.method, self.session, self.data) = (method, message["sessionId"] as? String, data)
        }

        var parameters: [String: Any] { Self.object(data)?["params"] as? [String: Any] ?? [:] }

        fileprivate static func object(_ data: Data) -> [String: Any]? {
            (try? JSONSerialization.jsonObject(with: data)) as? [String: Any]
        }
    }

    private struct State {
        var lastID = 0
        var waiting: [Int: CheckedContinuation<Data, any Error>] = [:]
        var events: [Event] = []
    }

    private let process: ServerProcess
    private let folder: TemporaryFolder
    private let commands: CInt
    private let answers: CInt
    private let state: StateBox

    /// The reading thread holds this instead of the browser, which would otherwise never be freed.
    private final class StateBox: Sendable {
        let mutex = Mutex(State())
    }

    /// - Parameter options: for its command line.
    init(_ options: [String] = []) throws {
        folder = try TemporaryFolder()
        let paths = ["COMMANDS": folder.file("commands"), "ANSWERS": folder.file("answers")]
        for path in paths.values { mkfifo(path, 0o600) }
        // Opened for reading and writing, so that neither opening it nor a read before the browser's first message ends
        // or hangs.
        commands = open(paths["COMMANDS"]!, O_RDWR | O_CLOEXEC)
        answers = open(paths["ANSWERS"]!, O_RDWR | O_CLOEXEC)
        state = StateBox()
        process = try ServerProcess(
            ["sh", "-c", #"exec "$0" "$@" 3<"$COMMANDS" 4>"$ANSWERS""#, try Self.program()] + [
                "--headless=new", "--remote-debugging-pipe", "--user-data-dir=" + folder.file("profile"),
                // It shows our own page only, and in a container the sandbox often lacks what it needs.
                "--no-sandbox",
                "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
                "--disable-component-update", "--no-first-run", "--no-proxy-server", "--lang=en-US",
                // No window is in front, and Chromium must not slow them down for that.
                "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
                "--disable-backgrounding-occluded-windows",
            ] + options + ["about:blank"], log: folder.file("log"),
            environment: paths.merging(["HOME": folder.path]) { $1 })
        let (answers, state) = (answers, state)
        Thread.detachNewThread { Self.read(answers, state) }
    }

    deinit {
        process.kill()
        // An empty message ends the reading thread.
        write(answers, "\0", 1)
        close(commands)
    }

    private static func program() throws -> String {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        let names = folders.flatMap { folder in ["chromium", "google-chrome"].map { "\(folder)/\($0)" } }
        let onMac = ["Chromium", "Google Chrome"].map { "/Applications/\($0).app/Contents/MacOS/\($0)" }
        for path in names + onMac where access(path, X_OK) == 0 { return path }
        throw RawConnection.Failure(
            description:
                "The tests need Chromium: install it, or run scripts/setup test.")
    }

    private static func read(_ descriptor: CInt, _ state: StateBox) {
        var rest = Data()
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Foundation.read(descriptor, &piece, piece.count)
            guard count > 0 else { break }
            var start = 0
            // Only what is new is looked through: an answer may have several megabytes.
            while let end = piece[start..<count].firstIndex(of: 0) {
                let message = rest + piece[start..<end]
                rest = Data()
                start = end + 1
                if message.isEmpty {
                    close(descriptor)
                    return
                }
                received(message, state)
            }
            rest.append(contentsOf: piece[start..<count])
        }
    }

    private static func received(_ message: Data, _ state: StateBox) {
        if let event = Event(message) {
            state.mutex.withLock { $0.events.append(event) }
        } else if let id = Event.object(message)?["id"] as? Int {
            state.mutex.withLock { $0.waiting.removeValue(forKey: id) }?.resume(returning: message)
        }
    }

    /// What has happened since the start, in the tabs whose domains are enabled.
    var events: [Event] { state.mutex.withLock(\.events) }

    /// An orderly end, with all the processes that it has started.
    func quit() async throws {
        try await call("Browser.close")
        await process.end(within: 10)
    }

    /// - Throws: the error that the browser answers; also when it does not answer within 30 seconds.
    @discardableResult
    func call(_ method: String, _ parameters: [String: Any] = [:], session: String? = nil) async throws -> [String: Any]
    {
        let id = state.mutex.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        var message: [String: Any] = ["id": id, "method": method, "params": parameters]
        message["sessionId"] = session
        let bytes = Array(try JSONSerialization.data(withJSONObject: message)) + [0]
        let answer = try await withCheckedThrowingContinuation { continuation in
            state.mutex.withLock { $0.waiting[id] = continuation }
            _ = bytes.withUnsafeBytes { write(commands, $0.baseAddress!, $0.count) }
            DispatchQueue.global().asyncAfter(deadline: .now() + 30) { [state, process] in
                state.mutex.withLock { $0.waiting.removeValue(forKey: id) }?.resume(
                    throwing: RawConnection.Failure(
                        description: "The browser does not answer \(method): \(process.output.suffix(500))"))
            }
        }
        let object = Event.object(answer) ?? [:]
        guard let result = object["result"] as? [String: Any] else {
            throw RawConnection.Failure(description: "\(method): \(object["error"] ?? "no result")")
        }
        return result
    }
}
