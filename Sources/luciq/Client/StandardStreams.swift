import Foundation

/// Standard output, which may be a pipe to another command.
enum StandardOutput {
    enum Failure: Error, Equatable {
        /// The reader has left.
        case closed
        case error(String)
    }

    /// Writes all of it, waiting for a slow reader as long as it takes.
    static func write(_ text: String) throws(Failure) {
        var text = text
        let failure: Failure? = text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Foundation.write(STDOUT_FILENO, rest.baseAddress, rest.count)
                if count >= 0 {
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                } else if errno == EAGAIN {
                    // Another process that shares it has made it non-blocking.
                    var output = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
                    poll(&output, 1, -1)
                } else if errno != EINTR {
                    return errno == EPIPE ? .closed : .error(String(cString: strerror(errno)))
                }
            }
            return nil
        }
        if let failure { throw failure }
    }

    /// From here on a reader that leaves does not kill the process, but causes `Failure.closed`.
    static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

    /// Ends the process, quietly, when the reader of our pipe leaves while there is nothing to write:
    /// `luciq tail … | head -n 1` is over with the first message, not with the second.
    static func endWithItsReader() {
        var status = stat()
        guard fstat(STDOUT_FILENO, &status) == 0, [S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT) else { return }
        Thread.detachNewThread {
            var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
            // Without requested events, only errors and the reader's end are reported.
            while poll(&output, 1, -1) < 1 {}
            _exit(EXIT_SUCCESS)
        }
    }
}

enum StandardInput {
    struct Failure: Error {
        let sentence: String
    }

    /// Waits for input.
    ///
    /// - Returns: the available bytes, at least one; nil at the end.
    static func read() throws(Failure) -> [UInt8]? {
        while true {
            var failure: CInt = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
                let result = Foundation.read(STDIN_FILENO, buffer.baseAddress, buffer.count)
                if result < 0 { failure = errno }
                count = max(0, result)
            }
            switch failure {
            case 0: return bytes.isEmpty ? nil : bytes
            case EINTR: continue
            case EAGAIN:
                var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
                poll(&input, 1, -1)
            default: throw Failure(sentence: "Standard input cannot be read: \(String(cString: strerror(failure))).")
            }
        }
    }
}

enum StandardStreams {
    /// Opens standard streams that were closed at the start, as by a shell's `2>&-`. Otherwise the next opened file or
    /// connection would take their place, and get text for the log or the screen.
    static func keepOpen() {
        // Closed output still cannot be written, nor closed input read: commands report it. Only the log is lost
        // silently.
        for (descriptor, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_WRONLY)]
        where fcntl(descriptor, F_GETFD) == -1 {
            // It gets the lowest free number, which is this one.
            _ = open("/dev/null", mode)
        }
    }

    /// Writes to standard error at once, as much as it accepts.
    static func tell(_ text: String) {
        var text = text
        text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

/// Notes for people beside a command's output; silent unless standard error is a terminal.
enum Notice {
    static func tell(_ sentence: String?) {
        guard let sentence, Terminal.isStandardError else { return }
        StandardStreams.tell("luciq: \(sentence)\n")
    }
}
