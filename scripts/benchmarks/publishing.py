"""Tables and a chart of the figures of `scripts/bench --against`, for docs/benchmarks.md."""

import html
import math

from benchmarks.tables import aligned, mark

CHART = "benchmarks.svg"


def tables(rows):
    parts = [comparisons(of_kind(rows, "comparison")), peers(of_kind(rows, "peer")), curve(of_kind(rows, "curve"))]
    return "\n".join(filter(None, parts))


def of_kind(rows, kind):
    return [row for row in rows if row["kind"] == kind]


def named(row):
    return row["case"] + (f" ({row['errors']:,} errors)" if row["errors"] else "")


# --- Tables


def comparisons(rows):
    def target(row):
        if not (wanted := row["at_least"] or row["at_most"]):
            return ""
        unit = "×" if row["of"] == "ratio" else row["unit"]
        return f"{'≥' if row['at_least'] else '≤'} {wanted:,} {unit}".rstrip()

    def cells(row):
        values = (f"{row[key]:,.{row['digits']}f} {row['unit']}".rstrip() for key in ("other", "this"))
        ratios = row["ratios"]
        return [named(row), *values, f"{row['ratio']:.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}", target(row), mark(row)]

    if not rows:
        return ""
    other, this = rows[0]["rounds"]
    return aligned([["", other, this, "ratio", "rounds", "target", ""], *map(cells, rows)])


def peers(rows):
    columns = [("rate", "requests/s", 0), ("p50_ms", "p50 ms", 2), ("p99_ms", "p99 ms", 2),
               ("processor_us", "µs of processor", 1), ("generator", "generator", 2), ("of_nginx", "of nginx", 2)]

    def cells(row):
        return [named(row), *(f"{row[key]:,.{digits}f}" if key in row else "" for key, _, digits in columns)]

    return rows and aligned([["", *(heading for _, heading, _ in columns)], *map(cells, rows)])


def is_late(row):
    """Whether the server did not keep up with the rate. Then the latencies are lower bounds."""
    return bool(row["unsent"] or row["unanswered"])


def curve(rows):
    series = list(dict.fromkeys(row["series"] for row in rows))
    found = {(row["offered"], row["series"]): row for row in rows}

    def cells(row):
        if not row:
            return ["", ""]
        return [f"{row['rate']:,.0f}", f"{'≥ ' if is_late(row) else ''}{row['p99_ms']:,.{2 if row['p99_ms'] < 10 else 0}f}"]

    lines = [["offered a second", *(text for name in series for text in (name, "p99 ms"))]]
    for offered in sorted({row["offered"] for row in rows}):
        lines.append([f"{offered:,}", *(cell for name in series for cell in cells(found.get((offered, name))))])
    return rows and aligned(lines)


