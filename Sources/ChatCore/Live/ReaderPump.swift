import DequeModule
package import NIOCore

/// What one reader of one subscription does next, without a socket and without a store. `EventStreamHandler` and
/// `SocketReader` carry it out.
///
/// A page is taken when the client has read the last one, so that a reader has one page in hand however slow its client
/// is. What must come from the store is read when it is the reader's turn, which lasts until all of it is written.
package struct ReaderPump {
    package enum Event: Sendable {
        /// The client takes more.
        case demand
        /// `take` gave these pieces of a page, which it may share with others.
        case page([ByteBuffer], of: MessagePage, isLast: Bool)
        /// `take` gave nothing: it will wake us.
        case nothing
        /// `take` says that the store must be read.
        case behind
        /// The store may be read now.
        case turn
        /// These pieces were read from the store.
        case read([ByteBuffer])
        /// There is something to take.
        case wake
        /// The client wants no more; what is on its way is waited for.
        case cancel
        case end(StreamEnd)
    }

    package enum Action: Sendable {
        case write(ByteBuffer)
        /// Call `ChatSubscription.take`, and tell what it gave.
        case take
        /// Wait for a turn to read from the store.
        case queue
        /// Call `ChatSubscription.read`, and tell what it gave.
        case read
        /// Tell as soon as the client takes more.
        case deliver
        /// It has ended.
        case finish(StreamEnd)
        case wait
    }

    enum State {
        /// There may be something to take.
        case ready
        /// `take` was called.
        case asked
        /// Everything was given to it.
        case waiting
        case behind
        case reading
        /// The rest of what was given to it. Nothing of what is written is kept but the page, which others may share.
        case writing(Deque<ByteBuffer>, from: Source)
        /// Nobody wants what was asked for last.
        case leaving(inTurn: Bool)
        case ended
    }

    enum Source {
        case feed(MessagePage, isLast: Bool)
        case store
    }

    private(set) var state = State.ready

    package init() {}

    /// Whether it reads from the store, or has yet to write what it read.
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
        // `take` finds out.
        case (.ready, .wake), (.asked, .wake), (.behind, .wake), (.reading, .wake), (.writing, .wake),
            (.leaving, .wake):
            return .wait

        case (.behind, .cancel): return become(.leaving(inTurn: false), .wait)
        case (.reading, .cancel): return become(.leaving(inTurn: true), .wait)
        case (.leaving, .cancel): return .wait
        case (.leaving(inTurn: false), .turn), (.leaving(inTurn: true), .read): return finish(.cancelled)
        case (.ready, .cancel), (.asked, .cancel), (.waiting, .cancel), (.writing, .cancel): return finish(.cancelled)

        // Nobody has asked for that. It must not be lost: the client comes back, and goes on from its cursor.
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
    /// - Parameter pieces: what is written of a page.
    package func take(
        as pieces: (MessagePage) -> [ByteBuffer], orWake wake: @escaping @Sendable () -> Void
    ) -> ReaderPump.Event {
        switch take(orWake: wake) {
        case .page(let page, let isLast): .page(pieces(page), of: page, isLast: isLast)
        case .nothing: .nothing
        case .behind: .behind
        case .ended(let end): .end(end)
        }
    }

    /// `next`, for a pump that is behind.
    package func read(as pieces: @Sendable ([Message]) -> [ByteBuffer]) async -> ReaderPump.Event {
        do throws(StreamEnd) { return .read(pieces(try await next())) } catch { return .end(error) }
    }
}
