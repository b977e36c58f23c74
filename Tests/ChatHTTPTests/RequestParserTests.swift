import Foundation
import NIOCore
import Testing

@testable import ChatHTTP

/// The parser without a socket: the same bytes give the same requests, in whatever pieces they arrive.
@Suite(.timeLimit(.minutes(3))) struct RequestParserTests {
    /// The parser's result for some bytes: requests with their bodies, then the problem.
    private struct Reading: Equatable {
        var requests: [String] = []
        var fault: String?
        var left = ""
    }

    /// - Parameter pieces: in the order in which they arrive.
    private func read(_ pieces: [String]) -> Reading {
        var (parser, bytes, reading) = (RequestParser(), ByteBuffer(), Reading())
        var body: BodyReader?
        var (head, text) = ("", "")
        do throws(Problem) {
            for piece in pieces {
                bytes.writeString(piece)
                while true {
                    if var reader = body {
                        let isWhole = try reader.read(&bytes) { (part: ByteBuffer) throws(Problem) in
                            text += String(buffer: part)
                        }
                        body = isWhole ? nil : reader
                        guard isWhole else { break }
                        reading.requests.append(head + text)
                        text = ""
                        continue
                    }
                    guard let request = try parser.readHead(&bytes) else { break }
                    let query = request.query.map { "?\($0)" } ?? ""
                    let type = request.headers[.contentType] ?? "-"
                    head = "\(request.method) \(request.path)\(query) \(type) \(request.isLast ? "last " : "")"
                    if request.framing == .none {
                        reading.requests.append(head)
                    } else {
                        body = BodyReader(request.framing)
                    }
                }
            }
        } catch {
            reading.fault = error.code
        }
        reading.left = String(buffer: bytes)
        return reading
    }

    private static let wellFormed = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a/b?c=d&e HTTP/1.1\r\nHost: a:80\r\nContent-Type:application/json\r\n\r\n",
        "\r\nPOST /x HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\nhelloGET /y HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\n"
            + "GET /y HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x , Close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \t \r\nZ: \u{e9} \"\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x=\"y z\";v\r\nx\r\n0;x=y;v\r\n\r\n",
    ]

    @Test(arguments: wellFormed)
    func whatIsWellFormedIsRead(_ text: String) {
        let whole = read([text])
        #expect(whole.fault == nil && whole.left.isEmpty && !whole.requests.isEmpty, "\(whole)")
        // A byte at a time, and in two pieces, cut at every place.
        let characters = text.unicodeScalars.map { String($0) }
        #expect(read(characters) == whole)
        for cut in 1..<characters.count {
            #expect(read([characters[..<cut].joined(), characters[cut...].joined()]) == whole)
        }
    }

    @Test func meaning() {
        #expect(read([Self.wellFormed[0]]).requests == ["GET / - "])
        #expect(read([Self.wellFormed[1]]).requests == ["GET /a/b?c=d&e application/json "])
        #expect(read([Self.wellFormed[2]]).requests == ["POST /x - hello", "GET /y - "])
        #expect(read([Self.wellFormed[3]]).requests == ["PUT /x - hello0123456789", "GET /y - "])
        #expect(read([Self.wellFormed[4]]).requests == ["GET /b?c - "])
        #expect(read([Self.wellFormed[5]]).requests == ["GET / - "])
        #expect(read([Self.wellFormed[7]]).requests == ["GET / - last "])
        #expect(read([Self.wellFormed[8]]).requests == ["GET / - "])
        #expect(read([Self.wellFormed[9]]).requests == ["GET / - last "])
        #expect(read([Self.wellFormed[10]]).requests == ["GET / - last "])
    }

    /// Input that another parser could read differently, or that is not a request at all.
    @Test(arguments: [
        "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "get / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / http/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{0}b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a#/b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a#/b HTTP/1.1\r\nHost: a\r\n\r\n", "GET x?y=://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET x://a/b HTTP/1.1\r\nHost: a\r\n\r\n", "GET a/b HTTP/1.1\r\nHost: a\r\n\r\n",
        "LOC\u{212A} / HTTP/1.1\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ])
    func whatIsNotIsRefused(_ text: String) {
        let reading = read([text])
        #expect(reading.fault == "malformed_request" && reading.requests.isEmpty, "\(reading)")
        #expect(read(text.unicodeScalars.map { String($0) }).fault == "malformed_request")
    }

    @Test(arguments: ["gzip", "gzip, chunked", "identity", "chunked;x", ""])
    func otherCodingsAreNotUnderstood(_ coding: String) {
        let text = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \(coding)\r\n\r\n0\r\n\r\n"
        #expect(read([text]).fault == "unknown_transfer_encoding")
    }

    @Test(arguments: [
        "x\r\n", "\r\n", "-1\r\n", " 1\r\nx\r\n", "1\nx\r\n0\r\n\r\n", "1\r\nxy\r\n", "1\r\nx\n0\r\n\r\n",
        "fffffffff\r\n", "1 \r\nx\r\n0\r\n\r\n", "1 x\r\nx\r\n0\r\n\r\n", "0\r\nGET / HTTP/1.1\r\n\r\n",
        "0\r\nT: x\r\n folded\r\n\r\n", "0\r\n: x\r\n\r\n",
        "1;\r\nx\r\n0\r\n\r\n", "1;x==y\r\nx\r\n0\r\n\r\n", "1;x=\"y\r\nx\r\n0\r\n\r\n", "1;x y\r\nx\r\n0\r\n\r\n",
        "0\r\nContent-Length: 3\r\n\r\n", "0\r\ntransfer-encoding: chunked\r\n\r\n",
        "0x1\r\nx\r\n", "1;\u{0}\r\nx\r\n", "0\r\nT\u{0}: x\r\n\r\n", "0\r\n\n",
        "1;" + String(repeating: "x", count: 1100),
        "0\r\nT: " + String(repeating: "x", count: 2000) + "\r\n\r\n",
        "0\r\n" + String(repeating: "T: " + String(repeating: "x", count: 900) + "\r\n", count: 20) + "\r\n",
    ])
    func chunksThatAreNone(_ chunks: String) {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        let reading = read([head + chunks])
        #expect(reading.fault == "malformed_request" && reading.requests.isEmpty, "\(reading)")
        #expect(read((head + chunks).unicodeScalars.map { String($0) }).fault == "malformed_request")
    }

    @Test func aHeadIsBounded() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: 70_000),
            "GET /" + String(repeating: "x", count: 70_000), String(repeating: "\r\n", count: 40_000),
            "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X:\r\n", count: 1001),
        ] {
            #expect(read([text]).fault == "headers_too_large")
        }
    }

    /// A connection that always has the start of the next request in its buffer keeps no room for parsed bytes.
    @Test func whatWasReadTakesNoRoom() throws {
        var (parser, bytes) = (RequestParser(), ByteBuffer())
        let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        bytes.receive(ByteBuffer(string: String(text.prefix(10))))
        for _ in 0..<10_000 {
            bytes.receive(ByteBuffer(string: String(text.dropFirst(10)) + text.prefix(10)))
            #expect(try parser.readHead(&bytes) != nil)
        }
        #expect(bytes.readableBytes == 10 && bytes.storageCapacity < 1024, "\(bytes.storageCapacity)")
    }

    /// The parser remembers how far it has scanned, and scans no byte twice.
    @Test func aHeadThatComesSlowlyIsReadOnce() throws {
        var (parser, bytes) = (RequestParser(), ByteBuffer(string: "GET / HTTP/1.1\r\nHost: a\r\nX: "))
        for _ in 0..<50_000 {
            bytes.writeString("x")
            #expect(try parser.readHead(&bytes) == nil)
            #expect(parser.scannedBytes == bytes.readableBytes)
        }
    }
}