# --- The chart

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .paper { fill: #ffffff } .grid { stroke: #d1d9e0; stroke-width: 1 } .small { font-size: 12px; fill: #59636e }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round } .ideal { stroke: #8c959f; stroke-dasharray: 4 4; fill: none }
  .s0 { stroke: #9a6700; --own: #9a6700 } .s1 { stroke: #0969da; --own: #0969da } .s2 { stroke: #1a7f37; --own: #1a7f37 }
  .mark { fill: var(--own); stroke-width: 1.5 } .late { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .paper { fill: #0d1117 } .grid { stroke: #3d444d } .small { fill: #9198a1 } .ideal { stroke: #656c76 }
    .s0 { stroke: #d29922; --own: #d29922 } .s1 { stroke: #4493f8; --own: #4493f8 } .s2 { stroke: #3fb950; --own: #3fb950 }
    .late { fill: #0d1117 }
  }
"""
WIDTH, LEFT, RIGHT = 760, 70, 730
TOP, BOTTOM = (70, 270), (330, 570)  # The y range of each panel.


def chart(rows):
    """SVG with two panels, answers a second and p99, over the offered rate."""
    rows = of_kind(rows, "curve")
    series = list(dict.fromkeys(row["series"] for row in rows))
    most = max(row["offered"] for row in rows)
    fastest = max(row["rate"] for row in rows)
    latencies = [row["p99_ms"] for row in rows]
    low, high = math.floor(math.log10(min(latencies))), math.ceil(math.log10(max(latencies)))
    high = max(high, low + 1)

    def x(offered):
        return LEFT + (RIGHT - LEFT) * offered / most

    def y_rate(rate):
        return TOP[1] - (TOP[1] - TOP[0]) * rate / (1.05 * fastest)

    def y_p99(ms):
        return BOTTOM[1] - (BOTTOM[1] - BOTTOM[0]) * (math.log10(ms) - low) / (high - low)

    parts = []
    for name, (top, bottom) in ("answered a second", TOP), ("p99, ms", BOTTOM):
        parts.append(text(LEFT, top - 10, name))
        for offered in steps(most):
            parts.append(line(x(offered), top, x(offered), bottom))
            parts.append(text(x(offered), bottom + 18, f"{offered:,.0f}", "middle"))
    for rate in steps(1.05 * fastest):
        parts += [line(LEFT, y_rate(rate), RIGHT, y_rate(rate)), text(LEFT - 8, y_rate(rate) + 4, f"{rate:,.0f}", "end")]
    for power in range(low, high + 1):
        at = y_p99(10.0 ** power)
        parts += [line(LEFT, at, RIGHT, at), text(LEFT - 8, at + 4, f"{10.0 ** power:,g}", "end")]
    parts.append(text(RIGHT, BOTTOM[1] + 38, "offered a second; hollow: not sustained, p99 is a lower bound", "end"))
    reach = min(most, 1.05 * fastest)
    parts.append(f'<path class="ideal" d="M{x(0):.1f} {y_rate(0):.1f}L{x(reach):.1f} {y_rate(reach):.1f}"/>')
    for number, name in enumerate(series):
        own = sorted((row for row in rows if row["series"] == name), key=lambda row: row["offered"])
        for key, y in ("rate", y_rate), ("p99_ms", y_p99):
            points = [(x(row["offered"]), y(row[key]), is_late(row)) for row in own]
            path = "L".join(f"{across:.1f} {down:.1f}" for across, down, _ in points)
            parts.append(f'<path class="line s{number % 3}" d="M{path}"/>')
            parts += [marker(number, across, down, late) for across, down, late in points]
        across = LEFT + 230 * number
        parts += [marker(number, across + 6, 24, False), text(across + 18, 28, name, "start", "")]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 620" role="img">\n'
        f"<title>Creates a second and their p99, over the offered rate</title>\n<style>{STYLE}</style>\n"
        f'<rect class="paper" width="{WIDTH}" height="620"/>\n' + "\n".join(parts) + "\n</svg>\n")


def steps(most):
    """Round tick values from 0, ten steps at most."""
    power = 10.0 ** math.floor(math.log10(most))
    step = next(step for step in (power / 10, power / 5, power / 2, power) if most / step <= 10)
    return [step * number for number in range(int(most / step) + 1)]


def line(x1, y1, x2, y2):
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x, y, words, anchor="start", kind="small"):
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def marker(number, x, y, is_late):
    """Each series has its own shape, for readers who do not see the colours."""
    kind = f's{number % 3} mark{" late" if is_late else ""}'
    if number % 3 == 0:
        return f'<rect class="{kind}" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    if number % 3 == 1:
        return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    return f'<path class="{kind}" d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"/>'


# --- The document


def publish(measured, document):
    """Returns the document with the tables and the chart between its markers."""
    begin, end = "<!-- scripts/bench-docs: begin -->", "<!-- scripts/bench-docs: end -->"
    before, found, rest = document.partition(begin)
    _, also_found, after = rest.partition(end)
    if not found or not also_found:
        raise ValueError(f"the document has no {begin} … {end}")
    facts = "".join(f"- {name}: {fact}\n" for name, fact in measured["about"].items())
    image = f"\n![Creates a second and their p99, over the offered rate]({CHART})\n"
    has_curve = of_kind(measured["rows"], "curve")
    return f"{before}{begin}\n\n{facts}\n{tables(measured['rows'])}{image if has_curve else ''}\n{end}{after}"
