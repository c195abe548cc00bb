"""Small charts, drawn on the server as SVG: no script, no inline style, readable aloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 360
LETTER = 8
MOST_LETTERS = 20
FIGURE = 64
ROW = 24
THICKNESS = 14
THIN = 7
CURVE_WIDTH = 360
CURVE_HEIGHT = 240
BESIDE = 96
EDGE = 14
"""Room above and below a curve, and the height of a line of text."""


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


@dataclass(frozen=True)
class Point:
    """One point of a curve: where it lies, and what is printed beside it. The marked one stands out."""

    x: float
    y: float
    text: str
    marked: bool = False


def curve(
    points: Sequence[Point],
    *,
    name: str,
    title: str,
    description: str,
    along: str,
    levels: Sequence[tuple[float, str]],
    width: int = CURVE_WIDTH,
    height: int = CURVE_HEIGHT,
) -> Markup:
    """Return points joined by a line, the axis along the bottom beginning at nothing, as an SVG picture.

    ``along`` says what lies along the bottom. ``levels`` are the heights, from the lowest to the highest, at
    which a line is drawn across with its name at the left. Marked points lie on no line. ``name``, ``title``
    and ``description`` are as for ``bar_chart``.
    """
    left = max((len(text) for _, text in levels), default=0) * LETTER + 8
    furthest = max((point.x for point in points), default=0) or 1
    lowest, highest = levels[0][0], levels[-1][0]
    room = height - ROW - 2 * EDGE

    def across(x: float) -> float:
        return left + x / furthest * (width - left - BESIDE)

    def down(y: float) -> float:
        share = (y - lowest) / (highest - lowest) if highest > lowest else 1.0
        return EDGE + (1 - share) * room

    grid = Markup("").join(
        Markup(
            '<line class="axis" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/><text x="{}" y="{:.1f}" '
            'text-anchor="end">{}</text>'
        ).format(left, width, down(y), down(y), left - 6, down(y) + 4, text)
        for y, text in levels
    )
    joined = sorted((point for point in points if not point.marked), key=lambda point: (point.y, point.x))
    way = " ".join(f"{across(point.x):.1f},{down(point.y):.1f}" for point in joined)
    dots = Markup("").join(
        Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(
            "dot here" if point.marked else "dot", across(point.x), down(point.y), 7 if point.marked else 4
        )
        for point in sorted(points, key=lambda point: point.marked)
    )
    texts = Markup("").join(
        Markup('<text{} x="{:.1f}" y="{:.1f}">{}</text>').format(
            Markup(' class="here"') if point.marked else "",
            across(point.x) + 11,
            down(point.y) + 4,
            point.text,
        )
        for point in _apart(points, down)
    )
    return Markup(
        '<svg class="chart" role="img" aria-labelledby="{name}-title {name}-description" '
        'viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        '<title id="{name}-title">{title}</title><desc id="{name}-description">{description}</desc>'
        '{grid}<polyline class="way" points="{way}"/>{dots}{texts}'
        '<text x="{left}" y="{foot}">0</text>'
        '<text x="{width}" y="{foot}" text-anchor="end">{along} →</text></svg>'
    ).format(
        name=name,
        width=width,
        height=height,
        title=title,
        description=description,
        grid=grid,
        way=way,
        dots=dots,
        texts=texts,
        left=left,
        foot=height - 6,
        along=along,
    )


def _apart(points: Sequence[Point], down: Callable[[float], float]) -> list[Point]:
    """Return the points whose texts do not run into each other; those of marked points always stand."""
    told: list[Point] = []
    for point in sorted(points, key=lambda point: (not point.marked, -point.y)):
        if point.marked or all(abs(down(point.y) - down(other.y)) >= EDGE for other in told):
            told.append(point)
    return told


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
