import Foundation
import TestSupport

/// A terminal that the test controls.
final class PseudoTerminal {
    /// What a process takes for its terminal.
    let handle: FileHandle
    private let controller: CInt
    private var bytes: [UInt8] = []

    /// - Parameter columns: how wide it says it is; 0 for unknown.
    init(columns: UInt16 = 0) throws {
        controller = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        guard controller >= 0, let name = Self.unlockedName(of: controller) else {
            throw RawConnection.Failure(description: "no pseudo-terminal: \(String(cString: strerror(errno)))")
        }
        handle = FileHandle(fileDescriptor: open(name, O_RDWR | O_NOCTTY), closeOnDealloc: true)
        var size = winsize()
        size.ws_col = columns
        _ = ioctl(controller, UInt(TIOCSWINSZ), &size)
        _ = fcntl(controller, F_SETFL, O_NONBLOCK)
        _ = fcntl(controller, F_SETFD, FD_CLOEXEC)
    }

    deinit { close(controller) }

    #if canImport(Darwin)
        private static func unlockedName(of controller: CInt) -> String? {
            guard grantpt(controller) == 0, unlockpt(controller) == 0 else { return nil }
            return ptsname(controller).map { String(cString: $0) }
        }
    #else
        // Glibc's module hides `unlockpt` and `ptsname`; these are what they do (ioctl_tty(2): TIOCSPTLCK, TIOCGPTN).
        private static func unlockedName(of controller: CInt) -> String? {
            var isLocked: CInt = 0
            var number: CUnsignedInt = 0
            guard ioctl(controller, 0x4004_5431, &isLocked) == 0, ioctl(controller, 0x8004_5430, &number) == 0 else {
                return nil
            }
            return "/dev/pts/\(number)"
        }
    #endif

    /// All that was printed so far.
    var text: String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = read(controller, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    func type(_ text: String) { _ = write(controller, text, text.utf8.count) }

    func waitFor(_ words: String) async throws { try await eventually("\(words) is printed") { text.contains(words) } }
}
