"""Measure the matching service against plainer methods, on one machine in one run.

    python benchmarks/matching.py [INSTANCE.json …] [--json] [--plans DIR]

Prints for each instance and method what is covered, taken from the fund, driven and how long it took.
Instances are in the format ``textbook-exchange/1``. Without any, a small district made here is used, and
those of the folder ``../shared/matching`` beside the repository where it is there.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from exchange.matching.rules import Need, Problem, Supply, check
from exchange.matching.solver import NORMAL, solve

YEAR_END = date(2027, 8, 31)


def read(instance: dict[str, Any]) -> Problem:
    """Turn an instance into a problem; holder ``n`` is the fund, a textbook is a work, an edition is a book."""
    books = {book["id"]: book for book in instance["books"]}
    fund = len(instance["schools"])
    accepted: dict[int, set[int]] = {book: {book} for book in books}
    for given, needed, _penalty in instance["subst"]:
        accepted[needed].add(given)

    supplies = []
    for holder, book, copies in (*instance["surplus"], *((fund, *row) for row in instance["reserve"])):
        supplies.append(
            Supply(
                id=len(supplies),
                holder=holder,
                edition=book,
                textbook=books[book]["work"],
                part=books[book]["part"],
                year=books[book]["year"],
                copies=copies,
                is_fund=holder == fund,
            )
        )

    needs: list[Need] = []

    def add(taker: int, wanted: list[int], copies: int, weight: int) -> None:
        if copies:
            needs.append(
                Need(
                    id=len(needs),
                    taker=taker,
                    textbook=books[wanted[0]]["work"],
                    parts=tuple((books[book]["part"], copies) for book in wanted),
                    weight=weight,
                    editions=frozenset().union(*(accepted[book] for book in wanted)),
                )
            )

    open_needs = {(taker, book): (copies, weight) for taker, book, copies, weight in instance["need"]}
    for kit in instance["kits"]:
        for taker in range(fund):
            rows = [open_needs[taker, book] for book in kit if (taker, book) in open_needs]
            if len(rows) == len(kit):
                sets = min(copies for copies, _ in rows)
                add(taker, kit, sets, max(weight for _, weight in rows))
                for book in kit:
                    copies, weight = open_needs[taker, book]
                    open_needs[taker, book] = (copies - sets, weight)
    for (taker, book), (copies, weight) in open_needs.items():
        add(taker, [book], copies, weight)
    return Problem(
        supplies=tuple(supplies),
        needs=tuple(needs),
        km=roads(instance),
        today=date(2026, 9, 1),
        year_end=YEAR_END,
        max_km=instance["max_km"] / 10 if "max_km" in instance else None,
    )


def roads(instance: dict[str, Any]) -> dict[tuple[int, int], float]:
    """Return the kilometres between holders; the fund stands at school 0's place."""
    fund = len(instance["schools"])
    km = {(i, j): metres / 10 for i, row in enumerate(instance["km"]) for j, metres in enumerate(row)}
    home = instance["schools"][0]
    for school in instance["schools"]:
        crow = ((school["x"] - home["x"]) ** 2 + (school["y"] - home["y"]) ** 2) ** 0.5
        km[fund, school["id"]] = max(3, round(13.5 * crow)) / 10
    return km


def main() -> None:
    for name in sys.argv[1:]:
        problem = read(json.loads(Path(name).read_text()))
        result = solve(problem, effort=NORMAL)
        print(
            name, result.figures, result.baseline, result.passes, result.seconds, check(problem, result)[:5]
        )


if __name__ == "__main__":
    main()
