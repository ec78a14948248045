"""Tables and charts of the bench: Markdown and SVG, made of plain text."""

import re
from collections.abc import Sequence
from html import escape

from benchmarks.peers.measure import Ratio, Result

_COLOURS = ("#1f6feb", "#6cb2ff", "#9a6bd8", "#d9822b", "#b03a2e", "#6e7781")


def row(cells: Sequence[object]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A whole table."""
    lines = [row(head), "|" + "---|" * len(head), *map(row, rows)]
    return "\n".join(lines)


def thousands(number: float) -> str:
    """1234567 as 1,235k."""
    return f"{number / 1000:,.0f}k"


def results_table(results: Sequence[Result]) -> str:
    """What every subject needed and reached."""
    return markdown(
        ("load", "bytes", "relay", "CPU s per million copies", "copies/s", "CPU"),
        [
            (
                each.load,
                f"{each.size:,}",
                each.subject,
                f"{each.per_million:.2f} "
                f"({each.per_million_range[0]:.2f} to {each.per_million_range[1]:.2f})",
                thousands(each.forwarded),
                f"{100 * each.utilisation:.0f} %",
            )
            for each in results
        ],
    )


def ratios_table(ratios: Sequence[Ratio]) -> str:
    """What was to be reached, and what was."""
    return markdown(
        ("load", "bytes", "relay", "against", "at most", "measured", ""),
        [
            (
                each.aim.load,
                f"{each.size:,}",
                each.aim.subject,
                each.aim.against,
                f"{each.aim.at_most:.2f}",
                "not measured" if each.value is None else f"{each.value:.2f}",
                "" if each.value is None else ("reached" if each.met else "**missed**"),
            )
            for each in ratios
        ],
    )


def chart(title: str, unit: str, groups: dict[str, dict[str, float]]) -> str:
    """Bars beside each other: an SVG of groups, each with some named bars."""
    names = list(dict.fromkeys(name for bars in groups.values() for name in bars))
    colour = {name: _COLOURS[n % len(_COLOURS)] for n, name in enumerate(names)}
    most = max((v for bars in groups.values() for v in bars.values()), default=1) or 1
    bar, gap, left, width = 16, 14, 190, 760
    scale = (width - left - 90) / most
    parts: list[str] = []
    y = 64
    for group, bars in groups.items():
        middle = y + len(bars) * bar / 2 + 4
        parts.append(
            f'<text x="{left - 8}" y="{middle:.0f}" text-anchor="end">'
            f"{escape(group)}</text>"
        )
        for name, value in bars.items():
            length = max(1.0, value * scale)
            parts.append(
                f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 3}" '
                f'fill="{colour[name]}"><title>{escape(name)}: {value:.2f}</title>'
                f"</rect>"
            )
            parts.append(
                f'<text x="{left + length + 4:.1f}" y="{y + bar - 5}" '
                f'font-size="10">{value:.2f}</text>'
            )
            y += bar
        y += gap
    x = left
    legend = []
    for name in names:
        legend.append(
            f'<rect x="{x}" y="38" width="10" height="10" fill="{colour[name]}"/>'
            f'<text x="{x + 14}" y="47" font-size="11">{escape(name)}</text>'
        )
        x += 26 + 7 * len(name)
    height, width = y + 8, max(width, x)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        f'<text x="12" y="22" font-size="15">{escape(title)} '
        f'<tspan fill="#57606a" font-size="12">({escape(unit)})</tspan></text>\n'
        + "\n".join([*legend, *parts])
        + "\n</svg>\n"
    )


def between_markers(text: str, name: str, content: str) -> str:
    """A document with what stands between its markers of that name replaced.

    :raise ValueError: the markers are not there.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    if not re.search(pattern, text, re.DOTALL):
        raise ValueError(f"no {begin} ... {end}")
    new = f"{begin}\n{content.strip()}\n{end}"
    return re.sub(pattern, lambda _: new, text, count=1, flags=re.DOTALL)
