import ChatHTTP
import Foundation
import Logging
import Metrics
import Scheduling
import ServiceLifecycle
import TLS

/// Reads a server's certificate again when its files change, and when asked to (SIGHUP). Without a usable pair the last
/// good one stays in use.
///
/// It has a thread, because a file may be on a disk that hangs.
actor CertificateWatch: Service {
    /// Between two looks at the files.
    private static let interval = Duration.seconds(2)

    nonisolated let certificate: TLSCertificate
    private let files: CertificateFiles
    private var state: ReloadState<CertificateFiles.Version>
    /// The certificate about which a warning was logged.
    private var warned: ObjectIdentifier?
    private let failing: Meter
    private let logger: Logger
    private let thread = ThreadExecutor(name: "luciq-tls", for: .actor)

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(_ loaded: CertificateFiles.Loaded, logger: Logger, metrics: PrometheusRegistry) {
        files = loaded.files
        certificate = TLSCertificate(loaded.context)
        state = ReloadState(loaded: loaded.version)
        failing = Meter(label: "luciq_tls_reload_failed", factory: metrics)
        failing.set(0)
        self.logger = logger
        let remaining = Meter(label: "luciq_tls_certificate_remaining_seconds", factory: metrics)
        metrics.beforeReading { [certificate] in
            remaining.set(Double(certificate.current.expiry) - Date().timeIntervalSince1970)
        }
    }

    deinit { thread.stop() }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                await look()
                try? await Task.sleep(for: Self.interval)  // Returns early when cancelled.
            }
        }
    }

    /// Reads the files whether they have changed or not.
    func reload() { load(isAsked: true) }

    private func look() {
        if state.looks(files.version) { load(isAsked: false) }
        failing.set(state.isFailing ? 1 : 0)
        checkValidity()
    }

    private func load(isAsked: Bool) {
        let version = files.version
        do throws(TLSError) {
            take(try files.load())
        } catch {
            if state.hasFailed(version, isAsked: isAsked) { report(error) }
        }
    }

    private func take(_ loaded: CertificateFiles.Loaded) {
        certificate.replace(with: loaded.context)
        state.hasLoaded(loaded.version)
        failing.set(0)
        logger.notice(
            "TLS certificate loaded",
            metadata: ["path": "\(files.certificate)", "expires": "\(Self.time(loaded.context.expiry))"])
        checkValidity()
    }

    private func report(_ error: TLSError) {
        failing.set(1)
        logger.error("TLS certificate not loaded: the last one stays", metadata: ["error": "\(error)"])
    }

    /// A certificate outside its time is used all the same, and warned about once: clients may accept it, and refusing
    /// to start helps none of them.
    private func checkValidity() {
        let current = certificate.current
        let now = Int(Date().timeIntervalSince1970)
        guard warned != ObjectIdentifier(current) else { return }
        if current.expiry <= now {
            warn("TLS certificate expired", ["expired": "\(Self.time(current.expiry))"])
        } else if current.start > now {
            warn("TLS certificate not valid yet", ["valid_from": "\(Self.time(current.start))"])
        }
    }

    private func warn(_ message: Logger.Message, _ facts: Logger.Metadata) {
        warned = ObjectIdentifier(certificate.current)
        logger.warning(message, metadata: facts.merging(["path": "\(files.certificate)"]) { $1 })
    }

    private static func time(_ seconds: Int) -> String {
        Date(timeIntervalSince1970: TimeInterval(seconds)).formatted(.iso8601)
    }
}
