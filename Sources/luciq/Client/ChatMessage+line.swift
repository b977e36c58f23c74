import ChatCore
import Foundation
import LuciqClient

extension ChatMessage {
    /// For people: the number, the time in this machine's time zone, the sender, and the text, on one line.
    var line: String {
        let time = Timestamp(rfc3339: createdAt).map(Self.local) ?? createdAt.printable
        let sender = sender.map { "\($0.printable): " } ?? ""
        return "\(number)  \(time)  \(sender)\(body.printable)"
    }

    /// To the second, in the time zone of this machine: `2026-11-22 17:57:44`.
    private static func local(_ timestamp: Timestamp) -> String {
        var seconds = time_t(timestamp.microseconds / 1_000_000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
            let count = strftime(buffer.baseAddress!, buffer.count, "%Y-%m-%d %H:%M:%S", &parts)
            return String(decoding: UnsafeRawBufferPointer(buffer)[..<count], as: UTF8.self)
        }
    }
}
