import Foundation
import Metrics

/// The lines on their way to standard error. Its own thread writes them, in order, so that logging never waits for the
/// program at the other end of the pipe.
///
/// The queue is bounded: while it is full, or while standard error takes nothing (closed, disk full), lines are dropped
/// and counted. As soon as a write succeeds again, a line says how many are missing.
final class LogQueue: @unchecked Sendable {
    /// The process has one standard error, so it has one of these.
    static let standardError = LogQueue(descriptor: STDERR_FILENO)

    private let descriptor: CInt
    private let capacity: Int
    /// Guards everything below; signalled when there are lines, and when they are written.
    private let condition = NSCondition()
    private var waiting = Lines()
    private var isWriting = false
    private var hasThread = false
    private var dropped = 0
    private var report: (@Sendable (_ count: Int) -> String)?
    private var counter: Counter?
    /// Only the thread uses it: the last write ended inside a line.
    private var isInsideLine = false

    private struct Lines {
        var bytes: [UInt8] = []
        var count = 0
    }

    /// - Parameter capacity: of the lines that wait, in bytes.
    init(descriptor: CInt, capacity: Int = 1 << 20) {
        self.descriptor = descriptor
        self.capacity = capacity
    }

    /// - Parameter report: writes the line about dropped lines, with its line break.
    func onDrop(report: @escaping @Sendable (_ count: Int) -> String) {
        condition.withLock { self.report = report }
    }

    /// Counts dropped lines in `metrics`, those dropped already too.
    func measure(in metrics: any MetricsFactory) {
        let counter = Counter(label: "luciq_log_lines_dropped_total", factory: metrics)
        condition.withLock {
            self.counter = counter
            if dropped > 0 { counter.increment(by: dropped) }
        }
    }

    /// Queues a line, which ends with a line break. Never waits for the reader.
    func append(_ line: String) { append { $0.append(contentsOf: line.utf8) } }

    /// The same for a line that is written straight into the queue.
    func append(_ write: (inout [UInt8]) -> Void) {
        condition.withLock {
            let start = waiting.bytes.count
            write(&waiting.bytes)
            guard waiting.bytes.count <= capacity else {
                waiting.bytes.removeLast(waiting.bytes.count - start)
                return drop(1)
            }
            waiting.count += 1
            if !hasThread {
                hasThread = true
                Thread.detachNewThread { [self] in writeForever() }
            }
            // Who waits for the end of the queue is woken too.
            if waiting.count == 1 { condition.broadcast() }
        }
    }

    /// Waits until everything is written, but no longer than `limit`.
    func flush(within limit: Duration = .seconds(2)) {
        let deadline = Date(timeIntervalSinceNow: limit / .seconds(1))
        condition.withLock {
            while waiting.count > 0 || isWriting { guard condition.wait(until: deadline) else { return } }
        }
    }

    private func drop(_ count: Int) {
        dropped += count
        counter?.increment(by: count)
    }

    private func writeForever() -> Never {
        while true {
            var (lines, missing) = take()
            if missing.count > 0 { lines.append(contentsOf: missing.text.utf8) }
            let lost = write(lines)
            condition.withLock {
                isWriting = false
                if lost > 0 {
                    // The line about the missing ones was the last, so it is among the lost.
                    dropped += missing.count
                    drop(missing.count > 0 ? lost - 1 : lost)
                }
                condition.broadcast()
            }
            usleep(Self.pause)
        }
    }

    /// How long the thread gathers lines after it has written some, in microseconds. A busy server then wakes it 200 times a
    /// second at most, and not for each line.
    private static let pause: useconds_t = 5000

    /// Waits for lines.
    private func take() -> (lines: [UInt8], missing: (count: Int, text: String)) {
        condition.withLock {
            while waiting.count == 0 { condition.wait() }
            isWriting = true
            let lines = waiting.bytes
            waiting = Lines()
            guard dropped > 0, let report else { return (lines, (0, "")) }
            defer { dropped = 0 }
            return (lines, (dropped, report(dropped)))
        }
    }

    /// Waits for the reader as long as it takes.
    ///
    /// - Returns: how many lines were lost, with what was left of one that was begun.
    private func write(_ lines: [UInt8]) -> Int {
        // A line that was cut off keeps to itself.
        let bytes = isInsideLine ? [UInt8(ascii: "\n")] + lines : lines
        return bytes.withUnsafeBytes { bytes in
            var rest = bytes
            while !rest.isEmpty {
                let count = Foundation.write(descriptor, rest.baseAddress, rest.count)
                if count >= 0 {
                    if count > 0 { isInsideLine = rest[count - 1] != UInt8(ascii: "\n") }
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                } else if errno == EAGAIN {
                    // Somebody who shares it with us has made it non-blocking.
                    var output = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&output, 1, -1)
                } else if errno != EINTR {
                    return rest.count { $0 == UInt8(ascii: "\n") }
                }
            }
            return 0
        }
    }
}
