import RedisClient

extension RedisCommand {
    /// A command whose last arguments may be any bytes.
    init(_ name: String, _ texts: String..., bytes: [[UInt8]]) {
        self.init([name] + texts)
        for argument in bytes { append(argument) }
    }
}
