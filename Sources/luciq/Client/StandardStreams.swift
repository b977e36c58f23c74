import Foundation

/// What a command writes for the next one in a pipe.
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
                    // Somebody who shares it with us has made it non-blocking.
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

    /// From here on a reader who leaves does not kill the process, but is seen as `Failure.closed`.
    static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

    /// Ends the process, quietly, when the reader of our pipe leaves while there is nothing to write:
    /// `luciq tail … | head -n 1` is over with the first message, not with the second.
    static func endWithItsReader() {
        var status = stat()
        guard fstat(STDOUT_FILENO, &status) == 0, [S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT) else { return }
        Thread.detachNewThread {
            var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
            // No events are asked for: what is left are errors and the reader's end.
            while poll(&output, 1, -1) < 1 {}
            _exit(EXIT_SUCCESS)
        }
    }
}

enum StandardInput {
    struct Failure: Error {
        let sentence: String
    }

    /// Waits for more.
    ///
    /// - Returns: what there is, at least a byte; nil at the end.
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
    /// Opens what was closed at the start, as a shell's `2>&-` does: the next file or connection that is opened would take
    /// its place, and get what is meant for the log or for the screen.
    static func keepOpen() {
        // Output that was closed still cannot be written, and input not read: commands say so. The log is merely gone.
        for (descriptor, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_WRONLY)]
        where fcntl(descriptor, F_GETFD) == -1 {
            // The lowest number that is free, which is this one.
            _ = open("/dev/null", mode)
        }
    }

    /// Writes to standard error, at once and as much as is taken.
    static func tell(_ text: String) {
        var text = text
        text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

/// Messages to a person beside a command's output; silent unless standard error is a terminal.
enum Notice {
    static func tell(_ sentence: String?) {
        guard let sentence, Terminal.isStandardError else { return }
        StandardStreams.tell("luciq: \(sentence)\n")
    }
}
