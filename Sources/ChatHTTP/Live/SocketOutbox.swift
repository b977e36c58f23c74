import NIOCore

/// Schedules the readers of one socket. Lives on the connection's event loop.
///
/// Readers write one after the other, and a reader takes no messages before those of the previous one are written. So
/// a slow client holds one page of them, however many chats it reads. Readers of the store need one of two turns, from
/// the read until all is written, so a slow client holds at most two more pages.
final class SocketOutbox {
    private static let turns = 2

    private var freeTurns = turns
    /// Readers that want to write; the first one may have begun.
    private var writers = CircularBuffer<SocketReader>(initialCapacity: 1)
    private var readers = CircularBuffer<SocketReader>(initialCapacity: 1)
    private var isDelivering = false

    /// Queues the reader to write: `SocketReader.fill` is called until it returns false.
    func wantsToWrite(_ reader: SocketReader) {
        guard !reader.isInLine else { return }
        reader.isInLine = true
        writers.append(reader)
    }

    /// Queues the reader for a turn: `SocketReader.takeTurn` is called, and must be followed by `endTurn`.
    func wantsToRead(_ reader: SocketReader) {
        readers.append(reader)
        giveTurns()
    }

    func endTurn() {
        freeTurns += 1
        giveTurns()
    }

    /// Lets readers write while the socket is writable.
    func deliver(to context: ChannelHandlerContext) {
        guard !isDelivering else { return }
        isDelivering = true
        defer { isDelivering = false }
        while !writers.isEmpty, context.channel.isWritable {
            while let writer = writers.first, context.channel.isWritable {
                if writer.fill() { continue }
                writer.isInLine = false
                // Empty if `fill` has closed the connection.
                if !writers.isEmpty { writers.removeFirst() }
            }
            context.flush()
        }
    }

    func close() {
        writers = []
        readers = []
    }

    private func giveTurns() {
        while freeTurns > 0, let next = readers.popFirst() {
            freeTurns -= 1
            next.takeTurn()
        }
    }
}

@available(*, unavailable)
extension SocketOutbox: Sendable {}
