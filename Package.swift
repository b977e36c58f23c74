// swift-tools-version: 6.2
import PackageDescription

// CI sets this; at a desk a warning stays a warning.
let warningsAreErrors = Context.environment["CI"] != nil

#if os(macOS)
    let onMac = true
#else
    let onMac = false
#endif

let settings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ] + (warningsAreErrors ? [.treatAllWarnings(as: .error)] : [])

// Of other packages, as targets depend on them.
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let dequeModule = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let grdbSQLite = Target.Dependency.product(name: "GRDBSQLite", package: "GRDB.swift")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHPACK = Target.Dependency.product(name: "NIOHPACK", package: "swift-nio-http2")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioHTTP2 = Target.Dependency.product(name: "NIOHTTP2", package: "swift-nio-http2")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioWebSocket = Target.Dependency.product(name: "NIOWebSocket", package: "swift-nio")
let serviceLifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let package = Package(
    name: "luciq-chat",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "luciq", targets: ["luciq"]),
        .library(name: "LuciqClient", targets: ["LuciqClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(name: "Scheduling", swiftSettings: settings),
        .target(
            name: "ChatCore",
            dependencies: ["Cryptography", "Scheduling", dequeModule, logging, metrics, nioCore, serviceLifecycle],
            swiftSettings: settings
        ),
        .target(
            name: "ChatSQLite",
            dependencies: ["ChatCore", "Scheduling", grdb, grdbSQLite, logging, metrics, serviceLifecycle],
            swiftSettings: settings
        ),
        // libmariadb-dev and mariadb-connector-c bring it along.
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"]), .brew(["openssl@3"])]),
        .target(name: "Cryptography", dependencies: ["COpenSSL"], swiftSettings: settings),
        .target(name: "TLS", dependencies: ["COpenSSL", dequeModule, nioCore], swiftSettings: settings),
        .target(
            name: "HTTPClient", dependencies: ["TLS", nioCore, nioHTTP1, nioPosix], swiftSettings: settings),
        .systemLibrary(
            name: "CMariaDB", pkgConfig: "libmariadb",
            providers: [.apt(["libmariadb-dev"]), .brew(["mariadb-connector-c"])]),
        // Not by pkg-config on Linux: SwiftPM refuses a flag that Debian's has, and says so at every build.
        .systemLibrary(
            name: "CHiredis", pkgConfig: onMac ? "hiredis" : nil,
            providers: [.apt(["libhiredis-dev"]), .brew(["hiredis"])]),
        .target(
            name: "MySQLClient",
            dependencies: ["CMariaDB", "Scheduling", logging, serviceLifecycle],
            swiftSettings: settings
        ),
        .target(
            name: "RedisClient",
            dependencies: [
                "CHiredis", "Cryptography", "Scheduling", "TLS",
                dequeModule, logging, nioCore, nioPosix, serviceLifecycle,
            ],
            swiftSettings: settings,
            // Not the shared one: each release of Debian has it under another name.
            linkerSettings: [.linkedLibrary(onMac ? "hiredis" : ":libhiredis.a")]
        ),
        .target(
            name: "ChatJobs",
            dependencies: ["ChatCore", "Cryptography", "RedisClient", logging, metrics, serviceLifecycle],
            swiftSettings: settings
        ),
        .target(
            name: "ChatCluster",
            dependencies: [
                "ChatCore", "ChatJobs", "Cryptography", "MySQLClient", "RedisClient", "Scheduling",
                logging, metrics, nioPosix, serviceLifecycle,
            ],
            resources: [
                .embedInCode("Migrations/20251027155137_create_applications.sql"),
                .embedInCode("Migrations/20251027195054_create_chats.sql"),
                .embedInCode("Migrations/20251028144809_create_messages.sql"),
                .embedInCode("Migrations/20261122000001_add_batches.sql"),
                .embedInCode("Migrations/20261122000002_add_counts.sql"),
                .embedInCode("Migrations/20261122000003_create_idempotency_keys.sql"),
                .embedInCode("Migrations/20261122000004_create_job_positions.sql"),
                .embedInCode("Migrations/20261128000001_widen_numbers.sql"),
                .embedInCode("Migrations/20261128000002_create_deployment.sql"),
                .embedInCode("Migrations/20261128000003_hide_columns.sql"),
                .embedInCode("Migrations/20261128000004_create_void_runs.sql"),
                .embedInCode("Migrations/20261129000001_create_log_changes.sql"),
                .embedInCode("Migrations/20261129000002_create_log_cursors.sql"),
                .embedInCode("Migrations/20261129000003_create_search_blocks.sql"),
                .embedInCode("Migrations/20261129000004_add_search_times.sql"),
                .embedInCode("Migrations/20261129000005_create_search_generations.sql"),
                .embedInCode("Migrations/20261130000001_create_access.sql"),
                .embedInCode("Migrations/20261130000002_hide_access_columns.sql"),
                .embedInCode("Migrations/20261201000001_create_users.sql"),
                .embedInCode("Migrations/20261201000002_hide_user_columns.sql"),
                .embedInCode("Migrations/20261202000001_add_sender.sql"),
                .embedInCode("Migrations/20261202000002_hide_sender.sql"),
                .embedInCode("Migrations/20261202000003_add_members.sql"),
                .embedInCode("Migrations/20261202000004_hide_members.sql"),
                .embedInCode("Migrations/20261203000001_add_lifecycle.sql"),
                .embedInCode("Migrations/20261203000002_hide_lifecycle_columns.sql"),
                .embedInCode("Migrations/20261204000001_add_rules.sql"),
                .embedInCode("Migrations/20261204000002_hide_rules.sql"),
                .embedInCode("Migrations/20261205000001_create_audit_heads.sql"),
                .embedInCode("Migrations/20261205000002_add_receipts.sql"),
                .embedInCode("Migrations/20261205000003_hide_receipts.sql"),
                .embedInCode("Migrations/20261206000001_add_changes.sql"),
                .embedInCode("Migrations/20261206000002_hide_changes.sql"),
                .embedInCode("Migrations/20261207000001_add_reactions.sql"),
                .embedInCode("Migrations/20261207000002_hide_reactions.sql"),
                .embedInCode("Migrations/20261208000001_add_reads.sql"),
                .embedInCode("Migrations/20261208000002_hide_reads.sql"),
                .embedInCode("Migrations/20261209000001_add_epoch.sql"),
                .embedInCode("Migrations/20261210000001_add_mentions.sql"),
                .embedInCode("Migrations/20261210000002_hide_mentions.sql"),
                .embedInCode("Migrations/20261211000001_add_peak.sql"),
                .embedInCode("Migrations/20261211000002_add_presence.sql"),
                .embedInCode("Migrations/20261211000003_hide_presence.sql"),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "ChatSearch",
            dependencies: ["ChatCore", "HTTPClient", "TLS", nioCore, nioHTTP1, nioPosix],
            swiftSettings: settings),
        .target(
            name: "ChatHTTP",
            dependencies: [
                "ChatCore", "Cryptography", "TLS",
                dequeModule, httpTypes, logging, metrics, nioCore, nioHPACK, nioHTTP2, nioPosix, nioWebSocket,
                serviceLifecycle,
            ],
            resources: [
                .embedInCode("Resources/asyncapi.yaml"),
                .embedInCode("Resources/docs.html"),
                .embedInCode("Resources/index.html"),
                .embedInCode("Resources/openapi.yaml"),
                .embedInCode("Resources/page/actions.js"),
                .embedInCode("Resources/page/api.js"),
                .embedInCode("Resources/page/app.js"),
                .embedInCode("Resources/page/chat.css"),
                .embedInCode("Resources/page/compose.js"),
                .embedInCode("Resources/page/docs.css"),
                .embedInCode("Resources/page/docs.js"),
                .embedInCode("Resources/page/dom.js"),
                .embedInCode("Resources/page/icons.js"),
                // A link to sdk/js, which has the file.
                .embedInCode("Resources/page/luciq-chat.js"),
                .embedInCode("Resources/page/markdown.js"),
                .embedInCode("Resources/page/members.js"),
                .embedInCode("Resources/page/message.js"),
                .embedInCode("Resources/page/messages.js"),
                .embedInCode("Resources/page/outbox.js"),
                .embedInCode("Resources/page/page.css"),
                .embedInCode("Resources/page/pins.js"),
                .embedInCode("Resources/page/reactions.js"),
                .embedInCode("Resources/page/reading.js"),
                .embedInCode("Resources/page/receipts.js"),
                .embedInCode("Resources/page/rove.js"),
                .embedInCode("Resources/page/search.js"),
                .embedInCode("Resources/page/shell.js"),
                .embedInCode("Resources/page/sidebar.js"),
                .embedInCode("Resources/page/stream.js"),
                .embedInCode("Resources/page/theme.js"),
                .embedInCode("Resources/page/thread.js"),
                .embedInCode("Resources/page/users.js"),
                .embedInCode("Resources/page/yaml.js"),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "LuciqClient",
            dependencies: ["HTTPClient", "Scheduling", "TLS", nioCore, nioHTTP1, nioPosix],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "luciq",
            dependencies: [
                "ChatCluster", "ChatCore", "ChatHTTP", "ChatJobs", "ChatSearch", "ChatSQLite", "Cryptography",
                "LuciqClient", "MySQLClient", "RedisClient", "Scheduling", "TLS",
                argumentParser, logging, nioCore, nioHTTP1, serviceLifecycle, unixSignals,
            ],
            swiftSettings: settings
        ),
        // What scripts/bench measures with. Built on demand; no product.
        .executableTarget(
            name: "luciq-bench",
            dependencies: [
                "ChatCluster", "ChatCore", "ChatHTTP", "ChatJobs", "ChatSQLite", "MySQLClient", "RedisClient",
                argumentParser, logging, nioCore, nioPosix, serviceLifecycle, unixSignals,
            ],
            swiftSettings: settings
        ),
        .target(
            name: "TestSupport", dependencies: ["HTTPClient", "TLS", nioCore, nioHTTP1, nioPosix],
            path: "Tests/TestSupport",
            swiftSettings: settings),
        .testTarget(name: "TestSupportTests", dependencies: ["TestSupport"], swiftSettings: settings),
        .testTarget(name: "CryptographyTests", dependencies: ["Cryptography"], swiftSettings: settings),
        .testTarget(name: "TLSTests", dependencies: ["TLS", nioCore], swiftSettings: settings),
        .testTarget(
            name: "ChatCoreTests",
            dependencies: ["ChatCore", "Cryptography", "TestSupport", logging, metrics, nioCore],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ChatSQLiteTests",
            dependencies: ["ChatCore", "ChatSQLite", "Cryptography", "TestSupport", grdb, grdbSQLite, logging],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ChatSearchTests",
            dependencies: [
                "ChatCluster", "ChatCore", "ChatSearch", "ChatSQLite", "HTTPClient", "MySQLClient", "RedisClient",
                "TestSupport", logging, metrics, nioCore, nioHTTP1, nioPosix, serviceLifecycle,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "BackendTests",
            dependencies: [
                "ChatCluster", "ChatCore", "ChatHTTP", "ChatSQLite", "Cryptography", "MySQLClient", "RedisClient",
                "TestSupport",
                httpTypes, logging, metrics, serviceLifecycle,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "MySQLClientTests",
            dependencies: ["CMariaDB", "MySQLClient", "Scheduling", "TestSupport", logging, serviceLifecycle],
            swiftSettings: settings
        ),
        .testTarget(
            name: "RedisClientTests",
            dependencies: ["RedisClient", "TestSupport", logging, nioCore, nioPosix, serviceLifecycle],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ChatJobsTests",
            dependencies: ["ChatCore", "ChatJobs", "RedisClient", "TestSupport", logging, metrics, serviceLifecycle],
            exclude: ["Ruby"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ChatClusterTests",
            dependencies: [
                "ChatCluster", "ChatCore", "ChatJobs", "Cryptography", "MySQLClient", "RedisClient", "TestSupport",
                logging, metrics, serviceLifecycle,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ChatHTTPTests",
            dependencies: [
                "ChatCore", "ChatHTTP", "ChatSQLite", "Cryptography", "TestSupport", "TLS",
                grdb, httpTypes, logging, nioCore, nioEmbedded, nioHTTP1, nioWebSocket, serviceLifecycle, yams,
            ],
            swiftSettings: settings
        ),
        // A process that LuciqTests start and kill.
        .executableTarget(
            name: "JobsTestWorker",
            dependencies: ["ChatJobs", "RedisClient", logging, metrics, serviceLifecycle, unixSignals],
            path: "Tests/JobsTestWorker",
            swiftSettings: settings
        ),
        .testTarget(
            name: "LuciqClientTests", dependencies: ["LuciqClient", "Scheduling", "TestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "LuciqTests",
            dependencies: [
                "ChatCore", "ChatHTTP", "Cryptography", "HTTPClient", "JobsTestWorker", "luciq", "LuciqClient",
                "Scheduling", "TestSupport",
                grdb, httpTypes, logging, nioCore, nioPosix, serviceLifecycle,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "LuciqBenchTests", dependencies: ["luciq-bench", nioCore, nioEmbedded], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
