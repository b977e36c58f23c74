extension String {
    /// The text on one line, without terminal control characters: text of other people may contain anything.
    ///
    /// A line break is shown as `↵`, a tab as a space, another control character as its picture (`␛`), and a character
    /// that changes the direction of text as `�`.
    var printable: String {
        guard unicodeScalars.contains(where: \.isCommand) else { return self }
        var result = String.UnicodeScalarView()
        var previous: Unicode.Scalar = " "
        for scalar in unicodeScalars {
            switch scalar {
            case "\n" where previous == "\r":
                result.removeLast()
                result.append("↵")
            case "\n", "\u{85}", "\u{2028}", "\u{2029}": result.append("↵")
            case "\t": result.append(" ")
            case "\u{7F}": result.append("␡")
            case _ where scalar.value < 0x20: result.append(Unicode.Scalar(0x2400 + scalar.value)!)
            case _ where scalar.isCommand: result.append("\u{FFFD}")
            default: result.append(scalar)
            }
            previous = scalar
        }
        return String(result)
    }

    /// A JSON text on one line, with the same value and without terminal control characters.
    ///
    /// JSON escapes the first 32 control characters, but not DEL, C1 and characters that change the direction of text.
    var printableJSON: String {
        guard unicodeScalars.contains(where: \.isCommand) else { return self }
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            if scalar.value < 0x20 {
                // Only between values: JSON forbids it inside a string.
                result.append(" ")
            } else if scalar.isCommand {
                let hex = String(scalar.value, radix: 16)
                result.append(contentsOf: ("\\u" + String(repeating: "0", count: 4 - hex.count) + hex).unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }
}

extension Unicode.Scalar {
    /// The control characters (C0, DEL, C1), the line separators, and the explicit directions of the bidirectional
    /// algorithm (UAX #9), which can make a text look like another.
    var isCommand: Bool {
        switch value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
