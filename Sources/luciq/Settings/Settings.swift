import Configuration
import Foundation
import SystemPackage

/// What was configured, from the first of these that says it: flags, environment, file, defaults.
struct Settings {
    /// A value that cannot be used; the sentence names it and what it should be.
    struct Invalid: Error, CustomStringConvertible {
        let description: String
    }

    private let sources: [(name: String, provider: any ConfigProvider)]

    /// - Parameters:
    ///   - flags: by environment name.
    ///   - file: a JSON file; without one, `LUCIQ_CONFIG` may name it.
    /// - Throws: `Invalid` when the file cannot be read.
    init(
        flags: [String: String],
        file: String?,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) async throws {
        // A variable that is set to nothing is as good as not set.
        let environment = environment.filter { !$0.value.isEmpty }
        var sources: [(String, any ConfigProvider)] = [
            ("command line", EnvironmentVariablesProvider(environmentVariables: flags)),
            ("environment", EnvironmentVariablesProvider(environmentVariables: environment)),
        ]
        if let file = file ?? environment["LUCIQ_CONFIG"] {
            do {
                let provider = try await FileProvider<JSONSnapshot>(filePath: FilePath(file))
                sources.append(("file \(file)", provider))
            } catch {
                throw Invalid(description: "Cannot read the settings in \(file): it must be a readable JSON object.")
            }
        }
        self.sources = sources
    }

    func text(_ setting: Setting<String>) throws -> String {
        try value(setting, .string, "text", \.asString) ?? setting.defaultValue
    }

    /// Whether something other than the default was configured.
    func isSet(_ setting: Setting<String>) throws -> Bool { try value(setting, .string, "text", \.asString) != nil }

    func number(_ setting: Setting<Int>, in range: ClosedRange<Int>) throws -> Int {
        let wanted = "a number from \(range.lowerBound) to \(range.upperBound)"
        return try value(setting, .int, wanted) { content in
            content.asInt.flatMap { range.contains($0) ? $0 : nil }
        } ?? setting.defaultValue
    }

    func seconds(_ setting: Setting<Int>) throws -> Duration { .seconds(try number(setting, in: 1...3600)) }

    func choice(_ setting: Setting<String>, of choices: [String]) throws -> String {
        try value(setting, .string, "one of " + choices.joined(separator: ", ")) { content in
            content.asString.flatMap { choices.contains($0) ? $0 : nil }
        } ?? setting.defaultValue
    }

    /// - Parameter read: nil for a value that will not do.
    private func value<Value, Result>(
        _ setting: Setting<Value>,
        _ type: ConfigType,
        _ wanted: String,
        _ read: (ConfigContent) -> Result?
    ) throws -> Result? {
        let key = AbsoluteConfigKey(ConfigKey(setting.key))
        for (name, provider) in sources {
            let content: ConfigContent
            do {
                guard let value = try provider.value(forKey: key, type: type).value else { continue }
                content = value.content
            } catch {
                throw Invalid(description: "\(setting.variable) (\(name)) must be \(wanted).")
            }
            guard let result = read(content) else {
                throw Invalid(description: "\(setting.variable) (\(name)) must be \(wanted).")
            }
            return result
        }
        return nil
    }
}

extension ConfigContent {
    fileprivate var asString: String? { if case .string(let value) = self { value } else { nil } }
    fileprivate var asInt: Int? { if case .int(let value) = self { value } else { nil } }
}
