import ChatCore
import Foundation
import NIOCore

/// An answer of the engine, read whole.
struct EngineAnswer {
    /// The most bytes of one.
    static let most = 8 << 20

    let status: Int
    let body: ByteBuffer

    /// Only the type of an error: its reason may quote a message.
    var errorType: String? { (try? decoded(ErrorAnswer.self))?.error?.type }

    /// What an unexpected status means.
    var failure: SearchEngineFailure {
        let type = errorType
        switch (status, type) {
        case (404, "index_not_found_exception"), (404, nil): return .missing
        case (401, _), (403, _): return .refused("The search engine refuses the credentials (\(status)).")
        // A proxy has waited for it.
        case (408, _), (504, _): return .late
        case (429, _), (500..., _):
            return .unavailable("The search engine cannot do it now (\(Self.shown(status, type))).")
        default: return .refused("The search engine refuses the request (\(Self.shown(status, type))).")
        }
    }

    private static func shown(_ status: Int, _ type: String?) -> String {
        // A server that is no engine may answer anything.
        let isName = type?.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F } ?? false
        return type.map { isName && $0.utf8.count <= 64 ? "\(status), \($0)" : "\(status)" } ?? "\(status)"
    }

    /// - Throws: `.unavailable` for something else than expected: the answer may be cut off.
    func decoded<Value: Decodable>(_ type: Value.Type) throws(SearchEngineFailure) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(body.readableBytesView))
        } catch {
            throw .unavailable("The search engine's answer cannot be read.")
        }
    }

    /// The answer to a search.
    ///
    /// - Throws: `.incomplete` if it is only a part of the whole.
    func searched() throws(SearchEngineFailure) -> SearchAnswer {
        guard status == 200 else { throw failure }
        let answer = try decoded(SearchAnswer.self)
        guard !answer.timedOut, answer.terminatedEarly != true, answer.shards.isWhole else {
            throw .incomplete
        }
        return answer
    }
}

struct ErrorAnswer: Decodable {
    struct Error: Decodable { let type: String? }

    let error: Error?
}

/// How many copies of the index took part.
struct Shards: Decodable {
    let total: Int
    let successful: Int
    let failed: Int

    var isWhole: Bool { failed == 0 && total > 0 && successful == total }
}

struct ShardsAnswer: Decodable {
    let shards: Shards

    private enum CodingKeys: String, CodingKey { case shards = "_shards" }
}

struct CountAnswer: Decodable { let count: Int64 }

/// A marker as it was written. Its version rises by one with each write, so it is the number.
struct WrittenMarker: Decodable {
    static let path = "_version,_seq_no,_primary_term"

    let version: Int64
    let sequence: Int64
    let term: Int64

    private enum CodingKeys: String, CodingKey {
        case version = "_version"
        case sequence = "_seq_no"
        case term = "_primary_term"
    }

    var marker: SearchMarker { SearchMarker(number: version, sequence: sequence, term: term) }
}

struct BulkAnswer: Decodable {
    static let path = "items.*.status,items.*.error.type,error.type"

    struct Item: Decodable {
        let status: Int
        let error: ErrorAnswer.Error?

        var outcome: SearchDocument.Outcome {
            switch (status, error?.type) {
            case (200..<300, _): .stored
            // It holds a later revision.
            case (409, _): .stored
            case (404, _): .missing
            case (429, _), (500..., _): .busy
            default: .refused(reason: error?.type ?? "status \(status)")
            }
        }
    }

    /// Each with one member, the operation.
    let items: [[String: Item]]

    var outcomes: [SearchDocument.Outcome] { items.map { $0.values.first?.outcome ?? .busy } }
}

struct SearchAnswer: Decodable {
    static let path = "timed_out,terminated_early,_shards,hits.hits.sort,error.type"

    struct Hits: Decodable {
        struct Hit: Decodable { let sort: [Int64] }

        let hits: [Hit]?
    }

    let timedOut: Bool
    let terminatedEarly: Bool?
    let shards: Shards
    /// Left out by `filter_path` if there are none.
    let hits: Hits?

    private enum CodingKeys: String, CodingKey {
        case timedOut = "timed_out"
        case terminatedEarly = "terminated_early"
        case shards = "_shards"
        case hits
    }

    var sorts: [[Int64]] { (hits?.hits ?? []).map(\.sort) }

    /// Of hits that are sorted by time, chat and number.
    var places: [SearchPlace] {
        sorts.filter { $0.count == 3 }.map {
            SearchPlace(
                createdAt: Timestamp(microseconds: $0[0]), chat: Chat.ID($0[1]), number: Message.Number($0[2]))
        }
    }
}

struct RemovedAnswer: Decodable { let deleted: Int64 }

/// The indexes of an alias.
typealias AliasAnswer = [String: AliasHolder]

struct AliasHolder: Decodable {}
