import NIOCore

/// Finds where frames begin and end in the bytes of a connection (RFC 9113, 4.1).
struct FrameWalker {
    struct Frame: Equatable {
        /// Of its payload, in bytes.
        var length = 0
        var kind: UInt8 = 0
        var flags: UInt8 = 0
        /// The first bytes of its payload, eight at most.
        var start: UInt64 = 0
    }

    enum Kind {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let settings: UInt8 = 4
        static let goAway: UInt8 = 7
        static let continuation: UInt8 = 9
    }

    static let headerLength = 9

    /// Bytes before the first frame that have not come yet.
    private var preface: Int
    /// Bytes of the current frame's header that have come.
    private var header = 0
    /// Bytes of its payload that have come.
    private var payload = 0
    private var frame = Frame()

    /// - Parameter preface: bytes before the first frame.
    init(preface: Int = 0) { self.preface = preface }

    /// The frame that has begun and not ended.
    var current: Frame? { header == Self.headerLength ? frame : nil }

    /// Bytes of the incomplete frame that have come.
    var incompleteBytes: Int { header + payload }

    /// - Parameters:
    ///   - bytes: follow those of the last call.
    ///   - ended: called for each frame that is complete.
    mutating func walk(_ bytes: ByteBuffer, _ ended: (Frame) -> Void) {
        bytes.withUnsafeReadableBytes { bytes in
            var index = min(preface, bytes.count)
            preface -= index
            while index < bytes.count {
                if header < Self.headerLength {
                    readHeader(bytes[index])
                    index += 1
                } else {
                    let part = min(frame.length - payload, bytes.count - index)
                    for place in 0..<min(part, max(0, 8 - payload)) {
                        frame.start = frame.start << 8 | UInt64(bytes[index + place])
                    }
                    payload += part
                    index += part
                }
                guard header == Self.headerLength, payload == frame.length else { continue }
                ended(frame)
                (header, payload, frame) = (0, 0, Frame())
            }
        }
    }

    private mutating func readHeader(_ byte: UInt8) {
        switch header {
        case 0...2: frame.length = frame.length << 8 | Int(byte)
        case 3: frame.kind = byte
        case 4: frame.flags = byte
        default: break  // The stream.
        }
        header += 1
    }
}
