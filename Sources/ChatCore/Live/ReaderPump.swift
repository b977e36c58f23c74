import DequeModule
package import NIOCore

/// The state machine of one reader, without a socket or a store. `EventStreamHandler` and `SocketReader` act on its
/// decisions.
///
/// It takes a page after the previous one is written, so that a reader holds one page however slow its client is. It
/// reads from the store when it has a turn, and keeps the turn until the page is written.
package struct ReaderPump {
    package enum Event: Sendable {
        /// The socket is writable.
        case demand
        /// `take` gave these pieces of a page, which it may share with others.
        case page([ByteBuffer], of: LivePage, isLast: Bool)
        /// `take` gave nothing: `wake` follows.
        case nothing
        /// `take` says that the store must be read.
        case behind
        /// The store may be read now.
        case turn
        /// These pieces were read from the store.
        case read([ByteBuffer])
        /// There is something to take, after `nothing` or a last page.
        case wake
        /// The client has unsubscribed. A pending turn or read is awaited.
        case cancel
        case end(StreamEnd)
    }

    package enum Action: Sendable {
        case write(ByteBuffer)
        /// Call `ChatSubscription.take`, and pass on its result.
        case take
        /// Wait for a turn to read from the store.
        case queue
        /// Call `ChatSubscription.read`, and pass on its result.
        case read
        /// Send `demand` as soon as the socket is writable.
        case deliver
        /// The reader has ended.
        case finish(StreamEnd)
        case wait
    }

    enum State {
        /// There may be something to take.
        case ready
        /// `take` was called.
        case asked
        /// It is up to date.
        case waiting
        case behind
        case reading
        /// The remaining pieces of a page. Written pieces are released; the page is kept, because other readers may
        /// share it.
        case writing(Deque<ByteBuffer>, from: Source)
        /// The reader was cancelled, and waits for the end of a pending turn or read.
        case leaving(inTurn: Bool)
        case ended
    }

    enum Source {
        case feed(LivePage, isLast: Bool)
        case store
    }

    private(set) var state = State.ready

    package init() {}

    /// Whether it reads from the store, or writes what it has read.
    package var hasTurn: Bool {
        switch state {
        case .reading, .writing(_, from: .store), .leaving(inTurn: true): true
        case .ready, .asked, .waiting, .behind, .writing, .leaving, .ended: false
        }
    }

    package mutating func handle(_ event: Event) -> Action {
        switch (state, event) {
        case (.ended, _): return .wait
        case (_, .end(let reason)): return finish(reason)

        case (.ready, .demand): return become(.asked, .take)
        case (.writing(var pieces, let source), .demand):
            if let piece = pieces.popFirst() { return become(.writing(pieces, from: source), .write(piece)) }
            if case .feed(_, isLast: true) = source { return become(.waiting, .wait) }
            return become(.asked, .take)
        case (.asked, .demand), (.waiting, .demand), (.behind, .demand), (.reading, .demand), (.leaving, .demand):
            return .wait

        case (.asked, .page(let pieces, let page, let isLast)):
            return become(.writing(Deque(pieces), from: .feed(page, isLast: isLast)), .deliver)
        case (.asked, .nothing): return become(.waiting, .wait)
        case (.asked, .behind): return become(.behind, .queue)
        case (.behind, .turn): return become(.reading, .read)
        case (.reading, .read(let pieces)): return become(.writing(Deque(pieces), from: .store), .deliver)

        case (.waiting, .wake): return become(.ready, .deliver)
        case (.writing(let pieces, .feed(let page, _)), .wake):
            return become(.writing(pieces, from: .feed(page, isLast: false)), .wait)
        // No need: `take` follows anyway.
        case (.ready, .wake), (.asked, .wake), (.behind, .wake), (.reading, .wake), (.writing, .wake),
            (.leaving, .wake):
            return .wait

        case (.behind, .cancel): return become(.leaving(inTurn: false), .wait)
        case (.reading, .cancel): return become(.leaving(inTurn: true), .wait)
        case (.leaving, .cancel): return .wait
        case (.leaving(inTurn: false), .turn), (.leaving(inTurn: true), .read): return finish(.cancelled)
        case (.ready, .cancel), (.asked, .cancel), (.waiting, .cancel), (.writing, .cancel): return finish(.cancelled)

        // An unexpected result. To lose no message, end the reader: the client reconnects with its cursor.
        case (_, .page), (_, .nothing), (_, .behind), (_, .turn), (_, .read): return finish(.goingAway)
        }
    }

    private mutating func become(_ next: State, _ action: Action) -> Action {
        state = next
        return action
    }

    private mutating func finish(_ reason: StreamEnd) -> Action { become(.ended, .finish(reason)) }
}

extension ChatSubscription {
    /// `take`, for a pump.
    ///
    /// - Parameter pieces: encodes a page.
    package func take(
        as pieces: (LivePage) -> [ByteBuffer], orWake wake: @escaping @Sendable () -> Void
    ) -> ReaderPump.Event {
        switch take(orWake: wake) {
        case .page(let page, let isLast): .page(pieces(page), of: page, isLast: isLast)
        case .nothing: .nothing
        case .behind: .behind
        case .ended(let end): .end(end)
        }
    }

    /// `next`, for a pump that is behind.
    package func read(as pieces: @Sendable (LiveEvents) -> [ByteBuffer]) async -> ReaderPump.Event {
        do throws(StreamEnd) { return .read(pieces(try await next())) } catch { return .end(error) }
    }
}
