extension Setup {
    /// The known key that is most similar to an unknown one.
    ///
    /// - Returns: nil if none is similar.
    static func nearest(to key: String) -> String? {
        // In any spelling: database.url, DATABASE_URL, --database-url.
        let words = words(of: key)
        // The cost of the distance grows with the length.
        guard words.count <= 64 else { return nil }
        let keys = keys.sorted()
        if let part = keys.first(where: { ("." + $0 + ".").contains("." + key + ".") }) { return part }
        let near = keys.map { (key: $0, distance: distance(words, Setup.words(of: $0))) }.min {
            $0.distance < $1.distance
        }
        return near.flatMap { $0.distance <= max(1, words.count / 4) ? $0.key : nil }
    }

    private static func words(of key: String) -> [Character] {
        let words = key.lowercased().split { !$0.isLetter && !$0.isNumber }
        return Array(words.joined(separator: "."))
    }

    /// The Levenshtein distance: how many characters must be inserted, deleted or changed.
    private static func distance(_ one: [Character], _ other: [Character]) -> Int {
        var row = Array(0...other.count)
        for (line, character) in one.enumerated() {
            var corner = row[0]
            row[0] = line + 1
            for column in other.indices {
                let changed = corner + (character == other[column] ? 0 : 1)
                corner = row[column + 1]
                row[column + 1] = min(changed, corner + 1, row[column] + 1)
            }
        }
        return row[other.count]
    }
}
