import Synchronization

/// The certificate that a server shows. It can be replaced while the server runs: connections keep the one with which
/// they began.
package final class TLSCertificate: Sendable {
    private let context: Mutex<TLSServerContext>

    package init(_ context: TLSServerContext) { self.context = Mutex(context) }

    /// For the next connection.
    package var current: TLSServerContext { context.withLock(\.self) }

    package func replace(with other: TLSServerContext) { context.withLock { $0 = other } }
}
