import ChatCore
import ChatHTTP
import Foundation
import HTTPTypes
import Logging
import Testing

@testable import luciq

/// A request's line is written in a way of its own. It is the line that every other event would have.
@Suite(.timeLimit(.minutes(1))) struct RequestLogTests {
    /// What a handler writes, without the times.
    private func written(_ format: LineLogHandler.Format, _ body: (LineLogHandler) -> Void) throws -> String {
        let pipe = Pipe()
        let queue = LogQueue(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        body(LineLogHandler(format: format, level: .trace, queue: queue))
        queue.flush(within: .seconds(30))
        let text = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
        return text.replacing(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/, with: "TIME")
    }

    @Test(
        arguments: [LineLogHandler.Format.human, .json],
        [
            RequestID.random(0, 0x0123_4567_89AB_CDEF), .random(.max, 1), .given("abc-1"), .given("a \"b\" \\ =c"),
            .given("x status=500"),
        ])
    func theLineIsAsOthersAre(_ format: LineLogHandler.Format, _ requestID: RequestID) throws {
        for microseconds: Int64 in [0, 1, 10, 142, 500, 999, 1000, 1001, 1010, 30_500, 123_456_789] {
            for (route, client) in [
                ("/applications/{token}/chats", "10.0.0.1"), ("/applications/{token}/chats", "192.0.2.255"),
                ("/applications", "2001:db8::1"), ("/livez", "127.0.0.100"), ("/livez", "::"),
            ] {
                let line = RequestLine(
                    requestID: requestID, client: try #require(IPAddress(client)), method: .post, route: route,
                    status: 201, microseconds: microseconds)
                let direct = try written(format) { $0.log(line) }
                let usual = try written(format) { handler in
                    LoggedRequests(logger: Logger(label: "test") { _ in handler }).log(line)
                }
                #expect(direct == usual)
                #expect(direct.contains("TIME") && direct.hasSuffix("\n"))
            }
        }
    }
}
