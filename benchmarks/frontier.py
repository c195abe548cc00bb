"""Measure what giving up coverage saves in trips, and what fairness costs.

    python benchmarks/frontier.py [INSTANCE.json …] [--long] [--chart FILE.svg]

For each instance (``textbook-exchange/1``; without any, the districts of ``../shared/matching`` with at most
30 schools, or one made here) the plan is made at several shares of the coverage given up, then at several
tolerances of fairness. ``--long`` searches as «Искать дольше» does. The chart draws trips against coverage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.matching import SHARED, read, small_district  # noqa: E402
from exchange.matching import solver  # noqa: E402
from exchange.matching.rules import Controls, Problem, Result, fairness_of  # noqa: E402

GIVE_UPS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1)
TOLERANCES = (None, 0.1, 0.05, 0.0)
MOST_SCHOOLS = 30
WIDTH, HEIGHT, EDGE = 560, 300, 46
COLOURS = ("#1d4e89", "#d1495b", "#3a7d44", "#8d6a9f")


def worst_share(problem: Problem, plan: Result) -> float:
    """Return the smallest share of what could be served that a school gets."""
    shares = fairness_of(problem, plan.trips).values()
    return min((served / could for served, could in shares if could), default=1.0)


def chart(curves: Sequence[tuple[str, list[tuple[float, float]]]]) -> str:
    """Draw (share of the best coverage, share of the trips at it) of each instance."""
    lowest = min(y for _, points in curves for _, y in points)
    furthest = max(1 - x for _, points in curves for x, _ in points) or 1.0

    def across(x: float) -> float:
        return EDGE + (WIDTH - 2 * EDGE) * (1 - x) / furthest

    def down(y: float) -> float:
        return EDGE / 2 + (HEIGHT - 1.5 * EDGE) * (1 - y) / (1 - lowest or 1.0)

    parts = []
    for number, (name, points) in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="3" fill="{colour}"/>' for x, y in points
        ]
        row = EDGE / 2 + 16 * number + 6
        parts.append(f'<text x="{WIDTH - EDGE}" y="{row}" text-anchor="end" fill="{colour}">{name}</text>')
    foot = HEIGHT - EDGE / 2
    parts += [
        f'<text x="{across(1 - share):.1f}" y="{foot}" text-anchor="middle">{100 * share:g} %</text>'
        for share in GIVE_UPS
        if share <= furthest + 0.001 and share != GIVE_UPS[1]
    ]
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">coverage given up</text>')
    steps = range(100, int(100 * lowest) - 1, -10)
    parts += [
        f'<text x="{EDGE - 6}" y="{down(step / 100) + 4:.1f}" text-anchor="end">{step} %</text>'
        for step in steps
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="#222" role="img" aria-label="Trips against coverage given up">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def measure(instance: dict[str, Any], effort: solver.Effort) -> list[tuple[float, float]]:
    """Print the figures of one instance and return its curve."""
    problem = read(instance)
    print(f"{instance['name']}\n  {'given up':>9}{'coverage':>10}{'trips':>7}{'seconds':>9}")
    points = []
    first: Result | None = None
    plans = solver.frontier(problem, GIVE_UPS, effort=effort)
    for share, plan in zip(GIVE_UPS, plans, strict=True):
        first = first or plan
        covered, trips = plan.figures.weight / plan.best_possible, plan.figures.trips
        points.append((covered, trips / first.figures.trips))
        print(f"  {100 * share:8g}%{100 * covered:9.2f}%{trips:7}{plan.seconds:9.2f}")
    print(f"  {'tolerance':>9}{'worst':>10}{'trips':>7}{'seconds':>9}")
    for tolerance in TOLERANCES:
        plan = solver.solve(replace(problem, controls=Controls(fairness=tolerance)), effort=effort)
        named = "none" if tolerance is None else f"{100 * tolerance:g}%"
        worst = 100 * worst_share(problem, plan)
        print(f"  {named:>9}{worst:9.1f}%{plan.figures.trips:7}{plan.seconds:9.2f}")
    return points


def main() -> None:
    """Measure every instance; draw the chart where it is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("instances", nargs="*", type=Path)
    parser.add_argument("--long", action="store_true", help="search longer")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw the curves")
    options = parser.parse_args()
    instances = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in options.instances or sorted(SHARED.glob("district-*.json"))
    ]
    if not options.instances:
        instances = [each for each in instances if len(each["schools"]) <= MOST_SCHOOLS] or [small_district()]
    effort = solver.NORMAL if options.long else solver.QUICK
    curves = [(each["name"], measure(each, effort)) for each in instances]
    if options.chart:
        options.chart.parent.mkdir(parents=True, exist_ok=True)
        options.chart.write_text(chart(curves), encoding="utf-8")


if __name__ == "__main__":
    main()
