import Foundation

/// Rows and columns for people, no wider than the terminal.
struct Table {
    private let columns: [String]
    private var rows: [[String]] = []

    init(_ columns: String...) { self.init(columns) }

    init(_ columns: [String]) { self.columns = columns }

    mutating func add(_ cells: String...) { add(cells) }

    mutating func add(_ cells: [String]) { rows.append(cells.map(\.printable)) }

    /// - Parameter width: in characters; the widest columns are cut until all fit. Nil for no limit.
    func text(width: Int? = Terminal.width) -> String {
        let all = [columns] + rows
        var widths = columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        if let width {
            let gaps = 2 * (widths.count - 1)
            while widths.reduce(gaps, +) > width, let widest = widths.max(), widest > 8 {
                widths[widths.firstIndex(of: widest)!] -= 1
            }
        }
        return all.map { cells in
            let line = zip(cells, widths).map { cell, width in
                let cut = cell.count > width ? cell.prefix(width - 1) + "…" : cell[...]
                return cut + String(repeating: " ", count: width - cut.count)
            }.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}
