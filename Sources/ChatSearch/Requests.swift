import ChatCore
import NIOCore

/// The index of a generation. The text is what messages fold to, with two characters after it that no query has, so that
/// every character of a message begins a gram of three.
struct IndexDefinition: JSONWritable {
    let generation: SearchGeneration.ID
    let writeAlias: String

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member(
                "settings",
                Members { json in
                    json.member(
                        "index",
                        Members { json in
                            // One shard: the marker must be in the same one as what it vouches for.
                            json.member("number_of_shards", 1)
                            json.member("auto_expand_replicas", "0-1")
                            json.member("refresh_interval", "-1")
                        })
                    json.member(
                        "analysis",
                        Members { json in
                            json.member(
                                "tokenizer",
                                Members { json in
                                    json.member(
                                        "grams",
                                        Members { json in
                                            json.member("type", "ngram")
                                            json.member("min_gram", Int64(Grams.length))
                                            json.member("max_gram", Int64(Grams.length))
                                        })
                                })
                            json.member(
                                "analyzer",
                                Members { json in
                                    json.member(
                                        "grams",
                                        Members { json in
                                            json.member("type", "custom")
                                            json.member("tokenizer", "grams")
                                        })
                                })
                        })
                })
            json.member(
                "mappings",
                Members { json in
                    json.member("dynamic", "strict")
                    json.member(
                        "_meta",
                        Members { json in
                            json.member("generation", generation.text)
                            json.member("fold_version", Int64(SearchFold.version))
                        })
                    json.member("_source", Members { $0.member("enabled", false) })
                    json.member("_routing", Members { $0.member("required", true) })
                    json.member(
                        "properties",
                        Members { json in
                            json.member(
                                "text",
                                Members { json in
                                    json.member("type", "text")
                                    json.member("analyzer", "grams")
                                    json.member("index_options", "docs")
                                    json.member("norms", false)
                                })
                            let number = Members { $0.member("type", "long") }
                            json.member("application", number)
                            json.member("chat", number)
                            json.member("number", number)
                            json.member("created_at", number)
                        })
                })
            json.member(
                "aliases",
                Members { json in
                    json.member(named: writeAlias, Members { $0.member("is_write_index", true) })
                })
        }
    }
}

/// The marker's document. Its time puts it before every message, so that each answer begins with it; its number is the
/// marker's.
struct MarkerDocument: JSONWritable {
    static let id = "marker"
    /// Later than a message's time can be.
    static let time = Timestamp(microseconds: 9_000_000_000_000_000_000)

    let number: Int64

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("application", 0)
            json.member("chat", 0)
            json.member("number", number)
            json.member("created_at", Self.time.microseconds)
        }
    }
}

extension SearchDocument {
    /// Two lines of a bulk request.
    func writeBulk(to body: inout ByteBuffer) {
        body.writeJSON(
            Members { json in
                json.member(
                    "index",
                    Members { json in
                        json.member("_id", "\(chat.rawValue)-\(number.rawValue)")
                        json.member("routing", "\(tenant.rawValue)")
                        json.member("version", revision)
                        // An equal revision replaces: after a restore of our database, a number may have another message.
                        json.member("version_type", "external_gte")
                    })
            })
        body.writeInteger(UInt8(ascii: "\n"))
        body.writeJSON(
            Members { json in
                json.member("application", tenant.rawValue)
                json.member("chat", chat.rawValue)
                json.member("number", number.rawValue)
                json.member("created_at", createdAt.microseconds)
                json.member("text", folded + Grams.end)
            })
        body.writeInteger(UInt8(ascii: "\n"))
    }
}

/// The grams of a text: three characters each, as the index has them.
enum Grams {
    static let length = 3
    static let end = "\u{1}\u{1}"
    /// The most that a query has. Fewer only make more candidates.
    static let most = 64

    /// - Returns: distinct ones, in their order; empty for a text of fewer than three characters.
    static func of(_ text: String) -> [String] {
        let characters = Array(text.unicodeScalars)
        guard characters.count >= length else { return [] }
        var (grams, seen): ([String], Set<String>) = ([], [])
        for start in 0...characters.count - length where grams.count < most {
            var gram = String.UnicodeScalarView()
            gram.append(contentsOf: characters[start..<start + length])
            // Compared by characters: Swift's own comparison of strings would make canonically equal ones one.
            if seen.insert(gram.map { String($0.value, radix: 16) }.joined(separator: " ")).inserted {
                grams.append(String(gram))
            }
        }
        return grams
    }
}

/// A search for candidates, and for the marker with them: one request, so that one copy of the index answers both from one
/// point in time.
struct CandidatesQuery: JSONWritable {
    let request: EngineCandidates.Request
    let timeout: Duration

