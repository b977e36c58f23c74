import ArgumentParser
import ChatCore
import ChatHTTP
import ChatSQLite
import HTTPTypes
import Logging
import ServiceLifecycle
import UnixSignals

/// The product's server with two more routes, whose throughput is the maximum of this HTTP stack.
struct Ceiling: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Serve /noop, which has nothing behind it.")

    @Option(help: "Port to listen on, at 127.0.0.1.") var port: Int
    @Option(help: "A file for the store.") var file: String
    @Flag(help: "Make no search index, to measure what that costs.") var withoutIndexer = false

    func run() async throws {
        let logger = Logger(label: "luciq-bench") { _ in SwiftLogNoOpLogHandler() }
        let metrics = PrometheusRegistry(version: "bench")
        var backend = try Backend.sqlite(path: file, logger: logger, metrics: metrics)
        if withoutIndexer { backend.services.removeAll { $0 is SearchIndexer } }
        let service = ChatService(backend: backend, logger: logger, metrics: metrics)
        var options = HTTPOptions()
        options.port = port
        let server = buildServer(
            service: service, options: options, metrics: metrics, logger: logger, extraRoutes: Self.addNoopRoutes)
        try await ServiceGroup(
            services: service.services(around: server), gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger
        ).run()
        try backend.close()
    }

    /// A create and a look-up, with the product's paths, bodies and answers.
    static func addNoopRoutes(to routes: Routes) {
        let parameter = TextParameter(wrapper: "message", name: "body")
        let createdAt = WallClock.system.now()
        let path = "/noop/{token}/chats/{chat_number}/messages"
        routes.on(.post, path, takesBody: true) { call in
            let body = try parameter.read(call.request.typedBody())
            let message = Message(number: Message.Number(1), body: body, createdAt: createdAt)
            var response = Response(status: .created, json: MessageJSON(message, as: .answer))
            response.add("Location", call.request.path + "/1")
            return .now(response)
        }
        let message = Message(
            number: Message.Number(1), body: String(repeating: "message text ", count: 8), createdAt: createdAt)
        routes.on(.get, path + "/{message_number}") { _ in .now(Response(json: MessageJSON(message, as: .answer))) }
    }
}
