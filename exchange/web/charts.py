"""Small charts, drawn on the server as SVG: no script, no inline style, readable aloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 360
LETTER = 8
MOST_LETTERS = 20
FIGURE = 64
ROW = 24
THICKNESS = 14
THIN = 7


@dataclass(frozen=True)
class Bar:
    """One row of a chart: what it is called, how long it is, and the figure printed beside it.

    ``second`` draws a second, paler bar below the first, to compare with.
    """

    label: str
    value: float
    text: str
    second: float | None = None


def bar_chart(
    rows: Sequence[Bar],
    *,
    name: str,
    title: str,
    description: str,
    maximum: float | None = None,
    width: int = WIDTH,
) -> Markup:
    """Return horizontal bars, one row each, as an SVG picture.

    ``name`` makes the ids of its parts unique on the page; ``title`` and ``description`` are what is read
    aloud instead of it. ``maximum`` is the length of a full row (drawn pale behind the bars), by default the
    longest bar. ``width`` is that of the picture in CSS pixels, at which its letters have their size.
    """
    longest = maximum or max([row.value for row in rows] + [row.second or 0 for row in rows], default=0) or 1
    label = max((len(_shortened(row.label)) for row in rows), default=0) * LETTER + 8
    room = width - label - FIGURE
    drawn = Markup("").join(_row(row, index, label, room, room / longest) for index, row in enumerate(rows))
    return Markup(
        '<svg class="chart" role="img" aria-labelledby="{name}-title {name}-description" '
        'viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        '<title id="{name}-title">{title}</title><desc id="{name}-description">{description}</desc>'
        "{drawn}</svg>"
    ).format(
        name=name,
        width=width,
        height=max(1, len(rows)) * ROW,
        title=title,
        description=description,
        drawn=drawn,
    )


def _row(row: Bar, index: int, label: int, room: int, scale: float) -> Markup:
    top = index * ROW + (ROW - THICKNESS) // 2
    baseline = index * ROW + ROW // 2 + 4
    bars = [("bar rest", float(room), top, THICKNESS)]
    if row.second is None:
        bars.append(("bar", row.value * scale, top, THICKNESS))
    else:
        bars.append(("bar", row.value * scale, top, THIN))
        bars.append(("bar second", row.second * scale, top + THIN, THIN))
    drawn = Markup("").join(
        Markup('<rect class="{}" x="{}" y="{}" width="{:.1f}" height="{}"/>').format(
            kind, label, y, min(max(length, 0), room), thickness
        )
        for kind, length, y, thickness in bars
    )
    return Markup('<text x="{}" y="{}" text-anchor="end">{}</text>{}<text x="{}" y="{}">{}</text>').format(
        label - 6, baseline, _shortened(row.label), drawn, label + room + 6, baseline, row.text
    )


def _shortened(label: str) -> str:
    return label if len(label) <= MOST_LETTERS else f"{label[: MOST_LETTERS - 1]}…"
