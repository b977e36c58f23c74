import NIOCore
import Testing

@testable import ChatHTTP

/// The bounds of frames, without a connection or a clock.
struct HTTP2WatchTests {
    private static let preface = ByteBuffer(string: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

    private func frame(_ kind: UInt8, flags: UInt8 = 0, _ payload: [UInt8] = []) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeInteger(UInt8(0))
        bytes.writeInteger(UInt16(payload.count))
        bytes.writeInteger(kind)
        bytes.writeInteger(flags)
        bytes.writeInteger(UInt32(1))
        bytes.writeBytes(payload)
        return bytes
    }

    /// - Returns: how many of the frames it lets pass, at most 10,000.
    private func passed(_ watch: inout HTTP2Watch, _ bytes: ByteBuffer, now: Duration = .zero) -> Int {
        for count in 0..<10_000 where !watch.receive(bytes, now: now) { return count }
        return 10_000
    }

    private func started() -> HTTP2Watch {
        var watch = HTTP2Watch(now: .zero)
        _ = watch.receive(Self.preface, now: .zero)
        return watch
    }

    @Test func framesAreFoundInAnyPieces() {
        var bytes = frame(7, [0, 0, 0, 1, 0, 0, 0, 11, 1, 2, 3])
        bytes.writeImmutableBuffer(frame(0, flags: 1))
        bytes.writeImmutableBuffer(frame(0x77, [9]))
        let wanted = [
            FrameWalker.Frame(length: 11, kind: 7, flags: 0, start: 0x1_0000_000B),
            FrameWalker.Frame(length: 0, kind: 0, flags: 1, start: 0),
            FrameWalker.Frame(length: 1, kind: 0x77, flags: 0, start: 9),
        ]
        for size in 1...bytes.readableBytes {
            var (walker, rest) = (FrameWalker(preface: 2), ByteBuffer(bytes: [1, 2]))
            rest.writeImmutableBuffer(bytes)
            var found: [FrameWalker.Frame] = []
            while let piece = rest.readSlice(length: min(size, rest.readableBytes)), piece.readableBytes > 0 {
                walker.walk(piece) { found.append($0) }
            }
            #expect(found == wanted)
            #expect(walker.incompleteBytes == 0)
        }
    }

    @Test func anAllowanceIsSpent() {
        var watch = started()
        #expect(passed(&watch, frame(8, [0, 0, 0, 1])) == 1000)
        watch = started()
        #expect(passed(&watch, frame(0x77)) == 1000)
        // Requests and their bodies take none.
        watch = started()
        #expect(passed(&watch, frame(1, flags: 4, [1])) == 10_000)
        #expect(passed(&watch, frame(0, [1])) == 10_000)
        // 100 settings in a frame.
        #expect(passed(&watch, frame(4, Array(repeating: 0, count: 600))) == 9)
    }

    @Test func timeAndWorkFillIt() {
        var watch = started()
        #expect(passed(&watch, frame(8)) == 1000)
        let passes = watch.receive(frame(8), now: .milliseconds(999))
        #expect(!passes)
        #expect(passed(&watch, frame(8), now: .seconds(10)) == 88)
        watch = started()
        #expect(passed(&watch, frame(8)) == 1000)
        for _ in 0..<5 { watch.sent(FrameWalker.Frame(length: 64, kind: 0)) }
        #expect(passed(&watch, frame(8)) == 9)
        // Crumbs do not.
        for _ in 0..<50 { watch.sent(FrameWalker.Frame(length: 63, kind: 0)) }
        #expect(passed(&watch, frame(8)) == 0)
    }

    @Test func anIncompleteHeadIsHeldAndTimed() {
        var watch = started()
        #expect(watch.heldBytes == 0 && watch.headSince == nil)
        _ = watch.receive(frame(1, [1, 2, 3]), now: .seconds(1))
        #expect(watch.heldBytes == 12 && watch.headSince == .seconds(1))
        _ = watch.receive(frame(9, [1]), now: .seconds(2))
        #expect(watch.heldBytes == 22 && watch.headSince == .seconds(1))
        _ = watch.receive(frame(9, flags: 4), now: .seconds(3))
        #expect(watch.heldBytes == 0 && watch.headSince == nil)
        // A part of a frame; of data nothing is held.
        _ = watch.receive(frame(1, flags: 4, [1, 2, 3]).getSlice(at: 0, length: 11)!, now: .seconds(4))
        #expect(watch.heldBytes == 11 && watch.headSince == .seconds(4))
        _ = watch.receive(ByteBuffer(bytes: [3]), now: .seconds(5))
        #expect(watch.heldBytes == 0 && watch.headSince == nil)
        _ = watch.receive(frame(0, [1, 2, 3]).getSlice(at: 0, length: 11)!, now: .seconds(6))
        #expect(watch.heldBytes == 0 && watch.headSince == nil)
    }
}
