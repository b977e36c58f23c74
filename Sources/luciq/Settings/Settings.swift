import Foundation

/// The configuration: the first value of flags, environment, file and defaults.
struct Settings {
    /// An invalid setting; the sentence names it and the valid values.
    struct Invalid: Error, CustomStringConvertible {
        let description: String
    }

    /// Values by the names of their variables.
    private let sources: [(name: String, values: [String: SettingValue])]

    /// - Parameters:
    ///   - flags: by environment name.
    ///   - file: a JSON file; without one, `LUCIQ_CONFIG` may name it.
    /// - Throws: `Invalid` if the file cannot be read or has an unknown setting.
    init(
        flags: [String: String],
        file: String?,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws {
        // An empty variable counts as not set.
        let environment = environment.filter { !$0.value.isEmpty }
        var sources = [
            ("command line", flags.mapValues { SettingValue.word($0) }),
            ("environment", environment.mapValues { SettingValue.word($0) }),
        ]
        if let file = file ?? environment["LUCIQ_CONFIG"] {
            sources.append(("file \(file)", try SettingsFile.read(file)))
        }
        self.sources = sources
    }

    func text(_ setting: Setting<String>) throws -> String {
        try value(setting, "text", \.asText) ?? setting.defaultValue
    }

    /// Whether something other than the default was configured.
    func isSet(_ setting: Setting<String>) throws -> Bool { try value(setting, "text", \.asText) != nil }

    func number(_ setting: Setting<Int>, in range: ClosedRange<Int>) throws -> Int {
        let wanted = "a number from \(range.lowerBound) to \(range.upperBound)"
        return try value(setting, wanted) { value in
            value.asNumber.flatMap { range.contains($0) ? $0 : nil }
        } ?? setting.defaultValue
    }

    func seconds(_ setting: Setting<Int>) throws -> Duration { .seconds(try number(setting, in: 1...3600)) }

    func choice(_ setting: Setting<String>, of choices: [String]) throws -> String {
        try value(setting, "one of " + choices.joined(separator: ", ")) { value in
            value.asText.flatMap { choices.contains($0) ? $0 : nil }
        } ?? setting.defaultValue
    }

    /// Nil if it is not set.
    func flag(_ setting: Setting<String>) throws -> Bool? { try value(setting, "true or false", \.asFlag) }

    /// - Parameter read: returns nil for an invalid value.
    private func value<Value, Result>(
        _ setting: Setting<Value>, _ wanted: String, _ read: (SettingValue) -> Result?
    ) throws -> Result? {
        guard let (name, values) = sources.first(where: { $0.values[setting.variable] != nil }) else { return nil }
        guard let result = values[setting.variable].flatMap(read) else {
            throw Invalid(description: "\(setting.variable) (\(name)) must be \(wanted).")
        }
        return result
    }
}
