import HTTPTypes
package import Logging

/// What is logged of a request.
package struct RequestLine: Sendable {
    package let requestID: RequestID
    let method: HTTPRequest.Method
    /// The pattern of its path.
    package let route: String
    package let status: Int
    /// From the end of the request to its answer.
    package let microseconds: Int64

    package var methodName: String { method.rawValue }

    /// A probe every few seconds would drown what matters.
    package var level: Logger.Level { HealthController.paths.contains(route) ? .debug : .info }
}

/// A log handler that writes a request's line itself, without a dictionary of its fields.
package protocol RequestLog: Sendable {
    func log(_ line: RequestLine)
}

/// For every other log handler.
struct LoggedRequests: RequestLog {
    let logger: Logger

    func log(_ line: RequestLine) {
        logger.log(
            level: line.level, "request",
            metadata: [
                "request_id": .string(line.requestID.description),
                "method": .string(line.methodName),
                "route": .string(line.route),
                "status": .stringConvertible(line.status),
                "duration_ms": .stringConvertible(Double(line.microseconds) / 1000),
            ])
    }
}
