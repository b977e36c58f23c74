import CMariaDB

/// The parameters of one prepared statement, in reused memory: the library's array of bindings, and one arena for the
/// bytes that they point to.
final class ParameterBuffer {
    private static let alignment = 8

    private let bindings: UnsafeMutableBufferPointer<MYSQL_BIND>
    private var arena = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    init(count: Int) {
        bindings = .allocate(capacity: count)
        bindings.initialize(repeating: MYSQL_BIND())
    }

    deinit {
        bindings.deallocate()
        arena.deallocate()
    }

    /// Copies the values and points the statement to them, until the next call.
    ///
    /// - Throws: `.other` if the number of values is wrong, or a timestamp is outside the years 1 to 9999.
    func bind(_ values: [MySQLValue], to statement: UnsafeMutablePointer<MYSQL_STMT>) throws(MySQLError) {
        guard values.count == bindings.count else {
            throw MySQLError(.other, "The statement has \(bindings.count) parameters and got \(values.count)")
        }
        if values.isEmpty { return }
        reserve(values.reduce(0) { $0 + Self.room(for: $1) })
        var offset = 0
        for (index, value) in values.enumerated() {
            try fill(&bindings[index], with: value, at: offset)
            offset += Self.room(for: value)
        }
        // The library copies the bindings, so bind them each time. It fails for unknown types.
        guard mysql_stmt_bind_param(statement, bindings.baseAddress) == 0 else {
            throw MySQLError(.other, "The parameters cannot be bound", number: Int(mysql_stmt_errno(statement)))
        }
    }

    private func fill(
        _ binding: inout MYSQL_BIND, with value: MySQLValue, at offset: Int
    ) throws(MySQLError) {
        let room = UnsafeMutableRawBufferPointer(rebasing: arena[offset...])
        binding.buffer = room.baseAddress
        switch value {
        case .null:
            binding.buffer_type = MYSQL_TYPE_NULL
        case .integer(let integer):
            binding.buffer_type = MYSQL_TYPE_LONGLONG
            room.storeBytes(of: integer, as: Int64.self)
        case .text(var text):
            binding.buffer_type = MYSQL_TYPE_STRING
            text.withUTF8 { room.copyMemory(from: UnsafeRawBufferPointer($0)) }
            binding.buffer_length = UInt(text.utf8.count)
        case .bytes(let bytes):
            binding.buffer_type = MYSQL_TYPE_BLOB
            room.copyBytes(from: bytes)
            binding.buffer_length = UInt(bytes.count)
        case .timestamp(let microseconds):
            guard let time = MySQLTimestamp.components(microseconds) else {
                throw MySQLError(.other, "A timestamp is outside the years 1 to 9999")
            }
            binding.buffer_type = MYSQL_TYPE_DATETIME
            room.storeBytes(of: time, as: MYSQL_TIME.self)
        }
    }

    private static func room(for value: MySQLValue) -> Int {
        let size =
            switch value {
            case .null: 0
            case .integer: MemoryLayout<Int64>.size
            case .text(let text): text.utf8.count
            case .bytes(let bytes): bytes.count
            case .timestamp: MemoryLayout<MYSQL_TIME>.size
            }
        return (size + alignment - 1) / alignment * alignment
    }

    /// One aligned step more than requested, so that an empty text has an address too: the library reads a null address
    /// as NULL.
    private func reserve(_ size: Int) {
        guard arena.count < size + Self.alignment else { return }
        arena.deallocate()
        arena = .allocate(byteCount: max(size + Self.alignment, 2 * arena.count), alignment: Self.alignment)
    }
}
