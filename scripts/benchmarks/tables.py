"""Markdown tables, aligned so that their source reads well."""


def aligned(lines):
    """A table of lines of cells. The first line is the heading; the first column is aligned left, the others right."""
    widths = [max(3, *map(len, column)) for column in zip(*lines)]
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    padded = ([f"{cell:{'>' if at else '<'}{widths[at]}}" for at, cell in enumerate(line)]
              for line in (lines[0], rule, *lines[1:]))
    return "".join(f"| {' | '.join(line)} |\n" for line in padded)


def mark(row):
    return {True: "✓", False: "✗"}.get(row.get("met"), "")


def markdown(columns, rows):
    """The table of rows that `Measuring.add` made."""

    def cells(row):
        target = f"≥ {row['at_least']:,}" if row["at_least"] else f"≤ {row['at_most']:,}" if row["at_most"] else ""
        measured = row["measured"]
        digits = 2 if (measured or 0) < 10 else 1 if measured < 100 else 0
        return [
            row["case"], *(f"{row[key]:,.{digits}f}" if key in row else "" for key, _, digits in columns),
            "" if measured is None else f"{measured:,.{digits}f} {row['unit']}", target, mark(row),
        ]

    return aligned([["", *(heading for _, heading, _ in columns), "measured", "target", ""], *map(cells, rows)])
