import Foundation
import TestSupport
import Testing

/// A request that must be refused, and how.
struct BadRequest: Sendable, CustomTestStringConvertible {
    let name: String
    var body: [UInt8]
    var type: String? = "application/json"
    let status: Int
    let code: String
    var errors: [String]?

    init(
        _ name: String, _ json: String, type: String? = "application/json", _ status: Int, _ code: String,
        errors: [String]? = nil
    ) {
        self.init(name, bytes: Array(json.utf8), type: type, status, code, errors: errors)
    }

    init(
        _ name: String, bytes: [UInt8], type: String? = "application/json", _ status: Int, _ code: String,
        errors: [String]? = nil
    ) {
        self.name = name
        self.body = bytes
        self.type = type
        self.status = status
        self.code = code
        self.errors = errors
    }

    var testDescription: String { name }

    /// Bodies that are not a JSON object, for every route.
    static let malformed: [BadRequest] = [
        BadRequest("array", "[]", 400, "malformed_json"), BadRequest("string", "\"x\"", 400, "malformed_json"),
        BadRequest("number", "1", 400, "malformed_json"), BadRequest("null", "null", 400, "malformed_json"),
        BadRequest("open object", "{", 400, "malformed_json"),
        BadRequest("open string", "{\"a\":\"", 400, "malformed_json"),
        BadRequest("trailing comma", "{\"x\":1,}", 400, "malformed_json"),
        BadRequest("trailing garbage", "{} x", 400, "malformed_json"),
        BadRequest("two objects", "{}{}", 400, "malformed_json"),
        BadRequest("comment", "{/**/}", 400, "malformed_json"),
        BadRequest("single quotes", "{'x':1}", 400, "malformed_json"),
        BadRequest("bare key", "{x:1}", 400, "malformed_json"),
        BadRequest("NaN", "{\"x\":NaN}", 400, "malformed_json"),
        BadRequest("leading zero", "{\"x\":01}", 400, "malformed_json"),
        BadRequest("bare dot", "{\"x\":1.}", 400, "malformed_json"),
        BadRequest("plus", "{\"x\":+1}", 400, "malformed_json"),
        BadRequest("bad escape", #"{"x":"\x"}"#, 400, "malformed_json"),
        BadRequest("short escape", #"{"x":"\u12"}"#, 400, "malformed_json"),
        BadRequest("lone high surrogate", #"{"x":"\ud800"}"#, 400, "malformed_json"),
        BadRequest("lone low surrogate", #"{"x":"\udc00"}"#, 400, "malformed_json"),
        BadRequest("two high surrogates", #"{"x":"\ud800\ud800"}"#, 400, "malformed_json"),
        BadRequest("raw newline", "{\"x\":\"a\nb\"}", 400, "malformed_json"),
        BadRequest("raw null", "{\"x\":\"a\0\"}", 400, "malformed_json"),
        BadRequest("byte order mark", "\u{FEFF}{}", 400, "malformed_json"),
        BadRequest("invalid UTF-8", bytes: Array("{\"x\":\"".utf8) + [0xFF] + Array("\"}".utf8), 400, "malformed_json"),
        BadRequest(
            "encoded surrogate", bytes: Array("{\"x\":\"".utf8) + [0xED, 0xA0, 0x80] + Array("\"}".utf8), 400,
            "malformed_json"),
        BadRequest("UTF-16", bytes: "{}".utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }, 400, "malformed_json"),
        BadRequest("deep", String(repeating: "[", count: 100_000), 400, "malformed_json"),
        BadRequest("deep objects", String(repeating: "{\"a\":", count: 20_000), 400, "malformed_json"),
        BadRequest(
            "deep but closed",
            "{\"x\":" + String(repeating: "[", count: 101) + String(repeating: "]", count: 101) + "}", 400,
            "malformed_json"),
        BadRequest("form", "name=%FF", type: "application/x-www-form-urlencoded", 400, "malformed_form"),
        BadRequest("multipart form", "x", type: "multipart/form-data; boundary=x", 415, "unsupported_media_type"),
        BadRequest("text", "{\"name\":\"x\",\"body\":\"x\"}", type: "text/plain", 415, "unsupported_media_type"),
        BadRequest("no type", "{\"name\":\"x\",\"body\":\"x\"}", type: nil, 415, "unsupported_media_type"),
        BadRequest(
            "like JSON", "{\"name\":\"x\",\"body\":\"x\"}", type: "application/jsonx", 415, "unsupported_media_type"),
        BadRequest(
            "past 256 KiB", "{\"x\":\"" + String(repeating: "x", count: 256 << 10) + "\"}", 413, "body_too_large"),
    ]

    static let names: [BadRequest] = [
        BadRequest("empty", "", 400, "malformed_json"), BadRequest("no parameter", "{}", 400, "missing_parameter"),
        BadRequest("other parameter", #"{"title":"x"}"#, 400, "missing_parameter"),
        BadRequest("empty wrapper", #"{"application":{}}"#, 400, "missing_parameter"),
        BadRequest("blank", #"{"name":" \t\u3000"}"#, 422, "invalid", errors: ["Name can't be blank"]),
        BadRequest("null", #"{"name":null}"#, 422, "invalid", errors: ["Name can't be blank"]),
        BadRequest("array", #"{"name":["x"]}"#, 422, "invalid", errors: ["Name can't be blank"]),
        BadRequest("object", #"{"application":{"name":{"x":1}}}"#, 422, "invalid", errors: ["Name can't be blank"]),
        BadRequest(
            "256", "{\"name\":\"" + String(repeating: "é", count: 256) + "\"}", 422, "invalid",
            errors: ["Name is too long (maximum is 255 characters)"]),
        BadRequest(
            "null character", #"{"name":"a\u0000"}"#, 422, "invalid", errors: ["Name contains a null character"]),
    ]

    static let bodies: [BadRequest] = [
        BadRequest("empty", "", 400, "malformed_json"), BadRequest("no parameter", "{}", 400, "missing_parameter"),
        BadRequest("empty wrapper", #"{"message":{}}"#, 400, "missing_parameter"),
        BadRequest("blank", #"{"body":"\n\u2003"}"#, 422, "invalid", errors: ["Body can't be blank"]),
        BadRequest("null", #"{"message":{"body":null}}"#, 422, "invalid", errors: ["Body can't be blank"]),
        BadRequest("array", #"{"body":[1]}"#, 422, "invalid", errors: ["Body can't be blank"]),
        BadRequest(
            "65,536 bytes", "{\"body\":\"" + String(repeating: "a", count: 65_536) + "\"}", 422, "invalid",
            errors: ["Body is too long (maximum is 65535 bytes)"]),
        BadRequest(
            "null character", #"{"body":"a\u0000b"}"#, 422, "invalid", errors: ["Body contains a null character"]),
    ]
}

@Suite(.timeLimit(.minutes(3))) struct BadInputTests {
    @Test func theLargestBodyIsTaken() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let largest = try await server.client.post(
                chat + "/messages", json: "{\"body\":\"" + String(repeating: "a", count: 65_535) + "\"}")
            #expect(largest.status == 201)
        }
    }

    @Test func contentTypesThatAreJSON() async throws {
        try await TestServer.run { server in
            for type in ["application/json", "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8"] {
                let answer = try await server.client.post(
                    "/applications", json: #"{"name":"x"}"#, headers: ["Content-Type": type])
                #expect(answer.status == 201, "\(type)")
            }
        }
    }

    @Test(arguments: [
        ("", "Q can't be blank"), ("?q=", "Q can't be blank"), ("?q=+%20%09", "Q can't be blank"),
        ("?q=" + String(repeating: "x", count: 256), "Q is too long (maximum is 255 characters)"),
        ("?q=a%00b", "Q contains a null character"), ("?q=%FF", "Q must be percent-encoded UTF-8"),
        ("?q=%2", "Q must be percent-encoded UTF-8"), ("?q=%zz", "Q must be percent-encoded UTF-8"),
        ("?q=%+1", "Q must be percent-encoded UTF-8"),
    ])
    func searchesThatAreNone(_ query: String, _ error: String) async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let answer = try await server.client.get("\(chat)/messages/search\(query)")
            #expect(answer.status == 422)
            #expect(answer.errors == [error])
        }
    }

    @Test func aQueryDoesNotOverrideThePath() async throws {
        try await TestServer.run { server in
            let mine = try await server.client.makeApplication("mine")
            let other = try await server.client.makeApplication("other")
            let token = try #require(other.split(separator: "/").last)
            let answer = try await server.client.get("\(mine)?application_token=\(token)&token=\(token)")
            #expect(answer.json["name"] as? String == "mine")
        }
    }

    @Test func unknownPathsAndMethods() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            for path in ["/nothing", "/applications/x/y/z", "/Applications", chat + "/nothing", "/.."] {
                #expect(try await server.client.get(path).status == 404, "\(path)")
            }
            for (method, path, allow) in [
                ("DELETE", "/applications", "POST, GET, HEAD"), ("PUT", "/applications", "POST, GET, HEAD"),
                ("DELETE", chat, "GET, PATCH, HEAD"), ("PROPFIND", chat, "GET, PATCH, HEAD"),
                ("TRACE", "/livez", "GET, HEAD"),
                ("OPTIONS", chat + "/messages", "POST, GET, HEAD"), ("PUT", chat + "/messages/search", "GET, HEAD"),
                ("POST", String(chat.dropLast(8)), "GET, PATCH, PUT, DELETE, HEAD"),
            ] {
                let answer = try await server.client.send(method, path)
                #expect(answer.status == 405, "\(method) \(path)")
                #expect(answer["Allow"] == allow, "\(method) \(path)")
            }
        }
    }

    @Test func longURIsAndHeaders() async throws {
        try await TestServer.run { server in
            let x = { String(repeating: "x", count: $0) }
            #expect(try await server.client.get("/livez?" + x(8192 - 7)).status == 200)
            #expect(try await server.client.get("/livez?" + x(8192)).status == 414)
            #expect(try await server.client.get("/livez", headers: ["X-A": x(15_000)]).status == 200)
            #expect(try await server.client.get("/livez", headers: ["X-A": x(17_000)]).status == 431)
            for size in [100_000, 500_000] {
                let header = try await server.client.get("/livez", headers: ["X-A": x(size)])
                #expect(header.status == 431)
                #expect(header.code == "headers_too_large")
                #expect(header["Connection"] == "close")
                #expect([414, 431].contains(try await server.client.get("/livez?" + x(size)).status))
            }
            let many = Dictionary(uniqueKeysWithValues: (0..<2000).map { ("X-\($0)", "v") })
            #expect(try await server.client.get("/livez", headers: many).status == 431)
        }
    }
}
