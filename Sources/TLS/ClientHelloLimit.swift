import NIOCore

/// Refuses a ClientHello that announces too much. For the first nine bytes of a client OpenSSL would reserve and clear
/// what they announce, up to 128 KiB.
///
/// It follows the records of a server's client (RFC 8446, 5.1) until the server has its ClientHello, or its second one
/// if the server asks for that. What comes then has smaller limits in OpenSSL.
struct ClientHelloLimit {
    /// In bytes. With keys of post-quantum cryptography a ClientHello has about 2 KiB.
    static let longest = 16 << 10

    private enum Kind {
        static let changeCipherSpec: UInt8 = 20
        static let alert: UInt8 = 21
        static let handshake: UInt8 = 22
    }

    /// The header of a record, as far as it has arrived.
    private var header: [UInt8] = []
    private var kind: UInt8 = 0
    private var leftOfRecord = 0
    /// The ClientHello's type and length, and how many of their four bytes have arrived.
    private var start: (value: UInt32, count: Int) = (0, 0)
    private var leftOfHello = 0
    /// Whether a ClientHello is complete, and the server has not answered it.
    private var isComplete = false
    private var isPast = false

    /// - Parameter bytes: follow those of the last call.
    /// - Returns: whether OpenSSL may have them.
    mutating func admits(_ bytes: ByteBuffer) -> Bool {
        for byte in bytes.readableBytesView {
            if isPast { return true }
            if leftOfRecord == 0 {
                readHeader(byte)
            } else {
                leftOfRecord -= 1
                if kind == Kind.handshake, !readHello(byte) { return false }
            }
        }
        return true
    }

    /// - Parameter records: what the server has sent after the last bytes.
    mutating func answers(_ records: ByteBuffer) {
        guard isComplete else { return }
        // A record's and a message's header, and the version come before the random value (RFC 8446, 4.1.3).
        let random = records.getBytes(at: records.readerIndex + 11, length: Self.retryRequest.count)
        isPast = random != Self.retryRequest
        isComplete = false
    }

    private mutating func readHeader(_ byte: UInt8) {
        header.append(byte)
        guard header.count == 5 else { return }
        kind = header[0]
        leftOfRecord = Int(header[3]) << 8 | Int(header[4])
        header = []
        // Early data; or no TLS at all, which OpenSSL refuses.
        isPast = !(Kind.changeCipherSpec...Kind.handshake).contains(kind)
    }

    private mutating func readHello(_ byte: UInt8) -> Bool {
        // It is the server's turn.
        if isComplete { return false }
        if leftOfHello > 0 {
            leftOfHello -= 1
        } else {
            start = (start.value << 8 | UInt32(byte), start.count + 1)
            guard start.count == 4 else { return true }
            leftOfHello = Int(start.value & 0xFF_FFFF)
            start = (0, 0)
        }
        isComplete = leftOfHello == 0
        return leftOfHello <= Self.longest
    }

    /// The beginning of the random value that makes a ServerHello a HelloRetryRequest.
    private static let retryRequest: [UInt8] = [0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11]
}
