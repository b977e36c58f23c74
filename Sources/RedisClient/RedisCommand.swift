import CHiredis
import NIOCore

/// A command's name and arguments, as any bytes. All in one array, because a batch makes many of them.
package struct RedisCommand: Sendable, Equatable {
    private var bytes: [UInt8] = []
    private var lengths: [Int] = []

    package init(_ name: String, _ arguments: String...) { self.init([name] + arguments) }

    /// - Parameter arguments: the name first.
    package init(_ arguments: [String]) {
        lengths.reserveCapacity(arguments.count)
        bytes.reserveCapacity(arguments.reduce(0) { $0 + $1.utf8.count })
        for argument in arguments { append(argument) }
    }

    /// - Parameter rest: more arguments; its name, too.
    init(_ arguments: [String], then rest: RedisCommand) {
        self.init(arguments)
        bytes += rest.bytes
        lengths += rest.lengths
    }

    /// - Parameter arguments: the name first.
    package init(bytes arguments: [[UInt8]]) { for argument in arguments { append(argument) } }

    /// Adds an argument.
    package mutating func append(_ argument: String) { append(argument.utf8) }

    /// Adds an argument in decimal.
    package mutating func append(_ argument: Int64) { append(String(argument).utf8) }

    /// Adds an argument of any bytes.
    package mutating func append(_ argument: some Collection<UInt8>) {
        bytes.append(contentsOf: argument)
        lengths.append(argument.count)
    }

    /// The name and the arguments.
    package var arguments: [[UInt8]] {
        var start = 0
        return lengths.map { length in
            defer { start += length }
            return Array(bytes[start..<start + length])
        }
    }

    /// An upper bound of its bytes on the wire.
    var encodedSize: Int { bytes.count + 16 + lengths.count * 16 }

    /// Writes it as RESP.
    func encode(into buffer: inout ByteBuffer) {
        bytes.withUnsafeBytes { bytes in
            withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: lengths.count) { arguments in
                // An empty array has no address; this one is never read.
                let start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
                var offset = 0
                for (index, length) in lengths.enumerated() {
                    arguments[index] = (start + offset).assumingMemoryBound(to: CChar.self)
                    offset += length
                }
                var text: UnsafeMutablePointer<CChar>?
                let size = redisFormatCommandArgv(&text, CInt(lengths.count), arguments.baseAddress, lengths)
                precondition(size >= 0 && text != nil, "out of memory")
                buffer.writeBytes(UnsafeRawBufferPointer(start: text, count: Int(size)))
                redisFreeCommand(text)
            }
        }
    }
}
