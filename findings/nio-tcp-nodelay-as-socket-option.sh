#!/usr/bin/env bash
# SwiftNIO: TCP_NODELAY given as a socket option.
#
# `ChannelOptions.socketOption` takes any `NIOBSDSocket.Option`, and `.tcp_nodelay` is one. So
# `.socketOption(.tcp_nodelay)` compiles and looks right beside `.socketOption(.so_reuseaddr)`. But it sets the option's
# number at the level of the socket, and number 1 there is another option on Linux: SO_DEBUG, which needs CAP_NET_ADMIN. A
# server that runs as root seems right, because NIO sets TCP_NODELAY by itself; one that does not loses each connection
# that it accepts. The spelling is `.tcpOption(.tcp_nodelay)`, or none.
#
# Seen with swift-nio 2.101.2, Swift 6.3.1, on Linux. Needs Swift and a few minutes to compile. As root it prints
#
#   socketOption(.tcp_nodelay) = 1 sets: SO_DEBUG 1
#
# and for another user
#
#   socketOption(.tcp_nodelay) = 1 is refused: setsockopt(…): Permission denied) (errno: 13)
#
# Ends with 0 while this is so, and with 1 when the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/Sources/Finding"
cat >"$folder/Package.swift" <<'SWIFT'
// swift-tools-version:6.0
import PackageDescription

let package = Package(
    name: "Finding",
    dependencies: [.package(url: "https://github.com/apple/swift-nio", exact: "2.101.2")],
    targets: [
        .executableTarget(
            name: "Finding",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            ])
    ])
SWIFT
cat >"$folder/Sources/Finding/main.swift" <<'SWIFT'
import Glibc
import NIOCore
import NIOPosix

let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
let listener = try await ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
let client = try await ClientBootstrap(group: group).connect(to: listener.localAddress!).get()
let debug = NIOBSDSocket.Option(rawValue: SO_DEBUG)
do {
    try await client.setOption(.socketOption(.tcp_nodelay), value: 1).get()
    let value = try await client.getOption(.socketOption(debug)).get()
    print("socketOption(.tcp_nodelay) = 1 sets: SO_DEBUG \(value)")
    exit(value == 1 ? 0 : 1)
} catch let error as IOError {
    print("socketOption(.tcp_nodelay) = 1 is refused: \(error)")
    exit(error.errnoCode == EACCES ? 0 : 1)
}
SWIFT
swift run --package-path "$folder" -c debug Finding
