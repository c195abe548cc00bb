"""Measure the matching service against plainer methods, on one machine in one run.

    python benchmarks/matching.py [INSTANCE.json …] [--json] [--plans DIR]

Prints for each instance and method what is covered, taken from the fund, driven, and how long and how much
memory it took; every method runs in a process of its own. Instances are in the format
``textbook-exchange/1``. Without any, a district made here is used, and the districts of the folder
``../shared/matching`` beside the repository (or EXCHANGE_SHARED) where it is there.

The methods: ``plan`` is the service's own; ``nearest`` serves request by request from the nearest holder;
``flow`` is one minimum-cost flow in HiGHS, ``networkx`` the same flow in NetworkX (at most two parts a set).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from exchange.matching.rules import (  # noqa: E402
    Figures,
    Need,
    Problem,
    Result,
    Supply,
    Trip,
    check,
    figures_of,
    trips_of,
)
from exchange.matching.solver import nearest_donor_first, solve  # noqa: E402
from exchange.matching.solver.network import Network  # noqa: E402

SHARED = Path(os.environ.get("EXCHANGE_SHARED", ROOT.parent / "shared")) / "matching"
YEAR_END = date(2027, 8, 31)


def read(instance: dict[str, Any]) -> Problem:
    """Turn an instance into a problem: holder ``n`` is the fund, textbooks are works, editions books."""
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

    needs = [
        Need(
            id=number,
            taker=taker,
            textbook=books[wanted[0]]["work"],
            parts=tuple((books[book]["part"], copies) for book in wanted),
            weight=weight,
            editions=frozenset().union(*(accepted[book] for book in wanted)),
        )
        for number, (taker, wanted, copies, weight) in enumerate(open_sets(instance))
    ]
    return Problem(
        supplies=tuple(supplies),
        needs=tuple(needs),
        km=roads(instance),
        today=date(2026, 9, 1),
        year_end=YEAR_END,
        max_km=instance["max_km"] / 10 if "max_km" in instance else None,
    )


def open_sets(instance: dict[str, Any]) -> list[tuple[int, list[int], int, int]]:
    """Return (taker, books, sets, weight): what both parts are needed of, then the single books left."""
    single = {(taker, book): (copies, weight) for taker, book, copies, weight in instance["need"]}
    found = []
    for kit in instance["kits"]:
        for taker in range(len(instance["schools"])):
            if all((taker, book) in single for book in kit):
                rows = [single[taker, book] for book in kit]
                sets = min(copies for copies, _ in rows)
                found.append((taker, kit, sets, max(weight for _, weight in rows)))
                for book, (copies, weight) in zip(kit, rows, strict=True):
                    single[taker, book] = (copies - sets, weight)
    found += [(taker, [book], copies, weight) for (taker, book), (copies, weight) in single.items()]
    return [row for row in found if row[2]]


def roads(instance: dict[str, Any]) -> dict[tuple[int, int], float]:
    """Return the kilometres between holders; the fund stands at school 0's place."""
    fund = len(instance["schools"])
    km = {(i, j): metres / 10 for i, row in enumerate(instance["km"]) for j, metres in enumerate(row)}
    home = instance["schools"][0]
    for school in instance["schools"]:
        crow = ((school["x"] - home["x"]) ** 2 + (school["y"] - home["y"]) ** 2) ** 0.5
        km[fund, school["id"]] = max(3, round(13.5 * crow)) / 10
    return km


