import ChatSearch
import TLS

extension Settings {
    /// The search engine; nil for none.
    func engine() throws -> ElasticsearchEngine? {
        let url = try text(Setup.elasticsearchURL)
        let (key, index) = (try text(Setup.elasticsearchAPIKey), try text(Setup.elasticsearchIndex))
        guard !url.isEmpty else {
            guard key.isEmpty else {
                throw Invalid(description: "ELASTICSEARCH_API_KEY needs an ELASTICSEARCH_URL.")
            }
            return nil
        }
        do {
            return try ElasticsearchEngine(EngineConfiguration(url: url, apiKey: key, index: index))
        } catch let invalid as EngineConfiguration.Invalid {
            throw Invalid(description: "\(Self.variable(of: invalid).variable): \(invalid.description)")
        } catch is TLSError {
            throw Invalid(description: "SSL_CERT_FILE must name a file of certificates.")
        }
    }

    private static func variable(of invalid: EngineConfiguration.Invalid) -> Setting<String> {
        switch invalid.part {
        case .url: Setup.elasticsearchURL
        case .apiKey: Setup.elasticsearchAPIKey
        case .index: Setup.elasticsearchIndex
        }
    }
}
