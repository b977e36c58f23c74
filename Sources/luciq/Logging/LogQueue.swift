import Foundation
import Metrics

/// The queue of log lines for standard error. Its own thread writes them, in order, so that logging never waits for the
/// program at the other end of the pipe.
///
/// The queue is bounded: while it is full, or while writes fail (standard error closed, disk full), lines are dropped
/// and counted. As soon as a write succeeds again, a line tells how many are missing.
final class LogQueue: @unchecked Sendable {
    /// The process has one standard error, so it has one of these.
    static let standardError = LogQueue(descriptor: STDERR_FILENO)

    private let descriptor: CInt
    private let capacity: Int
    /// Guards the fields below; signalled when there are lines, and when they are written.
    private let condition = NSCondition()
    private var waiting = Lines()
    private var isWriting = false
    private var hasThread = false
    private var dropped = 0
    private var report: (@Sendable (_ count: Int) -> String)?
    private var counter: Counter?
    /// Whether the last write ended inside a line. Only the thread uses it.
    private var isInsideLine = false

    private struct Lines {
        var bytes: [UInt8] = []
        var count = 0
    }

    /// - Parameter capacity: the most bytes of waiting lines.
    init(descriptor: CInt, capacity: Int = 1 << 20) {
        self.descriptor = descriptor
        self.capacity = capacity
    }

    /// - Parameter report: writes the line about dropped lines, with its line break.
    func onDrop(report: @escaping @Sendable (_ count: Int) -> String) {
        condition.withLock { self.report = report }
    }

    /// Counts dropped lines in `metrics`, including those dropped so far.
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
            // This also wakes tasks that wait for the end of the queue.
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
                    // The report was the last line, so it is lost as well.
                    dropped += missing.count
                    drop(missing.count > 0 ? lost - 1 : lost)
                }
                condition.broadcast()
            }
            usleep(Self.pause)
        }
    }

    /// How long the thread collects lines after a write, in microseconds. So a busy server wakes it at most 200 times a
    /// second, and not for each line.
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
    /// - Returns: how many lines were lost, including one that was partly written.
    private func write(_ lines: [UInt8]) -> Int {
        // End a line that was cut off.
        let bytes = isInsideLine ? [UInt8(ascii: "\n")] + lines : lines
        return bytes.withUnsafeBytes { bytes in
            var rest = bytes
            while !rest.isEmpty {
                let count = Foundation.write(descriptor, rest.baseAddress, rest.count)
                if count >= 0 {
                    if count > 0 { isInsideLine = rest[count - 1] != UInt8(ascii: "\n") }
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                } else if errno == EAGAIN {
                    // Another process that shares it has made it non-blocking.
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
