import NIOCore

/// Which of a socket's readers may do something when. Lives on the connection's event loop.
///
/// Readers write one after the other, and none takes messages before those of the one before have left: so a client that
/// reads slowly has a page of them waiting here, however many chats it reads. Those that read from the store have one of two
/// turns each, from the reading until all is written, so that there are two pages more.
final class SocketOutbox {
    private static let turns = 2

    private var freeTurns = turns
    /// Those who want to write; the first one may have begun.
    private var writers = CircularBuffer<SocketReader>(initialCapacity: 1)
    private var readers = CircularBuffer<SocketReader>(initialCapacity: 1)
    private var isDelivering = false

    /// `SocketReader.fill` follows, for as long as it wants.
    func wantsToWrite(_ reader: SocketReader) {
        guard !reader.isInLine else { return }
        reader.isInLine = true
        writers.append(reader)
    }

    /// `SocketReader.takeTurn` follows; `endTurn` must follow on that.
    func wantsToRead(_ reader: SocketReader) {
        readers.append(reader)
        giveTurns()
    }

    func endTurn() {
        freeTurns += 1
        giveTurns()
    }

    /// Lets readers write while the client takes it.
    func deliver(to context: ChannelHandlerContext) {
        guard !isDelivering else { return }
        isDelivering = true
        defer { isDelivering = false }
        while !writers.isEmpty, context.channel.isWritable {
            while let writer = writers.first, context.channel.isWritable {
                if writer.fill() { continue }
                writer.isInLine = false
                // Unless that has closed the connection.
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
