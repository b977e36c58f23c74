import ArgumentParser
import Foundation
import NIOCore
import NIOPosix

/// Sends HTTP requests, or publishes to NATS, over many connections with one request in flight on each.
///
/// With --rate the load is an open loop: requests are due at fixed times, and the latency of each counts from its due
/// time. So a stall of the server counts for every request that was due during the stall (no coordinated omission).
/// Without --rate each connection sends the next request when it has its answer. The generator shares the server's
/// processors, so it has one thread, sends prepared buffers and keeps only a latency per request.
struct Load: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Send requests and print the latencies.")

    @Option(help: "http, or nats: publish to a JetStream stream and wait for the acknowledgement.") var dialect =
        Dialect.http
    @Option(help: "The server's port on this machine.") var port: Int
    @Option(help: "A file with one path or NATS subject a line; requests take them in turn.") var targets: String
    @Option(help: "The body to POST or publish. Default for HTTP: send GET requests.") var body: String?
    @Option(help: "A key to show with each HTTP request.") var key: String?
    @Option(help: "Connections.") var connections = 64
    @Option(help: "The address of this machine that they come from. Default: the system's choice.") var from: String?
    @Option(help: "Requests a second. Default: each connection sends the next when it has its answer.") var rate: Int?
    @Option(help: "Seconds to measure, after one second of warm-up.") var seconds: Int

    func run() async throws {
        let lines = try String(contentsOfFile: targets, encoding: .utf8).split(separator: "\n").map(String.init)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        let (plan, used) = (self, Self.processorTime())
        let generator = try await eventLoop.submit {
            NIOLoopBound(
                LoadGenerator(rate: plan.rate, seconds: plan.seconds, connections: plan.connections, on: eventLoop),
                eventLoop: eventLoop)
        }.get()
        let report = try await eventLoop.flatSubmit {
            for index in 0..<plan.connections {
                let requests = lines.map { plan.dialect.request(to: $0, plan.body, key: plan.key, connection: index) }
                plan.connect(generator.value.makeConnection(plan.dialect, requests, index: index), on: eventLoop)
                    .cascadeFailure(to: generator.value.done)
            }
            return generator.value.done.futureResult
        }.get()
        printLine(Line(report: report, processor_seconds: Self.processorTime() - used))
        try await group.shutdownGracefully()
    }

    private struct Line: Encodable {
        let report: LoadGenerator.Report
        /// Processor time of this process. Close to one second a second, the generator is the bottleneck.
        let processor_seconds: Double
    }

    private func connect(_ connection: LoadConnection, on eventLoop: any EventLoop) -> EventLoopFuture<any Channel> {
        let handler = NIOLoopBound(connection, eventLoop: eventLoop)
        var bootstrap = ClientBootstrap(group: eventLoop)
        if let from {
            do { bootstrap = bootstrap.bind(to: try SocketAddress(ipAddress: from, port: 0)) } catch {
                return eventLoop.makeFailedFuture(error)
            }
        }
        return
            bootstrap
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler.value) }
            }
            .connect(host: "127.0.0.1", port: port)
    }

    private static func processorTime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
