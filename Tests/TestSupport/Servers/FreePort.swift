import Foundation
import Synchronization

/// Ports of 127.0.0.1 for servers of tests.
package enum FreePort {
    private static let given = Mutex<Set<Int>>([])

    /// A port that nothing listens on, and that this process has not had before.
    ///
    /// It lies below the range that systems take the ports of outgoing connections from: while a server is down, a
    /// client that keeps asking for such a port can be given it as its own, connect to itself, and be in the way when
    /// the server comes back.
    ///
    /// Someone else may take it before its user does; the starts of servers here then try another.
    package static func any() throws -> Int {
        for _ in 0..<200 {
            let port = Int.random(in: 15_000..<30_000)
            guard given.withLock({ $0.insert(port).inserted }) else { continue }
            if canListen(on: port) { return port }
        }
        throw ServerFailure("There is no free port from 15000 to 30000.")
    }

    private static func canListen(on port: Int) -> Bool {
        #if canImport(Darwin)
            let kind = SOCK_STREAM
        #else
            let kind = CInt(SOCK_STREAM.rawValue)
        #endif
        let descriptor = socket(AF_INET, kind, 0)
        defer { close(descriptor) }
        // As servers do: what is left of closed connections is not in the way.
        var isOn: CInt = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isOn, socklen_t(MemoryLayout<CInt>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 && listen(descriptor, 1) == 0
            }
        }
    }
}
