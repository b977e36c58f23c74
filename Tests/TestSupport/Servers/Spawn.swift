import Foundation

/// Starts a program by `posix_spawn`, which any number of threads may do at once; Foundation's `Process` may not.
///
/// The program is in a process group of its own, so that the Ctrl-C of a terminal ends the tests and not, at the same
/// moment, their servers. It inherits no descriptor: a connection that a test has closed would stay open in the server
/// that was started meanwhile.
///
/// - Parameters:
///   - command: the program's path and its arguments.
///   - environment: all of it.
///   - folder: where it starts; nil for where we are.
///   - input: an open descriptor, which may be closed afterwards; nil for none.
///   - output, errors: the same file for both puts them together.
func spawn(
    _ command: [String], environment: [String: String], in folder: String? = nil, input: CInt? = nil,
    output: ProgramOutput, errors: ProgramOutput
) throws -> pid_t {
    #if canImport(Darwin)
        var actions: posix_spawn_file_actions_t?
        var attributes: posix_spawnattr_t?
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_CLOEXEC_DEFAULT
    #else
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    #endif
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
        posix_spawn_file_actions_destroy(&actions)
        posix_spawnattr_destroy(&attributes)
    }

    if let input {
        posix_spawn_file_actions_adddup2(&actions, input, 0)
    } else {
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    }
    output.add(to: &actions, as: 1)
    if errors == output { posix_spawn_file_actions_adddup2(&actions, 1, 2) } else { errors.add(to: &actions, as: 2) }
    if let folder { try start(in: folder, &actions) }
    #if !canImport(Darwin)
        closeOthers(&actions)
    #endif

    // A thread of a pool blocks signals, and a server ignores SIGPIPE; a program starts with neither.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    var usual = sigset_t()
    sigemptyset(&usual)
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGCHLD] { sigaddset(&usual, signal) }
    posix_spawnattr_setsigdefault(&attributes, &usual)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(&attributes, Int16(flags))

    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") } + [nil]
    defer { for pointer in arguments + variables { free(pointer) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, command[0], &actions, &attributes, &arguments, &variables)
    guard code == 0 else { throw ServerFailure("\(command[0]) does not start: \(String(cString: strerror(code)))") }
    return pid
}

/// Where a program prints to.
package enum ProgramOutput: Equatable {
    /// Made or emptied.
    case file(String)
    /// Open, and may be closed once the program is started.
    case descriptor(CInt)

    #if canImport(Darwin)
        fileprivate typealias Actions = posix_spawn_file_actions_t?
    #else
        fileprivate typealias Actions = posix_spawn_file_actions_t
    #endif

    fileprivate func add(to actions: inout Actions, as number: CInt) {
        switch self {
        case .file(let path):
            posix_spawn_file_actions_addopen(&actions, number, path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        case .descriptor(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, number)
        }
    }
}

#if canImport(Darwin)
    private func start(in folder: String, _ actions: inout posix_spawn_file_actions_t?) throws {
        posix_spawn_file_actions_addchdir_np(&actions, folder)
    }
#else
    // Functions of glibc by their names at run time: Swift's import of it has not got those whose names end with `_np`.

    private func start(in folder: String, _ actions: inout posix_spawn_file_actions_t) throws {
        typealias ChangeFolder =
            @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, UnsafePointer<CChar>) -> CInt
        guard let function = dlsym(nil, "posix_spawn_file_actions_addchdir_np") else {
            throw ServerFailure("The tests need glibc 2.29 or newer.")
        }
        _ = unsafeBitCast(function, to: ChangeFolder.self)(&actions, folder)
    }

    /// Where it is missing (before glibc 2.34) the program inherits what is not closed by itself.
    private func closeOthers(_ actions: inout posix_spawn_file_actions_t) {
        typealias CloseFrom = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, CInt) -> CInt
        guard let function = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") else { return }
        _ = unsafeBitCast(function, to: CloseFrom.self)(&actions, 3)
    }
#endif
