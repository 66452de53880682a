"""How time grows, as a picture: lines over two logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 70, 150, 30, 50
COLOURS = ("#7f7f7f", "#1f77b4", "#2ca02c", "#d62728")


def draw(lines: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Return an SVG of CPU seconds over customers a side; each line is a name and its points, smallest first."""
    points = [point for line in lines.values() for point in line]
    x0, x1 = (math.log10(edge(count for count, _ in points)) for edge in (min, max))
    y0 = math.floor(math.log10(min(seconds for _, seconds in points)))
    y1 = math.ceil(math.log10(max(seconds for _, seconds in points)))

    def x(count: float) -> float:
        return LEFT + (math.log10(count) - x0) / ((x1 - x0) or 1) * (WIDTH - LEFT - RIGHT)

    def y(seconds: float) -> float:
        return HEIGHT - BOTTOM - (math.log10(seconds) - y0) / ((y1 - y0) or 1) * (HEIGHT - TOP - BOTTOM)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for power in range(y0, y1 + 1):
        at = y(10.0**power)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g} s</text>')
    for count in sorted({count for count, _ in points}):
        out.append(f'<line x1="{x(count):.1f}" x2="{x(count):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#eee"/>')
        out.append(f'<text x="{x(count):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{count:,}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">customers a side</text>')
    out.append(f'<text x="{LEFT}" y="{TOP - 12}">CPU seconds of a run over both sides</text>')
    for colour, (name, line) in zip(COLOURS, lines.items(), strict=False):
        path = " ".join(f"{x(count):.1f},{y(seconds):.1f}" for count, seconds in line)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.append(f'<text x="{WIDTH - RIGHT + 8}" y="{y(line[-1][1]) + 4:.1f}" fill="{colour}">{name}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"
