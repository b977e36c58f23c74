import NIOCore
import TestSupport
import Testing

@testable import ChatCore

/// One reader's decisions, without a socket and without a store.
struct ReaderPumpTests {
    private static let page = LivePage(LiveEvents(.messages([]), after: Cursor(0)))

    /// Each event, by the names that the table below has.
    private static let events: [(name: String, event: ReaderPump.Event)] = [
        ("demand", .demand), ("page", .page(pieces("n"), of: page, isLast: true)), ("nothing", .nothing),
        ("behind", .behind), ("turn", .turn), ("read", .read(pieces("n"))), ("wake", .wake), ("cancel", .cancel),
        ("end", .end(.slowConsumer)),
    ]

    /// Each state, and how it is come to.
    private static let states: [(name: String, way: [ReaderPump.Event])] = [
        ("ready", []),
        ("asked", [.demand]),
        ("waiting", [.demand, .nothing]),
        ("behind", [.demand, .behind]),
        ("reading", [.demand, .behind, .turn]),
        ("last a b", [.demand, .page(pieces("a", "b"), of: page, isLast: true)]),
        ("last", [.demand, .page(pieces("a"), of: page, isLast: true), .demand]),
        ("page a", [.demand, .page(pieces("a"), of: page, isLast: false)]),
        ("page", [.demand, .page(pieces("a"), of: page, isLast: false), .demand]),
        ("store a", [.demand, .behind, .turn, .read(pieces("a"))]),
        ("store", [.demand, .behind, .turn, .read(pieces("a")), .demand]),
        ("leaving", [.demand, .behind, .cancel]),
        ("leaving the store", [.demand, .behind, .turn, .cancel]),
        ("ended", [.end(.notFound)]),
    ]

    /// The action, and the state after it. Nobody asks for `page`, `nothing`, `behind`, `turn` and `read` where the row
    /// says so by "lost".
    private static let table: [String: [String: String]] = [
        "ready": ["demand": "take → asked", "wake": "wait → ready"],
        "asked": [
            "demand": "wait → asked", "page": "deliver → last n", "nothing": "wait → waiting",
            "behind": "queue → behind", "wake": "wait → asked",
        ],
        "waiting": ["demand": "wait → waiting", "wake": "deliver → ready"],
        "behind": [
            "demand": "wait → behind", "turn": "read → reading", "wake": "wait → behind", "cancel": "wait → leaving",
        ],
        "reading": [
            "demand": "wait → reading", "read": "deliver → store n", "wake": "wait → reading",
            "cancel": "wait → leaving the store",
        ],
        "last a b": ["demand": "write a → last b", "wake": "wait → page a b"],
        "last": ["demand": "wait → waiting", "wake": "wait → page"],
        "page a": ["demand": "write a → page", "wake": "wait → page a"],
        "page": ["demand": "take → asked", "wake": "wait → page"],
        "store a": ["demand": "write a → store", "wake": "wait → store a"],
        "store": ["demand": "take → asked", "wake": "wait → store"],
        "leaving": [
            "demand": "wait → leaving", "turn": "finish cancelled → ended", "wake": "wait → leaving",
            "cancel": "wait → leaving",
        ],
        "leaving the store": [
            "demand": "wait → leaving the store", "read": "finish cancelled → ended",
            "wake": "wait → leaving the store",
            "cancel": "wait → leaving the store",
        ],
    ]

    /// Cases outside the table.
    private func expected(_ state: String, _ event: String) -> String {
        if state == "ended" { return "wait → ended" }
        if event == "end" { return "finish slow_consumer → ended" }
        if let entry = Self.table[state]?[event] { return entry }
        return event == "cancel" ? "finish cancelled → ended" : "finish going_away → ended"
    }

