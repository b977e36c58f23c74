import ChatCore
import Foundation

/// Passwords and tokens among the command's arguments, which everybody on the machine can read.
enum ArgumentSecrets {
    /// Overwrites them in the process' memory, from where `ps` and `/proc/PID/cmdline` have them. What was parsed before is
    /// a copy. Between the start and here they can be seen, so environment and settings file are the better places.
    static func wipe() {
        guard let memory = argumentMemory() else { return }
        for argument in memory.split(separator: 0) {
            for index in secret(in: argument) { memory[index] = UInt8(ascii: "*") }
        }
    }

    /// - Returns: where the secret is: user and password of a URL, or all of a token.
    static func secret<Bytes: BidirectionalCollection<UInt8>>(in argument: Bytes) -> Range<Bytes.Index> {
        let none = argument.startIndex..<argument.startIndex
        let text = String(decoding: argument, as: UTF8.self)
        if Tenant.Token(text) != nil { return argument.startIndex..<argument.endIndex }
        guard let scheme = argument.firstRange(of: "://".utf8), let end = argument.lastIndex(of: UInt8(ascii: "@")),
            scheme.upperBound <= end
        else { return none }
        return scheme.upperBound..<end
    }

    /// The arguments as the system has them: each with a 0 at its end. nil where that is not known.
    private static func argumentMemory() -> UnsafeMutableBufferPointer<UInt8>? {
        #if os(Linux)
            // `CommandLine.unsafeArgv` is a copy here. proc_pid_stat(5): fields 48 and 49, arg_start and arg_end.
            guard let text = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
                let name = text.lastIndex(of: ")")
            else { return nil }
            // The first field behind the name is the third.
            let fields = text[name...].split(separator: " ").dropFirst()
            guard fields.count > 46, let start = UInt(fields[fields.startIndex + 45]),
                let end = UInt(fields[fields.startIndex + 46]), start < end
            else { return nil }
            return UnsafeMutableBufferPointer(start: UnsafeMutablePointer(bitPattern: start), count: Int(end - start))
        #else
            guard let first = CommandLine.unsafeArgv[0], CommandLine.argc > 0,
                let last = CommandLine.unsafeArgv[Int(CommandLine.argc) - 1]
            else { return nil }
            return UnsafeMutableRawBufferPointer(start: first, count: last - first + strlen(last))
                .bindMemory(to: UInt8.self)
        #endif
    }
}