    func write(to json: inout JSONWriter) {
        json.object { json in
            // The marker is one hit more.
            json.member("size", Int64(request.limit + 1))
            json.member("timeout", "\(Int64(timeout / .milliseconds(1)))ms")
            json.member("track_total_hits", false)
            json.member("_source", false)
            json.member(
                "query",
                Members { json in
                    json.member(
                        "bool",
                        Members { json in
                            json.member(
                                "filter",
                                Elements([
                                    Members { json in
                                        json.member(
                                            "bool",
                                            Members { json in
                                                json.member(
                                                    "should",
                                                    Elements([
                                                        Members {
                                                            $0.member(
                                                                "ids",
                                                                Members { $0.member("values", [MarkerDocument.id]) })
                                                        },
                                                        Members { json in
                                                            json.member(
                                                                "bool",
                                                                Members { $0.member("filter", Elements(conditions)) })
                                                        },
                                                    ]))
                                                json.member("minimum_should_match", 1)
                                            })
                                    }
                                ]))
                        })
                })
            json.member(
                "sort",
                Elements(
                    ["created_at", "chat", "number"].map { field in
                        Members { $0.member(named: field, "desc") }
                    }))
        }
    }

    private var conditions: [Members] {
        let text = String(decoding: request.needle.bytes, as: UTF8.self)
        let grams = Grams.of(text)
        var conditions = [Self.term("application", request.tenant.rawValue)]
        conditions += grams.map { gram in Members { $0.member("term", Members { $0.member("text", gram) }) } }
        if grams.isEmpty { conditions.append(Members { $0.member("prefix", Members { $0.member("text", text) }) }) }
        if let after = request.after { conditions.append(Self.range("created_at", "gt", after.microseconds)) }
        if let before = request.before { conditions.append(Self.range("created_at", "lt", before.microseconds)) }
        if let place = request.place {
            conditions.append(Self.range("created_at", "lte", place.createdAt.microseconds))
            conditions.append(
                Self.any([
                    [Self.range("created_at", "lt", place.createdAt.microseconds)],
                    [Self.range("chat", "lt", place.chat.rawValue)],
                    [
                        Self.term("chat", place.chat.rawValue),
                        Self.range("number", "lt", place.number.rawValue),
                    ],
                ]))
        }
        return conditions
    }

    static func term(_ field: String, _ value: Int64) -> Members {
        Members { $0.member("term", Members { $0.member(named: field, value) }) }
    }

    static func range(_ field: String, _ bound: String, _ value: Int64) -> Members {
        Members { json in
            json.member("range", Members { $0.member(named: field, Members { $0.member(named: bound, value) }) })
        }
    }

    private static func any(_ choices: [[Members]]) -> Members {
        Members { json in
            json.member(
                "bool",
                Members { json in
                    json.member(
                        "should",
                        Elements(
                            choices.map { choice in
                                Members { $0.member("bool", Members { $0.member("filter", Elements(choice)) }) }
                            }))
                    json.member("minimum_should_match", 1)
                })
        }
    }
}

/// The messages of a chat, in order.
struct NumbersQuery: JSONWritable {
    let chat: Chat.ID
    let after: Int64
    let limit: Int

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("size", Int64(limit))
            json.member("track_total_hits", false)
            json.member("_source", false)
            json.member(
                "query",
                Members { json in
                    json.member(
                        "bool",
                        Members { json in
                            json.member(
                                "filter",
                                Elements([
                                    CandidatesQuery.term("chat", chat.rawValue),
                                    CandidatesQuery.range("number", "gt", after),
                                ]))
                        })
                })
            json.member("sort", Elements([Members { $0.member("number", "asc") }]))
        }
    }
}

/// All documents of an application.
struct TenantQuery: JSONWritable {
    let tenant: Tenant.ID

    func write(to json: inout JSONWriter) {
        json.object { json in json.member("query", CandidatesQuery.term("application", tenant.rawValue)) }
    }
}

/// One document of the application with the next id.
struct NextTenantQuery: JSONWritable {
    let after: Tenant.ID?

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("size", 1)
            json.member("track_total_hits", false)
            json.member("_source", false)
            // 0 is the marker's.
            json.member("query", CandidatesQuery.range("application", "gt", after?.rawValue ?? 0))
            json.member("sort", Elements([Members { $0.member("application", "asc") }]))
        }
    }
}

/// Moves the alias to one index, at once.
struct AliasActions: JSONWritable {
    let alias: String
    let holders: Set<String>
    let index: String

    init(alias: String, from holders: Set<String>, to index: String) {
        self.alias = alias
        self.holders = holders
        self.index = index
    }

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("actions", Elements(holders.sorted().map { action("remove", $0) } + [action("add", index)]))
        }
    }

    private func action(_ name: String, _ index: String) -> Members {
        Members { json in
            json.member(
                named: name,
                Members { json in
                    json.member("index", index)
                    json.member("alias", alias)
                })
        }
    }
}

/// An object, written by a closure.
struct Members: JSONWritable {
    private let members: (inout JSONWriter) -> Void

    init(_ members: @escaping (inout JSONWriter) -> Void) { self.members = members }

    func write(to json: inout JSONWriter) { json.object(members) }
}

/// An array of objects.
struct Elements: JSONWritable {
    private let elements: [Members]

    init(_ elements: [Members]) { self.elements = elements }

    func write(to json: inout JSONWriter) { json.array { json in for element in elements { json.element(element) } } }
}
