import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import ChatHTTP

/// NIO's parser reads the same requests from the same bytes: if a proxy and this server read them differently, an
/// attacker can smuggle requests. NIO may accept input that this server refuses, but not the reverse.
@Suite(.timeLimit(.minutes(3))) struct RequestDifferentialTests {
    private struct Reading: Equatable {
        struct Request: Equatable {
            var method: String
            /// A path with its query.
            var target: String
            var body: [UInt8] = []
        }

        var requests: [Request] = []
        /// Whether more bytes may continue or begin a request.
        var isOpen = true
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func nioReadsTheSame(seed: UInt64) {
        var random = SplitMix64(state: seed)
        for _ in 0..<400 {
            let input = Mutation.input(&random)
            let ours = Self.ours([input])
            // In two pieces, cut anywhere.
            let cut = Int.random(in: 0...input.count, using: &random)
            #expect(
                Self.ours([Array(input[..<cut]), Array(input[cut...])]) == ours,
                "\(seed) cut at \(cut): \(Self.text(input))")
            let theirs = Self.nio(input)
            // While our parser waits for more, NIO must not have read another request.
            let same = ours.isOpen ? theirs[...] : theirs.prefix(ours.requests.count)
            #expect(Array(same) == ours.requests, "seed \(seed): \(Self.text(input))")
        }
    }

    private static func text(_ bytes: [UInt8]) -> String {
        String(bytes.map { Character(Unicode.Scalar($0)) }).debugDescription
    }

    /// Our parser's requests, up to the first error or the last request of the connection.
    private static func ours(_ pieces: [[UInt8]]) -> Reading {
        var (parser, bytes, reading) = (RequestParser(), ByteBuffer(), Reading())
        var body: BodyReader?
        var isLast = false
        do throws(Problem) {
            for piece in pieces {
                bytes.receive(ByteBuffer(bytes: piece))
                while !isLast || body != nil {
                    if var reader = body {
                        let isWhole = try reader.read(&bytes) { (part: ByteBuffer) throws(Problem) in
                            reading.requests[reading.requests.count - 1].body += part.readableBytesView
                        }
                        body = reader
                        guard isWhole else { break }
                        body = nil
                        continue
                    }
                    guard let request = try parser.readHead(&bytes) else { break }
                    let query = request.query.map { "?\($0)" } ?? ""
                    reading.requests.append(
                        Reading.Request(method: request.method.rawValue, target: request.path + query))
                    isLast = request.isLast
                    if request.framing != .none { body = BodyReader(request.framing) }
                }
            }
        } catch {
            reading.isOpen = false
        }
        if body != nil { reading.requests.removeLast() }
        if isLast, body == nil { reading.isOpen = false }
        return reading
    }

    /// NIO's requests, up to the first error.
    private static func nio(_ bytes: [UInt8]) -> [Reading.Request] {
        let channel = EmbeddedChannel(
            handler: ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))
        _ = try? channel.writeInbound(ByteBuffer(bytes: bytes))
        var requests: [Reading.Request] = []
        var request: Reading.Request?
        while let part = try? channel.readInbound(as: HTTPServerRequestPart.self) {
            switch part {
            case .head(let head): request = Reading.Request(method: head.method.rawValue, target: path(head.uri))
            case .body(let body): request?.body += body.readableBytesView
            case .end:
                if let request { requests.append(request) }
                request = nil
            }
        }
        _ = try? channel.finish()
        return requests
    }

    /// The path of a target, found without the parser's code.
    private static func path(_ target: String) -> String {
        let parts = target.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count > 2, ["http:", "https:"].contains(parts[0].lowercased()), parts[1].isEmpty else {
            return target
        }
        let mark = parts[2].firstIndex(of: "?") ?? parts[2].endIndex
        let path = parts.count > 3 ? "/" + parts[3] : ""
        return mark < parts[2].endIndex ? "/" + parts[2][mark...] + path : path.isEmpty ? "/" : path
    }
}

/// Makes well-formed requests with a few random mistakes.
private enum Mutation {
    private static let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a/b?c=d&e HTTP/1.1\r\nHost: a:80\r\nContent-Type:application/json\r\n\r\n",
        "\r\nPOST /x HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\nhello",
        "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
        "POST /y HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n1\r\nx\r\n00\r\n\r\n",
        "GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x , Close\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
        "PATCH / HTTP/1.1\r\nHost: a\r\nX: \r\nContent-Length: 3\r\n\r\na\r\n",
    ]
    private static let lines = [
        "Content-Length: 3", "Content-Length: 0", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked",
        "Connection: close", "Connection: keep-alive", "Host: b", "Host: a", " folded", "\tfolded", "X", "X :y", ": y",
        "Upgrade: h2c", "3", "0", "", "GET /z HTTP/1.1",
    ]
    private static let bytes: [UInt8] =
        Array("\r\n\t\n\r :;,=\"0123afxAFX/?#%+-_*@.\\GETkK".utf8) + [0, 0x7F, 0x80, 0xC3, 0xA9, 0xFF]

    static func input(_ random: inout SplitMix64) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            bytes += requests.randomElement(using: &random)!.utf8
        }
        for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
            if Bool.random(using: &random) { changeByte(&bytes, &random) } else { changeLine(&bytes, &random) }
        }
        return bytes
    }

    private static func changeByte(_ input: inout [UInt8], _ random: inout SplitMix64) {
        let place = Int.random(in: 0..<input.count, using: &random)
        let other = Int.random(in: 0..<input.count, using: &random)
        let byte = bytes.randomElement(using: &random)!
        switch Int.random(in: 0..<5, using: &random) {
        case 0: input.insert(byte, at: place)
        case 1: input.remove(at: place)
        case 2: input[place] = byte
        case 3: input.insert(input[other], at: place)
        default: input.swapAt(place, other)
        }
    }

    private static func changeLine(_ input: inout [UInt8], _ random: inout SplitMix64) {
        var all: [[UInt8]] = input.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(
            Array.init)
        let place = Int.random(in: 0..<all.count, using: &random)
        let other = Int.random(in: 0..<all.count, using: &random)
        let line = Array((lines.randomElement(using: &random)! + "\r").utf8)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: all.insert(line, at: place)
        case 1: all.remove(at: place)
        case 2: all[place] = line
        case 3: all.insert(all[place], at: place)
        default: all.swapAt(place, other)
        }
        input = Array(all.joined(separator: "\n".utf8))
    }
}

private struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }
}
