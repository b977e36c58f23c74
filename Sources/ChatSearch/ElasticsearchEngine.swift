package import ChatCore
import HTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import TLS

/// Elasticsearch 7.17, 8 or 9, or OpenSearch 2 or 3, as a `SearchEngine`.
///
/// Only requests that all of them document, with the same answers. Each index has two names: its own, for searches, and an
/// alias that was made with it, for writes with `require_alias`: so no write makes an index, whatever the server's
/// `action.auto_create_index` says. Nothing but the parts that are read is asked for (`filter_path`).
package struct ElasticsearchEngine: SearchEngine {
    let configuration: EngineConfiguration
    private let searches: HTTPPool
    private let writes: HTTPPool

    private static let searchesAtOnce = 16
    private static let writesAtOnce = 4
    /// Documents that one request deletes.
    private static let removedAtOnce = 5000

    /// - Throws: `TLSError.unusableFile`.
    package init(_ configuration: EngineConfiguration) throws {
        let tls = configuration.isSecure ? try TLSContext.ofEnvironment() : nil
        self.configuration = configuration
        func pool(_ most: Int) -> HTTPPool {
            HTTPPool(host: configuration.host, port: configuration.port, tls: tls, most: most)
        }
        self.searches = pool(Self.searchesAtOnce)
        self.writes = pool(Self.writesAtOnce)
    }

    /// Closes idle connections.
    package func close() {
        searches.close()
        writes.close()
    }

    package func create(_ generation: SearchGeneration.ID) async throws(SearchEngineFailure) {
        let made = try await call(
            .PUT, "/\(name(of: generation))",
            IndexDefinition(generation: generation, writeAlias: writeAlias(generation)))
        // Made before, by us: nobody else knows the name.
        if made.status != 200, made.errorType != "resource_already_exists_exception" { throw made.failure }
        let marked = try await call(
            .PUT, "/\(writeAlias(generation))/_create/\(MarkerDocument.id)?\(Self.markerRouting)&require_alias=true",
            MarkerDocument(number: 1))
        if marked.status != 201, marked.status != 409 { throw marked.failure }
        _ = try await refresh(generation)
    }

    package func marker(of generation: SearchGeneration.ID) async throws(SearchEngineFailure) -> SearchMarker? {
        let answer = try await call(
            .GET,
            "/\(name(of: generation))/_doc/\(MarkerDocument.id)?\(Self.markerRouting)&filter_path=\(WrittenMarker.path)"
        )
        if answer.status == 404 { return nil }
        guard answer.status == 200 else { throw answer.failure }
        return try answer.decoded(WrittenMarker.self).marker
    }

    package func put(
        _ documents: [SearchDocument], into generation: SearchGeneration.ID
    ) async throws(SearchEngineFailure) -> [SearchDocument.Outcome] {
        var body = ByteBuffer()
        for document in documents { document.writeBulk(to: &body) }
        let answer = try await call(
            .POST, "/\(writeAlias(generation))/_bulk?require_alias=true&filter_path=\(BulkAnswer.path)", body: body,
            type: "application/x-ndjson")
        if answer.status == 413 {
            // Some proxies allow less than the engine does.
            guard documents.count > 1 else { return [.refused(reason: "it is too long for the server")] }
            let half = documents.count / 2
            let first = try await put(Array(documents[..<half]), into: generation)
            return try await first + put(Array(documents[half...]), into: generation)
        }
        guard answer.status == 200 else { throw answer.failure }
        return try answer.decoded(BulkAnswer.self).outcomes
    }

    package func mark(
        _ generation: SearchGeneration.ID, after marker: SearchMarker
    ) async throws(SearchEngineFailure) -> SearchMarker? {
        let condition = "if_seq_no=\(marker.sequence)&if_primary_term=\(marker.term)"
        let answer = try await call(
            .PUT,
            "/\(writeAlias(generation))/_doc/\(MarkerDocument.id)?\(Self.markerRouting)&\(condition)"
                + "&require_alias=true&filter_path=\(WrittenMarker.path),error.type",
            MarkerDocument(number: marker.number + 1))
        if answer.status == 409 { return nil }
        guard answer.status == 200 else { throw answer.failure }
        let next = try answer.decoded(WrittenMarker.self).marker
        guard next.number == marker.number + 1, try await refresh(generation) else {
            throw .unavailable("A refresh did not reach all copies.")
        }
        return next
    }

    /// - Returns: whether it reached all copies that there are.
    private func refresh(_ generation: SearchGeneration.ID) async throws(SearchEngineFailure) -> Bool {
        let answer = try await call(.POST, "/\(name(of: generation))/_refresh?filter_path=_shards")
        guard answer.status == 200 else { throw answer.failure }
        // Copies that are not assigned to a node count in the total and answer no search.
        return try answer.decoded(ShardsAnswer.self).shards.failed == 0
    }

    package func candidates(
        _ request: EngineCandidates.Request, in generation: SearchGeneration.ID
    ) async throws(SearchEngineFailure) -> EngineCandidates {
        let answer = try await call(
            .POST,
            "/\(name(of: generation))/_search?routing=\(request.tenant.rawValue)&filter_path=\(SearchAnswer.path)",
            // It should answer that it is late before we stop waiting.
            CandidatesQuery(request: request, timeout: configuration.searchTimeout * 0.8), over: searches,
            within: configuration.searchTimeout)
        let places = try answer.searched().places
        let marker = places.first.flatMap { $0.createdAt == MarkerDocument.time ? $0.number.rawValue : nil }
        return EngineCandidates(
            marker: marker, places: places.filter { $0.createdAt != MarkerDocument.time })
    }

    package func publish(_ generation: SearchGeneration.ID) async throws(SearchEngineFailure) {
        let held = try await call(.GET, "/_alias/\(configuration.index)")
        guard held.status == 200 || held.status == 404 else { throw held.failure }
        let holders = held.status == 200 ? Set(try held.decoded(AliasAnswer.self).keys) : []
        guard holders != [name(of: generation)] else { return }
        let answer = try await call(
            .POST, "/_aliases",
            AliasActions(
                alias: configuration.index, from: holders.subtracting([name(of: generation)]), to: name(of: generation))
        )
        guard answer.status == 200 else { throw answer.failure }
    }

    package func drop(_ generation: SearchGeneration.ID) async throws(SearchEngineFailure) {
        let answer = try await call(.DELETE, "/\(name(of: generation))")
        guard answer.status == 200 || answer.status == 404 else { throw answer.failure }
    }

    package func numbers(
        of chat: Chat.ID, in tenant: Tenant.ID, after number: Int64, limit: Int, _ generation: SearchGeneration.ID
    ) async throws(SearchEngineFailure) -> [Int64] {
        let answer = try await call(
            .POST, "/\(name(of: generation))/_search?routing=\(tenant.rawValue)&filter_path=\(SearchAnswer.path)",
            NumbersQuery(chat: chat, after: number, limit: limit))
        return try answer.searched().sorts.compactMap(\.first)
    }

    package func remove(
        _ tenant: Tenant.ID, from generation: SearchGeneration.ID
    ) async throws(SearchEngineFailure) -> Bool {
        let answer = try await call(
            .POST,
            "/\(name(of: generation))/_delete_by_query?routing=\(tenant.rawValue)&max_docs=\(Self.removedAtOnce)"
                + "&conflicts=proceed&refresh=true&filter_path=deleted,error.type",
            TenantQuery(tenant: tenant))
        if answer.status == 404 { return false }
        guard answer.status == 200 else { throw answer.failure }
        return try answer.decoded(RemovedAnswer.self).deleted > 0
    }

    package func tenant(
        after id: Tenant.ID?, in generation: SearchGeneration.ID
    ) async throws(SearchEngineFailure) -> Tenant.ID? {
        let answer = try await call(
            .POST, "/\(name(of: generation))/_search?filter_path=\(SearchAnswer.path)", NextTenantQuery(after: id))
        if answer.status == 404 { return nil }
        return try answer.searched().sorts.first?.first.map { Tenant.ID($0) }
    }

    package func count(of generation: SearchGeneration.ID) async throws(SearchEngineFailure) -> Int64 {
        let answer = try await call(.GET, "/\(name(of: generation))/_count?filter_path=count,_shards")
        guard answer.status == 200 else { throw answer.failure }
        return try answer.decoded(CountAnswer.self).count
    }

    // MARK: Requests

    /// The name of a generation's index.
    package func name(of generation: SearchGeneration.ID) -> String { "\(configuration.index)-\(generation.text)" }

    private func writeAlias(_ generation: SearchGeneration.ID) -> String { name(of: generation) + "-write" }

    /// Every index has one shard, so any routing finds it.
    private static let markerRouting = "routing=0"

    private func call(
        _ method: HTTPMethod, _ target: String, _ json: some JSONWritable
    ) async throws(SearchEngineFailure) -> EngineAnswer {
        try await call(method, target, json, over: writes, within: configuration.timeout)
    }

    private func call(
        _ method: HTTPMethod, _ target: String, _ json: some JSONWritable, over pool: HTTPPool, within time: Duration
    ) async throws(SearchEngineFailure) -> EngineAnswer {
        var body = ByteBuffer()
        body.writeJSON(json)
        return try await call(method, target, body: body, type: "application/json", over: pool, within: time)
    }

    private func call(
        _ method: HTTPMethod, _ target: String, body: ByteBuffer? = nil, type: String = "application/json",
        over pool: HTTPPool? = nil, within time: Duration? = nil
    ) async throws(SearchEngineFailure) -> EngineAnswer {
        var headers: HTTPHeaders = ["Host": configuration.authority, "User-Agent": "luciq"]
        if body != nil { headers.add(name: "Content-Type", value: type) }
        if let authorization = configuration.authorization { headers.add(name: "Authorization", value: authorization) }
        let head = HTTPRequestHead(
            version: .http1_1, method: method, uri: configuration.path + target, headers: headers)
        do {
            let answer = try await (pool ?? writes).call(
                head, body: body, until: .now + (time ?? configuration.timeout), mostBytes: EngineAnswer.most)
            return EngineAnswer(status: answer.status, body: answer.body)
        } catch {
            throw SearchEngineFailure(losing: error)
        }
    }
}

extension SearchEngineFailure {
    init(losing error: any Error) {
        switch error {
        case is HTTPPool.Busy: self = .unavailable("Too many requests are under way.")
        case is HTTPPool.TooLong: self = .unavailable("An answer is too long.")
        case is HTTPConnection.Silence: self = .late
        case is HTTPConnection.NoAnswer, ChannelError.connectTimeout:
            self = .unavailable("The search engine cannot be reached in time.")
        case is CancellationError: self = .unavailable("The request was cancelled.")
        case TLSError.untrusted: self = .refused("The search engine's certificate is not to be trusted.")
        case TLSError.otherHost: self = .refused("The search engine's certificate is another host's.")
        case is NIOConnectionError, is IOError: self = .unavailable("The search engine cannot be reached.")
        default: self = .unavailable("The connection to the search engine was lost.")
        }
    }
}
