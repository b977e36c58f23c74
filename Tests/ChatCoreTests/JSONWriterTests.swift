import ChatCore
import NIOCore
import Testing

struct JSONWriterTests {
    @Test(arguments: [0, 9, 10, 99, 100, 1_234_567_890_123, .max, -1, -10, .min] as [Int64])
    func numbers(_ number: Int64) {
        var json = JSONWriter()
        json.object { json in
            json.member("a", number)
            json.member("b", number)
        }
        #expect(String(decoding: json.bytes, as: UTF8.self) == #"{"a":\#(number),"b":\#(number)}"#)
    }

    /// Text is searched for escapes several bytes at a time.
    @Test(arguments: [("\"", #"\""#), ("\\", #"\\"#), ("\n", #"\n"#), ("\u{1F}", #"\u001f"#), ("\0", #"\u0000"#)])
    func escapesAtEveryPlace(_ text: String, _ escape: String) {
        for length in 0..<40 {
            for place in 0...length {
                let (before, after) = (
                    String(repeating: "é", count: place), String(repeating: "a", count: length - place)
                )
                let written = JSONWriter.bytes(of: before + text + after)
                #expect(String(decoding: written, as: UTF8.self) == "\"\(before)\(escape)\(after)\"")
                #expect((before + text + after).lengthInJSON == written.count - 2)
            }
        }
    }

    @Test func appendsToABuffer() {
        var buffer = ByteBuffer(string: "data: ")
        buffer.writeJSON([MessageJSON(Message(number: .init(7), body: "hi", createdAt: .init(microseconds: 0)))])
        buffer.writeString("!")
        #expect(
            String(buffer: buffer)
                == #"data: [{"number":7,"body":"hi","created_at":"1970-01-01T00:00:00.000Z","sender":null}]!"#)
    }
}
