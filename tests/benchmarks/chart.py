"""A chart as SVG, drawn by hand: one dot for each contender on a logarithmic axis, readable in light and in dark."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT, ROW, TOP = 820, 270, 70, 26, 64
TICKS = (1, 2, 5, 10, 20, 50, 100)
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; font-size: 15px; }
  .small { fill: #57606a; font-size: 12px; }
  line { stroke: #d0d7de; }
  .floor { fill: #6e7781; stroke: #6e7781; }
  .ours { fill: #0969da; stroke: #0969da; }
  .peers { fill: #bc4c00; stroke: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .small { fill: #9198a1; }
    line { stroke: #3d444d; }
    .floor { fill: #9198a1; stroke: #9198a1; }
    .ours { fill: #4493f8; stroke: #4493f8; }
    .peers { fill: #f0883e; stroke: #f0883e; }
  }
"""


def draw(costs: Sequence[dict[str, Any]], title: str, subtitle: str) -> str:
    """The costs as they come, as multiples of the bare dependency.

    Args:
        costs: with `name`, `by` and `ratio`, and `ratio_low` and `ratio_high` for the quartiles.
        title: what is shown.
        subtitle: on what machine, and when.
    """
    height = TOP + ROW * len(costs) + 40
    rows = "".join(_row(cost, TOP + ROW * number) for number, cost in enumerate(costs))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">\n<style>{STYLE}</style>\n'
        f'<text class="title" x="12" y="24">{escape(title)}</text>\n'
        f'<text class="small" x="12" y="44">{escape(subtitle)}</text>\n'
        f"{_axis(height)}{rows}</svg>\n"
    )


def _x(ratio: float) -> float:
    share = math.log(max(ratio, TICKS[0] * 0.9) / (TICKS[0] * 0.9)) / math.log(TICKS[-1] / (TICKS[0] * 0.9))
    return LEFT + min(share, 1) * (WIDTH - LEFT - RIGHT)


def _axis(height: int) -> str:
    bottom = height - 32
    return "".join(
        f'<line x1="{_x(tick):.1f}" x2="{_x(tick):.1f}" y1="{TOP - 8}" y2="{bottom}"/>\n'
        f'<text class="small" x="{_x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{tick}</text>\n'
        for tick in TICKS
    )


def _row(cost: dict[str, Any], y: int) -> str:
    middle, low, high = _x(cost["ratio"]), _x(cost["ratio_low"]), _x(cost["ratio_high"])
    name = escape(cost["name"].replace("`", ""))
    return (
        f'<text x="{LEFT - 14}" y="{y + 13}" text-anchor="end">{name}</text>\n'
        f'<path class="{cost["by"]}" d="M{low:.1f} {y + 9}H{high:.1f}" stroke-width="3" opacity="0.45"/>\n'
        f'<circle class="{cost["by"]}" cx="{middle:.1f}" cy="{y + 9}" r="5"/>\n'
        f'<text x="{max(middle, high) + 11:.1f}" y="{y + 13}">{cost["ratio"]:.1f}</text>\n'
    )
