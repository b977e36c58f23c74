import Foundation

/// Prints a line of JSON on standard output, for scripts/bench.
func printLine(_ value: some Encodable) {
    let data = try? JSONEncoder().encode(value)  // Numbers and names always encode.
    FileHandle.standardOutput.write((data ?? Data()) + Data("\n".utf8))
}
