import ChatCore
import ChatHTTP
import Foundation
import Logging

extension Settings {
    func httpOptions() throws -> HTTPOptions {
        var options = HTTPOptions()
        options.host = try address(Setup.host)
        options.port = try number(Setup.port, in: 0...65_535)
        options.connections.idle = try seconds(Setup.idleTimeout)
        options.connections.body = try seconds(Setup.bodyTimeout)
        options.live.message = options.connections.body
        options.maxConnections = try number(Setup.maxConnections, in: 1...1_000_000)
        let share = try number(Setup.connectionsPerAddress, in: 0...1_000_000)
        options.connectionsPerAddress = share > 0 ? share : nil
        options.proxies = try trustedProxies()
        options.heldBytes = try number(Setup.maxHeldBytes, in: 1 << 20...1 << 40)
        let origin = try text(Setup.corsOrigin)
        options.corsOrigin = origin.isEmpty ? nil : origin
        options.allowedHosts = try hostNames(Setup.allowedHosts)
        return options
    }

    private func hostNames(_ setting: Setting<String>) throws -> [String] {
        let names = try text(setting).split { $0 == "," || $0 == " " }.map(String.init)
        for name in names where name != "*" {
            let host = name.hasPrefix(".") ? String(name.dropFirst()) : name
            guard let authority = Authority(host), authority.host == host.lowercased() else {
                throw Invalid(
                    description: "\(setting.variable) must be host names separated by commas, without ports, or *.")
            }
        }
        return names
    }

    /// The files of the certificate for HTTPS; nil for plain HTTP.
    func certificateFiles() throws -> CertificateFiles? {
        let (certificate, key) = (try text(Setup.tlsCert), try text(Setup.tlsKey))
        if certificate.isEmpty, key.isEmpty { return nil }
        guard !certificate.isEmpty, !key.isEmpty else {
            let (set, missing) = certificate.isEmpty ? (Setup.tlsKey, Setup.tlsCert) : (Setup.tlsCert, Setup.tlsKey)
            throw Invalid(description: "\(missing.variable) must be set too where \(set.variable) is.")
        }
        return CertificateFiles(certificate: certificate, key: key)
    }

    /// The separate listener for health and metrics; nil for none.
    func opsOptions() throws -> HTTPOptions? {
        var options = HTTPOptions()
        options.host = try text(Setup.opsHost)
        options.port = try number(Setup.opsPort, in: 0...65_535)
        options.maxConnections = 256
        return options.port > 0 ? options : nil
    }

    func commitLimits() throws -> CommitLimits {
        var limits = CommitLimits()
        limits.pendingEntries = try number(Setup.maxPending, in: 1...1_000_000)
        // The largest message must fit.
        limits.pendingBytes = try number(Setup.maxPendingBytes, in: 131_072...1 << 34)
        limits.deadline = try seconds(Setup.requestTimeout)
        return limits
    }

    func logLevel() throws -> Logger.Level {
        Logger.Level(rawValue: try choice(Setup.logLevel, of: Logger.Level.allCases.map(\.rawValue)))!
    }

    func logFormat() throws -> LineLogHandler.Format {
        switch try choice(Setup.logFormat, of: ["auto", "human", "json"]) {
        case "human": .human
        case "json": .json
        default: Terminal.isStandardError ? .human : .json
        }
    }

    /// An address or a name to listen on. `*` is all addresses: `::`, which includes IPv4, or `0.0.0.0` without IPv6.
    func address(_ setting: Setting<String>) throws -> String {
        let host = try text(setting)
        guard !host.isEmpty else {
            throw Invalid(description: "\(setting.variable) must be an address to listen on, or * for all.")
        }
        guard host == "*" else { return host }
        let socket = socket(AF_INET6, CInt(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { return "0.0.0.0" }
        defer { close(socket) }
        var isIPv6Only: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        getsockopt(socket, CInt(IPPROTO_IPV6), IPV6_V6ONLY, &isIPv6Only, &size)
        guard isIPv6Only == 0 else {
            throw Invalid(
                description: """
                    \(setting.variable) cannot be * on this machine, which separates IPv4 from IPv6 (net.ipv6.bindv6only): set it \
                    to 0.0.0.0 or ::.
                    """)
        }
        return "::"
    }
}
