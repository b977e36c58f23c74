import ChatCore
import ChatHTTP
import Logging

extension Settings {
    func httpOptions() throws -> HTTPOptions {
        var options = HTTPOptions()
        options.host = try text(Setup.host)
        options.port = try number(Setup.port, in: 0...65_535)
        options.connections.idle = try seconds(Setup.idleTimeout)
        options.connections.body = try seconds(Setup.bodyTimeout)
        options.maxConnections = try number(Setup.maxConnections, in: 1...1_000_000)
        let origin = try text(Setup.corsOrigin)
        options.corsOrigin = origin.isEmpty ? nil : origin
        return options
    }

    func commitLimits() throws -> CommitLimits {
        var limits = CommitLimits()
        limits.pendingEntries = try number(Setup.maxPending, in: 1...1_000_000)
        // One message of the largest size must fit.
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
}
