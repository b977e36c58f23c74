import ArgumentParser
import Foundation
import NIOCore
import NIOPosix

/// Readers of live streams and a writer at a steady pace, for `scripts/bench streams`.
///
/// Uses one thread and its own scanners, and allocates nothing for a message, because it competes for the server's
/// processors. Prints a line of JSON when all readers are subscribed, and another at the end.
struct Streams: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Read live streams, and write to them.")

    @Option(help: "The server's port on this machine.") var port: Int
    @Option(help: "The token of an application that has the chats 1, 2 …") var application: String
    @Option(help: "Chats that are read and written to.") var chats = 1
    @Option(help: "Readers of each chat.") var readers = 1
    @Option(help: "sse or websocket.") var stream = StreamKind.sse
    @Option(help: "Begin after this message. Default: with the next one.") var after: Int64?
    @Option(help: "End when all readers have this message. Default: at the end of the standard input.") var until:
        Int64?
    @Option(help: "Messages to write a second, the chats in turn.") var rate = 0
    @Option(help: "One of so many writes is an edit of one of the first 100 messages of its chat. 0: none.") var edits =
        0
    @Option(help: "How long to write, after two seconds that do not count.") var seconds = 10
    @Option(help: "Bytes of a written message, 10 at least.") var size = 100
    @Option(
        help: "More readers of chat 1, which do not read before the end of the standard input, and a line of JSON.")
    var stalled = 0

    func run() async throws {
        raiseFileLimit()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        let plan = self
        let crowd = try await eventLoop.submit {
            NIOLoopBound(StreamCrowd(plan, eventLoop: eventLoop), eventLoop: eventLoop)
        }.get()
        try await eventLoop.flatSubmit { crowd.value.open() }.get()
        printLine(["open": chats * readers + stalled])
        let began = ContinuousClock.now
        if rate > 0 {
            let pace = Pace(rate: rate, warmUp: 2, seconds: seconds)
            try await eventLoop.flatSubmit { crowd.value.write(pace) }.get()
        } else if until != nil {
            try await eventLoop.flatSubmit { crowd.value.goal.futureResult }.get()
        } else {
            while readLine() != nil {}
        }
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        if stalled > 0 {
            printLine(try await eventLoop.submit { crowd.value.tally.report(seconds: seconds) }.get())
            while readLine() != nil {}
            try await eventLoop.flatSubmit { crowd.value.letStalledRead() }.get()
        }
        printLine(try await eventLoop.submit { crowd.value.tally.report(seconds: seconds) }.get())
        try await group.shutdownGracefully()
    }

    private func raiseFileLimit() {
        var limit = rlimit()
        guard getrlimit(.init(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(.init(RLIMIT_NOFILE.rawValue), &limit)
    }
}

enum StreamKind: String, ExpressibleByArgument { case sse, websocket }