def small_district(seed: int = 1, schools: int = 15, works: int = 150) -> dict[str, Any]:
    """Make an instance: villages around a town, a third of the works in two parts, small odd numbers."""
    dice = random.Random(seed)
    places = [(0.0, 0.0), (1.0, 0.5)]
    places += [(dice.uniform(-40, 40), dice.uniform(-40, 40)) for _ in range(schools - 2)]
    pupils = [560, 430] + [dice.randint(30, 180) for _ in range(schools - 2)]
    books: list[dict[str, int]] = []
    kits, subst, surplus, need, reserve = [], [], [], [], []
    for work in range(works):
        grade = dice.randint(1, 11)
        parts = (1, 2) if dice.random() < 0.33 else (0,)
        for edition in range(dice.choice((1, 1, 2))):
            first = len(books)
            for part in parts:
                year = 2018 + 3 * edition
                books.append({"id": len(books), "work": work, "part": part, "year": year, "grade": grade})
            if len(parts) == 2:
                kits.append([first, first + 1])
            if edition:
                for book in range(first, first + len(parts)):
                    subst += [[book, book - len(parts), 20], [book - len(parts), book, 20]]
            for school in range(schools):
                fate = dice.random()
                for book in range(first, first + len(parts)):
                    copies = dice.randint(1, 1 + pupils[school] // 25)
                    if fate < 0.18:
                        surplus.append([school, book, copies])
                    elif fate > 0.85:
                        need.append([school, book, copies, 2 if grade in (1, 9, 11) else 1])
            if dice.random() < 0.1:
                reserve += [[book, dice.randint(5, 30)] for book in range(first, first + len(parts))]
    roads = [[round(13.5 * ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5) for b in places] for a in places]
    return {
        "format": "textbook-exchange/1",
        "name": f"made-{schools}x{works}-s{seed}",
        "schools": [
            {"id": i, "x": x, "y": y, "pupils": pupils[i], "district": 0} for i, (x, y) in enumerate(places)
        ],
        "books": books,
        "kits": kits,
        "subst": subst,
        "surplus": surplus,
        "need": need,
        "reserve": reserve,
        "km": roads,
    }


# --- The methods ----------------------------------------------------------------------------------

#: Prices of the plain flows, in units of 100 m of one copy: an uncovered set, a copy from the fund.
SET_PRICE = 10_000_000
FUND_PRICE = 10_000


def plain_flow(problem: Problem) -> tuple[Trip, ...]:
    """Solve one minimum-cost flow with HiGHS, coverage, fund and road in one weighted sum."""
    network = Network(problem)
    network.minimise(
        SET_PRICE * network.coverage_cost() + FUND_PRICE * network.fund_cost() + network.km_cost()
    )
    return trips_of(problem, network.shipments())


def networkx_flow(problem: Problem) -> tuple[Trip, ...]:
    """Solve the same flow with NetworkX: the arcs of the second part of a set run backwards."""
    import networkx

    network = Network(problem)
    backwards: dict[int, int] = {}
    for need, layer in network.sets:
        if len(layer.parts) > 1:
            backwards[need.textbook] = max(layer.parts)
    graph = networkx.DiGraph()

    def arc(one: Any, other: Any, capacity: int, cost: int, back: bool) -> None:
        graph.add_edge(*((other, one) if back else (one, other)), capacity=capacity, weight=cost)

    for supply in problem.supplies:
        back = backwards.get(supply.textbook) == supply.part
        arc("hub", ("offer", supply.id), supply.copies, FUND_PRICE * supply.is_fund, back)
    for (supply, need), cost in zip(network.lines, network.km_cost(), strict=False):
        back = backwards.get(supply.textbook) == supply.part
        arc(("offer", supply.id), ("need", need.id, supply.part), supply.copies, round(cost), back)
    for need, layer in network.sets:
        back = backwards.get(need.textbook) == max(layer.parts)
        one = ("need", need.id, layer.parts[0])
        other = ("need", need.id, layer.parts[1]) if len(layer.parts) > 1 else "hub"
        arc(one, other, layer.size, -SET_PRICE * need.weight, back and len(layer.parts) == 1)
    _cost, flow = networkx.network_simplex(graph) if graph else (0, {})
    shipments: dict[tuple[int, int], int] = defaultdict(int)
    for supply, need in network.lines:
        offer, wanted = ("offer", supply.id), ("need", need.id, supply.part)
        back = backwards.get(supply.textbook) == supply.part
        shipments[supply.id, need.id] = flow[wanted][offer] if back else flow[offer][wanted]
    return trips_of(problem, shipments)


METHODS: dict[str, Callable[[Problem], Result | tuple[Trip, ...]]] = {
    "plan": solve,
    "nearest": nearest_donor_first,
    "flow": plain_flow,
    "networkx": networkx_flow,
}


@dataclass(frozen=True)
class Row:
    """One method on one instance. ``trips_bound`` is proven for the plan only."""

    instance: str
    method: str
    figures: Figures
    seconds: float
    megabytes: float
    best_weight: int | None = None
    trips_bound: float | None = None
    wrong: tuple[str, ...] = ()


def measure(instance: dict[str, Any], method: str, plans: Path | None) -> Row:
    """Run one method on one instance in this process."""
    import highspy  # noqa: F401  so that its loading is not counted

    problem = read(instance)
    started = time.perf_counter()
    answer = METHODS[method](problem)
    seconds = time.perf_counter() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if not isinstance(answer, Result):
        return Row(instance["name"], method, figures_of(problem, answer), seconds, megabytes)
    bound = next(one.bound for one in answer.passes if one.name == "trips")
    if plans:
        plans.mkdir(parents=True, exist_ok=True)
        text = json.dumps(as_plan(instance, answer, seconds), ensure_ascii=False)
        (plans / f"{instance['name']}.plan.json").write_text(text, encoding="utf-8")
    return Row(
        instance["name"],
        method,
        answer.figures,
        seconds,
        megabytes,
        answer.best_possible,
        bound,
        check(problem, answer),
    )


def as_plan(instance: dict[str, Any], result: Result, seconds: float) -> dict[str, Any]:
    """Return a plan in the format of the instances: [given book, needed book, copies] by trip."""
    part = {book["id"]: book["part"] for book in instance["books"]}
    needed = {
        (number, part[book]): book
        for number, (_, books, _, _) in enumerate(open_sets(instance))
        for book in books
    }
    passes = {one.name: one for one in result.passes}
    return {
        "instance": instance["name"],
        "shipments": [
            {
                "from": trip.giver,
                "to": trip.taker,
                "lines": [
                    [line.edition, needed[line.need_id, line.part], line.copies] for line in trip.proposals
                ],
            }
            for trip in result.trips
        ],
        "covered_weight": result.figures.weight,
        "trips": result.figures.trips,
        "bound": {"covered_weight": result.best_possible, "trips": passes["trips"].bound},
        "seconds": seconds,
        "optimal_coverage": passes["coverage"].optimal,
    }


def report(rows: list[Row]) -> str:
    """Return the table: figures, and beside them their ratio to the plan's trips and the flow's time."""
    by_method = {(row.instance, row.method): row for row in rows}
    lines = [
        f"{'instance':24}{'method':10}{'weight':>8}{'fund':>6}{'copies':>8}{'trips':>7}{'×plan':>7}"
        f"{'bound':>7}{'km':>9}{'seconds':>9}{'×flow':>8}{'MB':>6}"
    ]
    for row in rows:
        plan, flow = by_method[row.instance, "plan"], by_method[row.instance, "flow"]
        bound = "" if row.trips_bound is None else f"{row.trips_bound:.0f}"
        lines.append(
            f"{row.instance:24}{row.method:10}{row.figures.weight:8}{row.figures.fund_copies:6}"
            f"{row.figures.copies:8}{row.figures.trips:7}"
            f"{row.figures.trips / max(1, plan.figures.trips):7.2f}{bound:>7}{row.figures.trip_km:9.0f}"
            f"{row.seconds:9.2f}{row.seconds / flow.seconds:8.1f}{row.megabytes:6.0f}"
        )
        lines += [f"  wrong: {fault}" for fault in row.wrong]
    return "\n".join(lines)


def main() -> None:
    """Run every method on every instance and print what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("instances", nargs="*", type=Path)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--plans", type=Path, help="write the plans to this folder")
    options = parser.parse_args()
    paths = options.instances or sorted(SHARED.glob("district-*.json"))
    instances = [] if options.instances else [small_district()]
    instances += [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    rows = []
    with ProcessPoolExecutor(
        max_workers=1, max_tasks_per_child=1, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        for instance in instances:
            for method in METHODS:
                rows.append(pool.submit(measure, instance, method, options.plans).result())
    print(json.dumps([asdict(row) for row in rows], ensure_ascii=False) if options.json else report(rows))


if __name__ == "__main__":
    main()
