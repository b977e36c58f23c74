import Foundation

/// A TCP connection to a server on this machine, byte by byte. Its blocking calls run on threads of their own, so that
/// they cannot starve a server in the same process.
package final class RawConnection: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String

        package init(description: String) { self.description = description }
    }

    private let descriptor: CInt
    private let queue = DispatchQueue(label: "raw-connection")

    /// - Parameter patience: how long a read may take before it fails, in seconds.
    package init(port: Int, patience: Int = 60) throws {
        #if canImport(Darwin)
            let kind = SOCK_STREAM
        #else
            let kind = CInt(SOCK_STREAM.rawValue)
        #endif
        descriptor = socket(AF_INET, kind, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        var timeout = timeval(tv_sec: patience, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        // All properties are set: `deinit` closes it, and a second close could hit another's descriptor.
        guard connected == 0 else {
            throw Failure(description: "cannot connect to port \(port): \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(descriptor) }

    /// Sends all of it; false when the other side has closed.
    @discardableResult
    package func send(_ bytes: [UInt8]) async -> Bool {
        await onQueue { [descriptor, noSignal] in
            var sent = 0
            while sent < bytes.count {
                let count = bytes[sent...].withUnsafeBytes {
                    Foundation.send(descriptor, $0.baseAddress, $0.count, noSignal)
                }
                if count <= 0 { return false }
                sent += count
            }
            return true
        }
    }

    @discardableResult
    package func send(_ text: String) async -> Bool { await send(Array(text.utf8)) }

    /// Makes this value end with a reset (RST), like a client that crashed, instead of an orderly close.
    package func endWithReset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
    }

    /// Says that nothing more will be sent.
    package func finish() { shutdown(descriptor, CInt(SHUT_WR)) }

    /// The bytes that have arrived, at least one; empty when the other side has closed.
    package func receive() async throws -> [UInt8] {
        let result: Result<[UInt8], Failure> = await onQueue { [descriptor] in
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count > 0 { return .success(Array(buffer[..<count])) }
            if count == 0 || errno == ECONNRESET { return .success([]) }
            return .failure(Failure(description: "nothing came: \(String(cString: strerror(errno)))"))
        }
        return try result.get()
    }

    /// How many bytes have arrived that nobody has received, up to 64 KiB.
    package var arrived: Int {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        return max(0, recv(descriptor, &buffer, buffer.count, peeking))
    }

    /// Everything until the other side closes.
    package func receiveAll() async throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let bytes = try await receive()
            if bytes.isEmpty { return all }
            all += bytes
        }
    }

    /// The next answer; nil when the other side has closed before one.
    ///
    /// - Parameters:
    ///   - rest: what was received beyond the last answer; the new rest on return.
    ///   - isHead: the answer has no body whatever its headers say.
    package func receiveAnswer(rest: inout [UInt8], isHead: Bool = false) async throws -> Answer? {
        while true {
            if let (answer, used) = Answer.parse(rest, isHead: isHead) {
                rest.removeFirst(used)
                return answer
            }
            let bytes = try await receive()
            if bytes.isEmpty { return nil }
            rest += bytes
        }
    }

    private func onQueue<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: body()) }
        }
    }

    #if canImport(Darwin)
        private var peeking: CInt { MSG_PEEK | MSG_DONTWAIT }
        private var noSignal: CInt { 0 }
    #else
        private var peeking: CInt { CInt(MSG_PEEK) | CInt(MSG_DONTWAIT) }
        private var noSignal: CInt { CInt(MSG_NOSIGNAL) }
    #endif
}
