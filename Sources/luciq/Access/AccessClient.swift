import ChatCore
import Foundation
import NIOCore
import NIOHTTP1

/// Calls of the API for applications and what is in them.
struct AccessClient {
    let server: ServerClient

    /// - Parameters:
    ///   - body: sent as JSON.
    ///   - missing: what there is not after a 404.
    /// - Returns: the parsed answer, and the path of the next page.
    func call<Answer: Decodable>(
        _ method: HTTPMethod, _ path: String, _ body: (any Encodable)? = nil, missing: String, as type: Answer.Type
    ) async throws -> (value: Answer, next: String?) {
        var headers: HTTPHeaders = [:]
        var bytes: ByteBuffer?
        if let body {
            let json = try JSONEncoder().encode(body)
            headers = ["Content-Type": "application/json", "Content-Length": String(json.count)]
            bytes = ByteBuffer(bytes: json)
        }
        let answer = try await server.whole(
            server.execute(method, server.address.path + path, headers, bytes))
        guard (200...299).contains(answer.status),
            let value = try? JSONDecoder().decode(Answer.self, from: Data(answer.body))
        else { throw answer.failure(at: server.address, missing: missing) }
        return (value, answer.next)
    }

    /// The items of a list, or those of its first page.
    func list<Item: Decodable>(
        _ path: String, isWhole: Bool, missing: String, of type: Item.Type
    ) async throws -> [Item] {
        var items: [Item] = []
        var next: String? = path
        while let path = next {
            let page = try await call(.GET, path, missing: missing, as: [Item].self)
            items += page.value
            next = isWhole ? page.next : nil
        }
        return items
    }
}

/// Any JSON value, to be shown as it came.
enum JSONValue: Codable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case text(String)
    case array([JSONValue])
    case object([String: JSONValue])

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {  // Each `try?` asks whether it is of that type.
            self = .bool(bool)
        } else if let integer = try? value.decode(Int64.self) {
            self = .integer(integer)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let array = try? value.decode([JSONValue].self) {
            self = .array(array)
        } else {
            self = .object(try value.decode([String: JSONValue].self))
        }
    }

    /// Null unless it is an object with that member.
    subscript(_ name: String) -> JSONValue {
        if case .object(let members) = self { members[name] ?? .null } else { .null }
    }

    func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case .bool(let bool): try value.encode(bool)
        case .integer(let integer): try value.encode(integer)
        case .number(let number): try value.encode(number)
        case .text(let text): try value.encode(text)
        case .array(let array): try value.encode(array)
        case .object(let members): try value.encode(members)
        }
    }
}
