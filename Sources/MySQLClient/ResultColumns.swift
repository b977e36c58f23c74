import CMariaDB

/// The buffers for the columns of a row: one for each column, reused for all rows.
///
/// Integers and times are converted; all other types arrive as bytes, in a buffer that grows for longer values.
final class ResultColumns {
    enum Kind {
        case integer
        case time
        case bytes
    }

    private static let firstCapacity = 256

    let kinds: [Kind]
    private let types: [enum_field_types]
    private let bindings: UnsafeMutableBufferPointer<MYSQL_BIND>
    private let lengths: UnsafeMutableBufferPointer<UInt>
    private let nulls: UnsafeMutableBufferPointer<my_bool>

    init(_ fields: UnsafeBufferPointer<MYSQL_FIELD>) {
        types = fields.map(\.type)
        kinds = types.map(Self.kind)
        bindings = .allocate(capacity: fields.count)
        bindings.initialize(repeating: MYSQL_BIND())
        lengths = .allocate(capacity: fields.count)
        lengths.initialize(repeating: 0)
        nulls = .allocate(capacity: fields.count)
        nulls.initialize(repeating: 0)
        for (index, kind) in kinds.enumerated() {
            bindings[index].length = lengths.baseAddress! + index
            bindings[index].is_null = nulls.baseAddress! + index
            switch kind {
            case .integer:
                bindings[index].buffer_type = MYSQL_TYPE_LONGLONG
                setBuffer(MemoryLayout<Int64>.size, index)
            case .time:
                bindings[index].buffer_type = MYSQL_TYPE_DATETIME
                setBuffer(MemoryLayout<MYSQL_TIME>.size, index)
            case .bytes:
                bindings[index].buffer_type = MYSQL_TYPE_BLOB
                setBuffer(Self.firstCapacity, index)
            }
        }
    }

    deinit {
        for binding in bindings { binding.buffer.deallocate() }
        bindings.deallocate()
        lengths.deallocate()
        nulls.deallocate()
    }

    var count: Int { kinds.count }

    /// Whether it fits these columns: a table can change under a prepared statement.
    func fits(_ fields: UnsafeBufferPointer<MYSQL_FIELD>) -> Bool { types.elementsEqual(fields.lazy.map(\.type)) }

    /// - Returns: false if the library refuses them.
    func bind(to statement: UnsafeMutablePointer<MYSQL_STMT>) -> Bool {
        mysql_stmt_bind_result(statement, bindings.baseAddress) == 0
    }

    /// After a truncated row: enlarges the buffers, fetches the truncated values again, and binds the larger buffers.
    ///
    /// An unsigned integer beyond `Int64.max` counts as truncated as well; its bits stay unchanged.
    func grow(_ statement: UnsafeMutablePointer<MYSQL_STMT>) -> Bool {
        var hasGrown = false
        for index in 0..<count
        where kinds[index] == .bytes && nulls[index] == 0 && lengths[index] > bindings[index].buffer_length {
            var capacity = Int(bindings[index].buffer_length)
            while capacity < lengths[index] { capacity *= 2 }
            bindings[index].buffer.deallocate()
            setBuffer(capacity, index)
            guard mysql_stmt_fetch_column(statement, &bindings[index], UInt32(index), 0) == 0 else { return false }
            hasGrown = true
        }
        return !hasGrown || bind(to: statement)
    }

    func isNull(_ index: Int) -> Bool {
        precondition(index < count, "the row has only \(count) columns")
        return nulls[index] != 0
    }

    /// Not for a column that is NULL.
    func load<Value: BitwiseCopyable>(_ index: Int, as type: Value.Type) -> Value {
        bindings[index].buffer.load(as: type)
    }

    /// Not for a column that is NULL.
    func bytes(_ index: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: bindings[index].buffer, count: Int(lengths[index]))
    }

    private func setBuffer(_ capacity: Int, _ index: Int) {
        bindings[index].buffer = .allocate(byteCount: capacity, alignment: 8)
        bindings[index].buffer_length = UInt(capacity)
    }

    private static func kind(_ type: enum_field_types) -> Kind {
        switch type {
        case MYSQL_TYPE_TINY, MYSQL_TYPE_SHORT, MYSQL_TYPE_INT24, MYSQL_TYPE_LONG, MYSQL_TYPE_LONGLONG,
            MYSQL_TYPE_YEAR:
            .integer
        case MYSQL_TYPE_DATETIME, MYSQL_TYPE_TIMESTAMP: .time
        default: .bytes
        }
    }
}
