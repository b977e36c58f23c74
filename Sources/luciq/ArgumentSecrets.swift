import ChatCore
import Foundation

/// Hides passwords and tokens in the command's arguments, which all users of the machine can read.
enum ArgumentSecrets {
    /// Overwrites them in the process' memory, from which `ps` and `/proc/PID/cmdline` read them; the parsed values are
    /// copies. They are visible between the start and this call, so the environment or a settings file is safer.
    static func wipe() {
        guard let memory = argumentMemory() else { return }
        for argument in memory.split(separator: 0) {
            for index in secret(in: argument) { memory[index] = UInt8(ascii: "*") }
        }
    }

    /// - Returns: the range of the secret: user and password of a URL, or a whole token or key.
    static func secret<Bytes: BidirectionalCollection<UInt8>>(in argument: Bytes) -> Range<Bytes.Index> {
        let none = argument.startIndex..<argument.startIndex
        let text = String(decoding: argument, as: UTF8.self)
        if Tenant.Token(text) != nil || AccessKey(text) != nil { return argument.startIndex..<argument.endIndex }
        guard let scheme = argument.firstRange(of: "://".utf8), let end = argument.lastIndex(of: UInt8(ascii: "@")),
            scheme.upperBound <= end
        else { return none }
        return scheme.upperBound..<end
    }

    /// The arguments in the system's memory, each with a 0 at its end; nil if their place is unknown.
    private static func argumentMemory() -> UnsafeMutableBufferPointer<UInt8>? {
        #if os(Linux)
            // `CommandLine.unsafeArgv` is a copy here. proc_pid_stat(5): fields 48 and 49, arg_start and arg_end.
            guard let text = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
                let name = text.lastIndex(of: ")")
            else { return nil }
            // The first field after the name is the third.
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
