import CMariaDB

extension Session {
    /// Connects, sets up the session (utf8mb4, UTC, strict mode, READ COMMITTED, autocommit, one second for a lock),
    /// and reads the server's facts: three statements, with a round trip each.
    ///
    /// The server ends the session after a minute of silence: a process that hangs, or whose machine is gone, must not
    /// keep its locks for eight hours, the default.
    ///
    /// - Throws: `.cannotConnect`, `.accessDenied`, `.unknownDatabase`, `.tooManyConnections`, or the server's error
    ///   for a setting.
    func connect(_ configuration: MySQLConfiguration) throws(MySQLError) {
        guard let handle = mysql_init(nil) else { throw MySQLError(.cannotConnect, "Out of memory") }
        Self.setOptions(configuration, handle)
        // With a null host and a socket as protocol, the library uses only the path.
        let isConnected =
            mysql_real_connect(
                handle, configuration.socket == nil ? configuration.host : nil, configuration.user,
                configuration.password, configuration.database.isEmpty ? nil : configuration.database,
                UInt32(clamping: configuration.port), configuration.socket, 0) != nil
        guard isConnected else {
            let error = MySQLError(connecting: Int(mysql_errno(handle)), message: String(cString: mysql_error(handle)))
            mysql_close(handle)
            throw error
        }
        open(handle)
        do throws(MySQLError) {
            // If the server has no TLS, the library continues without, despite its options.
            if configuration.needsTLS, mysql_get_ssl_cipher(handle) == nil {
                throw MySQLError(.cannotConnect, "The server offers no TLS, and the configuration requires it")
            }
            try setUp()
            facts = try askForFacts()
        } catch {
            close()
            throw error.kind == .connectionLost
                ? MySQLError(.cannotConnect, error.message, number: error.number) : error
        }
    }

    /// Two statements, because the variable of the isolation level has different names in MySQL 8 and MariaDB 10, and a
    /// proxy may report the wrong product. `NAMES` again, for servers that are configured to ignore the client's
    /// character set.
    private func setUp() throws(MySQLError) {
        try run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        try run(
            """
            SET NAMES utf8mb4, time_zone = '+00:00', autocommit = 1, innodb_lock_wait_timeout = \(MySQLConnection.lockWait), \
            wait_timeout = 60, \
            sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE'
            """)
    }

    /// One round trip, which costs the server a quarter of a millisecond.
    func askForFacts() throws(MySQLError) -> ServerFacts {
        let answer = try texts(ServerFacts.question).filter { $0.count >= 2 }.map { ($0[0].lowercased(), $0[1]) }
        return ServerFacts(Dictionary(answer) { $1 }, version: serverVersion)
    }

    private static func setOptions(_ configuration: MySQLConfiguration, _ handle: UnsafeMutablePointer<MYSQL>) {
        set(MYSQL_OPT_CONNECT_TIMEOUT, seconds(configuration.connectTimeout), handle)
        set(MYSQL_OPT_READ_TIMEOUT, seconds(configuration.readTimeout), handle)
        set(MYSQL_OPT_WRITE_TIMEOUT, seconds(configuration.writeTimeout), handle)
        // No automatic reconnect: the library would repeat a statement outside its transaction.
        set(MYSQL_OPT_RECONNECT, my_bool(0), handle)
        // Otherwise any server could request our files.
        set(MYSQL_OPT_LOCAL_INFILE, UInt32(0), handle)
        set(MYSQL_REPORT_DATA_TRUNCATION, my_bool(1), handle)
        // Otherwise "localhost" would mean a socket at the library's default path.
        let transport = configuration.socket == nil ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET
        set(MYSQL_OPT_PROTOCOL, transport.rawValue, handle)
        mysql_options(handle, MYSQL_SET_CHARSET_NAME, "utf8mb4")

        let encrypts = configuration.needsTLS || (configuration.tlsMode == .preferred && configuration.socket == nil)
        set(MYSQL_OPT_SSL_ENFORCE, my_bool(encrypts ? 1 : 0), handle)
        // This checks the name; the signature is checked if a CA is given.
        set(MYSQL_OPT_SSL_VERIFY_SERVER_CERT, my_bool(configuration.tlsMode == .verifyIdentity ? 1 : 0), handle)
        guard encrypts else { return }
        if let path = configuration.tlsCA { mysql_options(handle, MYSQL_OPT_SSL_CA, path) }
        if let path = configuration.tlsCertificate { mysql_options(handle, MYSQL_OPT_SSL_CERT, path) }
        if let path = configuration.tlsKey { mysql_options(handle, MYSQL_OPT_SSL_KEY, path) }
    }

    private static func set(
        _ option: mysql_option, _ value: some BitwiseCopyable, _ handle: UnsafeMutablePointer<MYSQL>
    ) {
        withUnsafeBytes(of: value) { _ = mysql_options(handle, option, $0.baseAddress) }
    }

    private static func seconds(_ duration: Duration) -> UInt32 {
        let (seconds, rest) = duration.components
        return UInt32(clamping: max(1, seconds + (rest > 0 ? 1 : 0)))
    }
}

extension MySQLConfiguration {
    /// Whether a connection without TLS must be refused.
    fileprivate var needsTLS: Bool {
        switch tlsMode {
        case .disabled, .preferred: false
        case .required, .verifyCA, .verifyIdentity: true
        }
    }
}
