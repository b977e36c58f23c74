import ChatCore
import NIOCore
import NIOWebSocket
import Testing

@testable import ChatHTTP

/// Frames in, messages out; no socket.
struct WebSocketMessagesTests {
    private func frame(
        _ opcode: WebSocketOpcode, _ payload: [UInt8] = [], fin: Bool = true, isMasked: Bool = true,
        reserved: Int? = nil
    ) -> WebSocketFrame {
        let key: WebSocketMaskingKey? = isMasked ? [1, 2, 3, 4] : nil
        var data = ByteBuffer(bytes: payload)
        if let key { data.webSocketMask(key) }
        return WebSocketFrame(
            fin: fin, rsv1: reserved == 1, rsv2: reserved == 2, rsv3: reserved == 3, opcode: opcode, maskKey: key,
            data: data)
    }

    private func text(_ text: String) -> WebSocketMessages.Event { .text(ByteBuffer(string: text)) }

    private func events(_ frames: [WebSocketFrame]) -> (events: [WebSocketMessages.Event], closure: WebSocketClosure?) {
        var (messages, events) = (WebSocketMessages(), [WebSocketMessages.Event]())
        for frame in frames {
            do throws(WebSocketClosure) {
                if let event = try messages.receive(frame) { events.append(event) }
            } catch {
                return (events, error)
            }
        }
        return (events, nil)
    }

    @Test func wholeMessages() {
        let all = events([frame(.text, Array("a".utf8)), frame(.text), frame(.text, Array("é".utf8))])
        #expect(all.events == [text("a"), text(""), text("é")])
        #expect(all.closure == nil)
    }

    @Test func fragmentsWithControlFramesBetweenThem() {
        let e = Array("é".utf8)
        let all = events([
            frame(.text, Array("a".utf8) + [e[0]], fin: false), frame(.ping, [1]), frame(.continuation, [], fin: false),
            frame(.pong), frame(.continuation, [e[1]]), frame(.text, Array("b".utf8)),
        ])
        #expect(all.events == [.ping(ByteBuffer(bytes: [1])), .pong, text("aé"), text("b")])
        #expect(all.closure == nil)
    }

    @Test func whatIsNotTheProtocol() {
        let valid = Array("x".utf8)
        let wrong: [(UInt16, [WebSocketFrame])] = [
            (1002, [frame(.text, valid, isMasked: false)]), (1002, [frame(.ping, isMasked: false)]),
            (1002, [frame(.text, valid, reserved: 1)]), (1002, [frame(.text, valid, reserved: 2)]),
            (1002, [frame(.pong, reserved: 3)]), (1002, [frame(.continuation, valid)]),
            (1002, [frame(.text, valid, fin: false), frame(.text, valid)]),
            (1002, [frame(.text, valid), frame(.continuation, valid)]),
            (1003, [frame(.binary, valid)]), (1003, [frame(.text, valid, fin: false), frame(.binary, valid)]),
            (1007, [frame(.text, [0xFF])]), (1007, [frame(.text, [0xC3])]),
            // Not only at the end, but at the fragment that is invalid.
            (1007, [frame(.text, [0xED], fin: false), frame(.continuation, [0xA0], fin: false)]),
            (1007, [frame(.text, [0xC3], fin: false), frame(.continuation, [])]),
            (1009, [frame(.text, [UInt8](repeating: 0x20, count: WebSocketMessages.maxSize + 1))]),
            (
                1009,
                [
                    frame(.text, [UInt8](repeating: 0x20, count: WebSocketMessages.maxSize), fin: false),
                    frame(.continuation, valid),
                ]
            ),
        ]
        for (code, frames) in wrong { #expect(events(frames).closure?.code.rawValue == code, "\(frames)") }
        for opcode: UInt8 in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            let opcode = WebSocketOpcode(encodedWebSocketOpcode: opcode)!
            #expect(events([frame(opcode)]).closure?.code.rawValue == 1002, "\(opcode)")
        }
        let largest = [UInt8](repeating: 0x20, count: WebSocketMessages.maxSize)
        #expect(events([frame(.text, largest)]).closure == nil)
    }

    @Test func closeFrames() {
        func close(_ code: UInt16, _ reason: [UInt8] = []) -> WebSocketFrame {
            frame(.connectionClose, [UInt8(code >> 8), UInt8(code & 0xFF)] + reason)
        }
        #expect(events([frame(.connectionClose)]).events == [.close(nil)])
        for code: UInt16 in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            #expect(events([close(code, Array("bye".utf8))]).events == [.close(code)])
        }
        for code: UInt16 in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            #expect(events([close(code)]).closure?.code.rawValue == 1002, "\(code)")
        }
        #expect(events([frame(.connectionClose, [3])]).closure?.code.rawValue == 1002)
        #expect(events([close(1000, [0xC3])]).closure?.code.rawValue == 1007)
    }

    /// They must fit into a control frame.
    @Test func reasonsAreShort() {
        for closure in [
            WebSocketClosure.goingAway, .binary, .notUTF8, .noPong, .tooBig, .slowConsumer,
            .protocolError("A control frame must not be fragmented, nor exceed 125 bytes"),
        ] {
            #expect(closure.reason.utf8.count <= 123)
        }
    }
}

/// Pings and goodbyes, without a clock.
struct WebSocketLinkTests {
    @Test func whoMakesNoSoundIsGone() {
        var link = WebSocketLink()
        #expect(link.tick(isReading: true) == .ping)
        link.hear()
        #expect(link.tick(isReading: true) == .ping)
        #expect(link.tick(isReading: false) == nil)
        #expect(link.tick(isReading: true) == .close(.noPong))
        #expect(link.tick(isReading: true) == nil)
        #expect(link.receiveClose(1000) == .disconnect)
    }

    @Test func oneCloseFrameEach() {
        var link = WebSocketLink()
        #expect(link.close(.goingAway) == .close(.goingAway))
        #expect(link.close(.tooBig) == nil)
        #expect(link.receiveClose(1001) == .disconnect)
        #expect(link.receiveClose(1001) == nil)
        #expect(link.phase == .closed)

        link = WebSocketLink()
        #expect(link.receiveClose(4000) == .closeBack(4000))
        #expect(link.close(.goingAway) == nil)
        #expect(link.receiveClose(4000) == nil)
    }
}
