import ChatCore
import Foundation
import Synchronization
import TestSupport
import Testing

/// Feeding an engine that does not take what it is sent.
struct EngineRefusalTests {
    /// 429 and 503, of items and of whole requests, and answers that break off.
    @Test(arguments: BackendKind.allCases)
    func anEngineWithoutCapacityGetsOnlyTheRestAgain(_ kind: BackendKind) async throws {
        let real = try await OsmemServer.start()
        let count = Mutex(0)
        let documents = Mutex<[String: Int]>([:])
        let stub = try await StubEngine(before: real.port) { request in
            guard request.target.contains("_bulk") else { return .forwarded }
            let lines = request.body.split(separator: "\n")
            let turn = count.withLock { count in
                count += 1
                return count
            }
            switch turn {
            case 1: return .json(429, "")
            case 2: return .json(503, "")
            case 3: return .cutOff(#"{"items":[{"index":{"status":201}},"#)
            case 4:
                // The first half is in, by its word; the rest is not.
                let items = (0..<lines.count / 2).map {
                    $0 < lines.count / 4 ? #"{"index":{"status":201}}"# : #"{"index":{"status":429}}"#
                }
                documents.withLock {
                    for index in 0..<lines.count / 4 { $0[String(lines[index * 2]), default: 0] += 100 }
                }
                return .json(200, #"{"items":[\#(items.joined(separator: ","))]}"#)
            default:
                documents.withLock {
                    for index in 0..<lines.count / 2 { $0[String(lines[index * 2]), default: 0] += 1 }
                }
                return .forwarded
            }
        }
        try await EngineStage.run(kind, url: stub.url) { stage in
            let chat = try await stage.makeChat()
            try await stage.send((1...100).map { "needle \($0)" }, to: chat)
            try await stage.feed()
            let sent = documents.withLock(\.self)
            #expect(sent.count == 100)
            #expect(sent.values.count { $0 == 100 } == 50 && sent.values.count { $0 == 1 } == 50)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aRefusedDocumentEndsTheIndexAndDoesNotSpin(_ kind: BackendKind) async throws {
        let real = try await OsmemServer.start()
        let refuses = Mutex(true)
        let created = Mutex(0)
        let stub = try await StubEngine(before: real.port) { request in
            if request.target.contains("_create") { created.withLock { $0 += 1 } }
            guard request.target.contains("_bulk"), refuses.withLock(\.self) else { return .forwarded }
            let item = #"{"index":{"status":400,"error":{"type":"mapper_parsing_exception"}}}"#
            let items = Array(repeating: item, count: request.documents)
            return .json(200, #"{"items":[\#(items.joined(separator: ","))]}"#)
        }
        try await EngineStage.run(kind, url: stub.url) { stage in
            let chat = try await stage.makeChat()
            try await stage.send(["needle"], to: chat)
            var limits = EngineStage.limits
            limits.firstRebuild = .seconds(3600)
            limits.longestRebuild = .seconds(7200)
            try await stage.whileFed(limits) {
                try await eventually("the index is given up") {
                    try await stage.backend.generations.generations().isEmpty && created.withLock { $0 == 1 }
                }
                let found = try await stage.search("needle")
                #expect(found.fellBack && found.hits.count == 1)
            }
            #expect(created.withLock(\.self) == 1)
            refuses.withLock { $0 = false }
            try await stage.feed()
            #expect(try await !stage.search("needle").fellBack)
        }
    }
}
