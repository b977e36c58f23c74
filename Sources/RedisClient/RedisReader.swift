import CHiredis

/// hiredis' parser: bytes in, replies out. It keeps an incomplete reply until the rest arrives.
///
/// The bytes of an incomplete reply are bounded, and so are its array elements, because a few bytes can announce
/// millions of them. hiredis refuses deep nesting (7 levels in 0.14).
struct RedisReader: ~Copyable {
    enum Failure: Error {
        case tooLarge
        /// The input is not RESP; with hiredis' error.
        case nonsense(String)
    }

    /// The state of hiredis' callbacks.
    private struct Budget {
        let elements: Int
        var elementsLeft: Int
        let defaults: redisReplyObjectFunctions
    }

    /// Counted for each element of an array: about the bytes that hiredis allocates for it.
    private static let bytesPerElement = 64
    private let reader: UnsafeMutablePointer<redisReader>
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let budget: UnsafeMutablePointer<Budget>
    private let maxReplyBytes: Int
    /// Bytes fed since the last complete reply.
    private var unfinished = 0

    init(maxReplyBytes: Int) {
        self.maxReplyBytes = maxReplyBytes
        reader = redisReaderCreate()
        functions = .allocate(capacity: 1)
        let defaults = reader.pointee.fn.pointee
        functions.initialize(to: defaults)
        budget = .allocate(capacity: 1)
        let elements = max(maxReplyBytes / Self.bytesPerElement, 1)
        budget.initialize(to: Budget(elements: elements, elementsLeft: elements, defaults: defaults))
        functions.pointee.createArray = { task, count in
            guard let budget = task?.pointee.privdata?.assumingMemoryBound(to: Budget.self) else { return nil }
            budget.pointee.elementsLeft -= Int(count)
            return budget.pointee.elementsLeft < 0 ? nil : budget.pointee.defaults.createArray(task, count)
        }
        reader.pointee.fn = functions
        reader.pointee.privdata = UnsafeMutableRawPointer(budget)
    }

    deinit {
        redisReaderFree(reader)
        functions.deallocate()
        budget.deallocate()
    }

    /// Takes bytes, and returns all complete replies. After a failure it is unusable.
    mutating func read(_ bytes: UnsafeRawBufferPointer, _ body: (RedisReply) -> Void) throws(Failure) {
        var start = 0
        while start < bytes.count {
            // hiredis moves the rest of its buffer to the front after every KB: small portions keep that cheap.
            let bite = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + 16_384, bytes.count)])
            start += bite.count
            guard redisReaderFeed(reader, bite.baseAddress, bite.count) == REDIS_OK else { throw failure() }
            unfinished += bite.count
            while let reply = try next() { body(reply) }
            guard unfinished <= maxReplyBytes else { throw .tooLarge }
        }
    }

    private mutating func next() throws(Failure) -> RedisReply? {
        var raw: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &raw) == REDIS_OK else { throw failure() }
        guard let raw else { return nil }
        defer { freeReplyObject(raw) }
        unfinished = reader.pointee.len - reader.pointee.pos
        budget.pointee.elementsLeft = budget.pointee.elements
        let reply = raw.assumingMemoryBound(to: redisReply.self)
        switch Self.value(reply) {
        case .error(let text): return .failure(.server(text))
        case let value: return .success(value)
        }
    }

    private static func value(_ reply: UnsafeMutablePointer<redisReply>) -> RedisValue {
        let text = UnsafeRawBufferPointer(start: reply.pointee.str, count: reply.pointee.len)
        switch reply.pointee.type {
        case REDIS_REPLY_INTEGER: return .integer(reply.pointee.integer)
        case REDIS_REPLY_STRING: return .text(Array(text))
        case REDIS_REPLY_STATUS: return .status(String(decoding: text, as: UTF8.self))
        case REDIS_REPLY_ERROR: return .error(String(decoding: text, as: UTF8.self))
        case REDIS_REPLY_ARRAY:
            return .array((0..<Int(reply.pointee.elements)).map { value(reply.pointee.element[$0]!) })
        default: return .null
        }
    }

    private func failure() -> Failure {
        if budget.pointee.elementsLeft < 0 { return .tooLarge }
        return withUnsafeBytes(of: &reader.pointee.errstr) { bytes in
            .nonsense(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
        }
    }
}