    @Test func everyPair() {
        for state in Self.states {
            for event in Self.events {
                var pump = ReaderPump()
                for step in state.way { _ = pump.handle(step) }
                #expect(words(pump) == state.name)
                #expect(pump.hasTurn == ["reading", "store a", "store", "leaving the store"].contains(state.name))
                let action = pump.handle(event.event)
                #expect(
                    "\(words(action)) → \(words(pump))" == expected(state.name, event.name),
                    "\(state.name), \(event.name)")
            }
        }
        #expect(Set(Self.table.keys).union(["ended"]) == Set(Self.states.map(\.name)))
    }

    /// A page is held until its last piece has been written, since other readers may share its bytes; then it is
    /// released, and so are its encoded bytes.
    @Test func aWrittenPageIsLetGoOf() {
        var pump = ReaderPump()
        weak var page: LivePage?
        do {
            let given = LivePage(LiveEvents(.messages([]), after: Cursor(0)))
            page = given
            for event in [.demand, .page(Self.pieces("a"), of: given, isLast: true), .demand] as [ReaderPump.Event] {
                _ = pump.handle(event)
            }
        }
        #expect(page != nil)
        #expect(words(pump.handle(.demand)) == "wait")
        #expect(page == nil)
    }

    /// Under any sequence of events all given messages are written, once and in order, with one request at a time, and
    /// nothing after a cancel.
    @Test(arguments: 0..<200 as Range<UInt64>) func whatIsGivenIsWritten(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var pump = ReaderPump()
        var (given, written) = (0, [String]())
        var asked: ReaderPump.Action?
        var (isAwaited, isCancelled, end) = (false, false, StreamEnd?.none)
        func newPieces() -> [ByteBuffer] {
            let count = Int.random(in: 1...3, using: &random)
            given += count
            return (given - count..<given).map { ByteBuffer(string: "\($0)") }
        }
        func happen(_ event: ReaderPump.Event) {
            let action = pump.handle(event)
            switch action {
            case .write(let piece):
                #expect(!isCancelled)
                written.append(String(buffer: piece))
            case .take, .queue, .read:
                #expect(asked == nil && !isAwaited)
                asked = action
            case .finish(let reason): end = reason
            case .deliver, .wait: break
            }
        }
        for _ in 0..<500 where end == nil {
            switch asked {
            case .take:
                asked = nil
                switch Int.random(in: 0...3, using: &random) {
                case 0: happen(.behind)
                case 1:
                    isAwaited = true
                    happen(.nothing)
                default:
                    isAwaited = Bool.random(using: &random)
                    happen(.page(newPieces(), of: Self.page, isLast: isAwaited))
                }
            case let question? where Int.random(in: 0...3, using: &random) == 0:
                asked = nil
                if case .queue = question { happen(.turn) } else { happen(.read(newPieces())) }
            default:
                if isAwaited, Int.random(in: 0...3, using: &random) == 0 {
                    isAwaited = false
                    happen(.wake)
                } else if Int.random(in: 0...200, using: &random) == 0 {
                    isCancelled = true
                    happen(.cancel)
                } else {
                    happen(.demand)
                }
            }
        }
        #expect(end == nil || end == .cancelled)
        #expect(end == nil || isCancelled)
        #expect(written == written.indices.map { "\($0)" })
        if isCancelled { return }
        // Then nothing new comes, and the client takes all.
        for _ in 0..<10 { if asked == nil { happen(.demand) } }
        #expect(asked != nil || isAwaited)
        #expect(written.count == given)
    }

    private static func pieces(_ texts: String...) -> [ByteBuffer] { texts.map { ByteBuffer(string: $0) } }

    private func words(_ action: ReaderPump.Action) -> String {
        switch action {
        case .write(let piece): "write \(String(buffer: piece))"
        case .finish(let reason): "finish \(reason.name)"
        case .take: "take"
        case .queue: "queue"
        case .read: "read"
        case .deliver: "deliver"
        case .wait: "wait"
        }
    }

    private func words(_ pump: ReaderPump) -> String {
        switch pump.state {
        case .ready: "ready"
        case .asked: "asked"
        case .waiting: "waiting"
        case .behind: "behind"
        case .reading: "reading"
        case .writing(let pieces, .feed(_, isLast: true)):
            (["last"] + pieces.map { String(buffer: $0) }).joined(separator: " ")
        case .writing(let pieces, .feed(_, isLast: false)):
            (["page"] + pieces.map { String(buffer: $0) }).joined(separator: " ")
        case .writing(let pieces, .store): (["store"] + pieces.map { String(buffer: $0) }).joined(separator: " ")
        case .leaving(inTurn: false): "leaving"
        case .leaving(inTurn: true): "leaving the store"
        case .ended: "ended"
        }
    }
}
