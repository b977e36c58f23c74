package import ChatCore
package import HTTPTypes
package import Logging

/// The fields of a request's log line.
package struct RequestLine: Sendable {
    package let requestID: RequestID
    /// The client's address (`Call.address`).
    package let client: IPAddress
    let method: HTTPRequest.Method
    /// The pattern of the path.
    package let route: String
    package let status: Int
    /// From the complete request to its answer.
    package let microseconds: Int64

    package init(
        requestID: RequestID, client: IPAddress, method: HTTPRequest.Method, route: String, status: Int,
        microseconds: Int64
    ) {
        self.requestID = requestID
        self.client = client
        self.method = method
        self.route = route
        self.status = status
        self.microseconds = microseconds
    }

    package var methodName: String { method.rawValue }

    /// `debug` for health checks: a probe every few seconds would bury the other lines.
    package var level: Logger.Level { HealthController.paths.contains(route) ? .debug : .info }
}

/// A log handler that writes a request's line directly, without a metadata dictionary.
package protocol RequestLog: Sendable {
    func log(_ line: RequestLine)
}

/// Writes requests' lines to any other log handler.
package struct LoggedRequests: RequestLog {
    let logger: Logger

    package init(logger: Logger) { self.logger = logger }

    package func log(_ line: RequestLine) {
        logger.log(
            level: line.level, "request",
            metadata: [
                "client": .string(line.client.description),
                "request_id": .string(line.requestID.description),
                "method": .string(line.methodName),
                "route": .string(line.route),
                "status": .stringConvertible(line.status),
                "duration_ms": .stringConvertible(Double(line.microseconds) / 1000),
            ])
    }
}
