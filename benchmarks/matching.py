"""Measure the matching service against plainer methods, on one machine in one run.

    python benchmarks/matching.py [INSTANCE.json …] [--time-limit S] [--plans DIR] [--fair TOLERANCE]
                                  [--processes N] [--methods NAME …] [--charts DIR] [--repair N] [--json]

Prints for each instance and method what is covered, taken from the fund, driven, what is proven of it, and
how long and how much memory it took; every method runs in a process of its own. Every plan is checked by
``check_plan.py``, which shares no code with the program. Instances are in the format
``textbook-exchange/1``. Without any, a district made here is used, and the districts of the folder
``../shared/matching`` beside the repository (or EXCHANGE_SHARED) where it is there.

The methods: ``fast`` is what answers while somebody waits, ``plan`` searches within the time limit;
``nearest`` serves request by request from the nearest holder; ``flow`` is one minimum-cost flow in HiGHS,
``networkx`` the same flow in NetworkX (at most two parts a set; large regions only when it is named).
«×flow» is the whole time against that of HiGHS alone on the flow's finished model, «×nx» against the same of
NetworkX. With ``--plans`` the plan and its certificate go to NAME.plan.json. With ``--repair`` N lines of the
fast plan, drawn by seed, are refused by their giver, one at a time, and the plan is repaired: shown are the
largest share of its trips that changed and the slowest repair. Regions, which are not repaired, are left out.
"""

from __future__ import annotations

import argparse
import inspect
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
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.check_plan import verify  # noqa: E402
from exchange.matching import solver  # noqa: E402
from exchange.matching.rules import (  # noqa: E402
    Certificate,
    Controls,
    Figures,
    Goal,
    Line,
    Need,
    Problem,
    Result,
    Supply,
    Trip,
    as_json,
    figures_of,
    trips_of,
)
from exchange.matching.solver.by_hand import SET_PRICE, flow_cost  # noqa: E402
from exchange.matching.solver.network import Network  # noqa: E402

SHARED = Path(os.environ.get("EXCHANGE_SHARED", ROOT.parent / "shared")) / "matching"
YEAR_END = date(2027, 8, 31)


def read(instance: dict[str, Any]) -> Problem:
    """Turn an instance into a problem: holder ``n`` is the fund, textbooks are works, editions books."""
    books = {book["id"]: book for book in instance["books"]}
    fund = len(instance["schools"])
    accepted: dict[int, dict[int, float]] = {book: {book: 0.0} for book in books}
    for given, needed, penalty in instance["subst"]:
        accepted[needed][given] = penalty / 10

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
            penalties=tuple(
                sorted((given, km) for book in wanted for given, km in accepted[book].items() if km)
            ),
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
    """Return the kilometres between holders, of a region only those within its ``max_km``.

    The fund stands at school 0's place, in a region in the middle of all schools.
    """
    schools = instance["schools"]
    fund = len(schools)

    def crow(x: float, y: float, school: dict[str, Any]) -> float:
        return max(3, round(13.5 * ((x - school["x"]) ** 2 + (y - school["y"]) ** 2) ** 0.5)) / 10

    if "km" in instance:
        km = {(i, j): metres / 10 for i, row in enumerate(instance["km"]) for j, metres in enumerate(row)}
        home = schools[0]["x"], schools[0]["y"]
    else:
        furthest = instance["max_km"] / 10
        pairs = {
            (one["id"], other["id"]): crow(one["x"], one["y"], other)
            for one in schools
            for other in schools[: one["id"]]
        }
        km = {pair: length for pair, length in pairs.items() if length <= furthest}
        home = sum(one["x"] for one in schools) / fund, sum(one["y"] for one in schools) / fund
    return km | {(fund, school["id"]): crow(*home, school) for school in schools}


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

#: Above so many possible lines NetworkX takes minutes, and runs only when it is named.
NETWORKX_LINES = 100_000

Answer = Result | tuple[Trip, ...]
Measured = TypeVar("Measured")


@dataclass
class Run:
    """What one method is asked to do; it leaves the time of its bare engine in ``solving``."""

    problem: Problem
    time_limit: float | None
    processes: int
    solving: float | None = None


def fast(run: Run) -> Answer:
    """Answer while somebody waits."""
    return solved(run, effort=solver.QUICK)


def plan(run: Run) -> Answer:
    """Search within the time limit, without one until nothing more is saved for a while."""
    effort = solver.NORMAL if run.time_limit is None else solver.THOROUGH
    return solved(run, effort=effort, time_limit=run.time_limit)


def solved(run: Run, **wanted: Any) -> Result:
    """Call the solver with those of the wanted arguments that it knows."""
    wanted["processes"] = run.processes
    known = inspect.signature(solver.solve).parameters
    return solver.solve(run.problem, **{name: value for name, value in wanted.items() if name in known})


def nearest(run: Run) -> Answer:
    """Serve request by request."""
    return solver.nearest_donor_first(run.problem)


def plain_flow(run: Run) -> Answer:
    """Solve one minimum-cost flow with HiGHS, coverage, fund and road in one weighted sum."""
    import highspy

    inside = 0.0
    bare = highspy.Highs.run

    def timed(highs: Any) -> Any:
        nonlocal inside
        started = time.perf_counter()
        status = bare(highs)
        inside += time.perf_counter() - started
        return status

    highspy.Highs.run = timed  # type: ignore[method-assign]
    trips = solver.minimum_cost_flow(run.problem)
    run.solving = inside
    return trips


def networkx_flow(run: Run) -> Answer:
    """Solve the same flow with NetworkX: the arcs of the second part of a set run backwards."""
    import networkx

    problem = run.problem.in_order()
    network = Network(problem)
    backwards: dict[int, int] = {}
    for need, layer in network.sets:
        if len(layer.parts) > 1:
            backwards[need.textbook] = max(layer.parts)
    graph = networkx.DiGraph()

    def arc(one: Any, other: Any, capacity: int, cost: int, back: bool) -> None:
        graph.add_edge(*((other, one) if back else (one, other)), capacity=capacity, weight=cost)

    costs = flow_cost(network)
    for supply in problem.supplies:
        arc("hub", ("offer", supply.id), supply.copies, 0, backwards.get(supply.textbook) == supply.part)
    for (supply, need), cost in zip(network.lines, costs, strict=False):
        back = backwards.get(supply.textbook) == supply.part
        arc(("offer", supply.id), ("need", need.id, supply.part), supply.copies, round(cost), back)
    for need, layer in network.sets:
        back = backwards.get(need.textbook) == max(layer.parts)
        one = ("need", need.id, layer.parts[0])
        other = ("need", need.id, layer.parts[1]) if len(layer.parts) > 1 else "hub"
        arc(one, other, layer.size, -SET_PRICE * need.weight, back and len(layer.parts) == 1)
    started = time.perf_counter()
    _cost, flow = networkx.network_simplex(graph) if graph else (0, {})
    run.solving = time.perf_counter() - started
    shipments: dict[tuple[int, int], int] = defaultdict(int)
    for supply, need in network.lines:
        offer, wanted = ("offer", supply.id), ("need", need.id, supply.part)
        back = backwards.get(supply.textbook) == supply.part
        shipments[supply.id, need.id] = flow[wanted][offer] if back else flow[offer][wanted]
    return trips_of(problem, shipments)


METHODS: dict[str, Callable[[Run], Answer]] = {
    "nearest": nearest,
    "flow": plain_flow,
    "networkx": networkx_flow,
    "fast": fast,
    "plan": plan,
}


def possible_lines(problem: Problem) -> int:
    """Return how many lines there could be, the hard filters left aside."""
    offers: dict[tuple[int, int], int] = defaultdict(int)
    for supply in problem.supplies:
        offers[supply.textbook, supply.part] += 1
    return sum(offers[need.textbook, part] for need in problem.needs for part, _ in need.parts)


# --- Measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One method on one instance. ``solving`` is the time of the bare engine on its finished model.

    ``coverage_bound``, ``fund_bound`` and ``trips_proven`` are those of the prices, which anybody can check;
    ``trips_bound`` is that of branch and cut where it is better.
    """

    instance: str
    method: str
    figures: Figures
    seconds: float
    megabytes: float
    solving: float | None = None
    coverage_bound: int | None = None
    fund_bound: int | None = None
    trips_proven: int | None = None
    trips_bound: float | None = None
    worst_served: float | None = None
    proving: float | None = None
    wrong: tuple[str, ...] = ()


def megabytes(processes: int) -> float:
    """Return the most memory this process has held, with that of as many children as there are processes."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status = Path("/proc/self/status")
    if status.exists():
        # A new process inherits its parent's peak; that of its own memory is kept here.
        own = int(status.read_text().partition("VmHWM:")[2].split()[0])
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + (processes if processes > 1 else 0) * child) / 1024


def measure(instance: dict[str, Any], method: str, options: argparse.Namespace) -> Row:
    """Run one method on one instance in this process."""
    import highspy  # noqa: F401  so that its loading is not counted

    if method == "networkx":
        import networkx  # noqa: F401
    problem = read(instance)
    if options.fair is not None:
        problem = replace(problem, controls=Controls(fairness=options.fair))
    run = Run(problem, options.time_limit, options.processes)
    started = time.perf_counter()
    answer = METHODS[method](run)
    seconds = time.perf_counter() - started
    memory = megabytes(options.processes)
    if not isinstance(answer, Result):
        wrong = tuple(verify(instance, as_plan(instance, answer)).wrong)
        figures = figures_of(problem, answer)
        return Row(instance["name"], method, figures, seconds, memory, run.solving, wrong=wrong)
    started = time.perf_counter()
    certificate = solver.certify(problem, answer)
    proving = time.perf_counter() - started
    document = as_plan(instance, answer.trips) | claims(instance, problem, answer, certificate, seconds)
    report = verify(instance, document)
    if options.plans and method == "plan":
        options.plans.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, ensure_ascii=False)
        (options.plans / f"{instance['name']}.plan.json").write_text(text, encoding="utf-8")
    bounds = {goal: proof.bound if (proof := certificate.proof(goal)) else None for goal in Goal}
    return Row(
        instance=instance["name"],
        method=method,
        figures=answer.figures,
        seconds=seconds,
        megabytes=memory,
        coverage_bound=bounds[Goal.COVERAGE],
        fund_bound=bounds[Goal.FUND],
        trips_proven=bounds[Goal.TRIPS],
        trips_bound=document["bound"]["trips"],
        proving=proving,
        wrong=tuple(report.wrong),
    )


def as_plan(instance: dict[str, Any], trips: tuple[Trip, ...]) -> dict[str, Any]:
    """Return a plan in the format of the instances: [given book, needed book, copies] by trip."""
    part = {book["id"]: book["part"] for book in instance["books"]}
    needed = {
        (number, part[book]): book
        for number, (_, books, _, _) in enumerate(open_sets(instance))
        for book in books
    }
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
            for trip in trips
        ],
    }


def claims(
    instance: dict[str, Any], problem: Problem, result: Result, certificate: Certificate, seconds: float
) -> dict[str, Any]:
    """Return what a plan says of itself, and the prices that show it by the names of the instance."""
    coverage, trips = certificate.proof(Goal.COVERAGE), certificate.proof(Goal.TRIPS)
    bounds = [certificate.claimed_trips, trips.bound if trips else None]
    wants = {
        number: f"{taker}:" + "+".join(map(str, books))
        for number, (taker, books, _, _) in enumerate(open_sets(instance))
    }
    offers = {supply.id: f"{supply.holder}:{supply.edition}" for supply in problem.supplies}
    document = as_json(certificate)
    for proof in document["proofs"]:
        proof["needs"] = [[wants[need], part, price] for need, part, price in proof["needs"]]
        proof["links"] = [[offers[supply], wants[need], price] for supply, need, price in proof["links"]]
    return {
        "covered_weight": result.figures.weight,
        "fund": result.figures.fund_copies,
        "trips": result.figures.trips,
        "km": result.figures.trip_km,
        "bound": {
            "covered_weight": coverage.bound if coverage else result.best_possible,
            "trips": max((bound for bound in bounds if bound is not None), default=0),
        },
        "seconds": seconds,
        "optimal_coverage": coverage is not None and coverage.bound == result.figures.weight,
        "certificate": document,
    }


# --- Repair ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Repairs:
    """What became of the plan when ``refusals`` lines were refused, one at a time.

    ``changed`` is the largest share of its trips that came or went, ``seconds`` the slowest repair.
    """

    instance: str
    refusals: int
    trips: int
    changed: float
    seconds: float


def measure_repair(instance: dict[str, Any], refusals: int) -> Repairs:
    """Repair the fast plan after one refusal, several times over, in this process."""
    import highspy  # noqa: F401  so that its loading is not counted

    problem = read(instance)
    plan = solver.solve(problem, effort=solver.QUICK)
    before = {(trip.giver, trip.taker) for trip in plan.trips}
    standing = tuple(Line(line.supply_id, line.need_id, line.copies) for line in plan.proposals)
    changed = seconds = 0.0
    drawn = random.Random(1).sample(plan.proposals, min(refusals, len(plan.proposals)))
    for refused in drawn:
        needs = tuple(
            replace(need, refused_by=need.refused_by | {refused.giver})
            if need.id == refused.need_id
            else need
            for need in problem.needs
        )
        repaired = solver.repair(replace(problem, needs=needs, standing=standing))
        seconds = max(seconds, repaired.seconds)
        after = {(trip.giver, trip.taker) for trip in repaired.trips}
        changed = max(changed, len(before ^ after) / max(1, len(before)))
    return Repairs(instance["name"], len(drawn), len(before), changed, seconds)


# --- Showing --------------------------------------------------------------------------------------


def against(row: Row, rival: Row | None) -> str:
    """Return how many times as long as the rival's bare engine a method took in all."""
    return f"{row.seconds / rival.solving:.1f}" if rival and rival.solving else ""


def report(rows: list[Row]) -> str:
    """Return the table: figures, and beside them bounds and ratios."""
    by_method = {(row.instance, row.method): row for row in rows}
    lines = [
        f"{'instance':22}{'method':10}{'weight':>8}{'best':>8}{'fund':>6}{'copies':>8}{'trips':>7}{'proven':>8}"
        f"{'bound':>7}{'gap':>7}{'km':>9}{'seconds':>9}{'×flow':>8}{'×nx':>7}{'MB':>6}"
    ]
    for row in rows:
        figures = row.figures
        best, proven, bound, gap = ("",) * 4
        if row.trips_bound is not None:
            best = str(row.coverage_bound)
            proven = "" if row.trips_proven is None else str(row.trips_proven)
            bound = f"{row.trips_bound:.0f}"
            gap = f"{100 * (figures.trips - row.trips_bound) / max(1, figures.trips):.1f} %"
        flow, networkx = (by_method.get((row.instance, name)) for name in ("flow", "networkx"))
        lines.append(
            f"{row.instance:22}{row.method:10}{figures.weight:8}{best:>8}{figures.fund_copies:6}"
            f"{figures.copies:8}{figures.trips:7}{proven:>8}{bound:>7}{gap:>7}{figures.trip_km:9.0f}"
            f"{row.seconds:9.3f}{against(row, flow):>8}{against(row, networkx):>7}{row.megabytes:6.0f}"
        )
        lines += [f"  wrong: {fault}" for fault in row.wrong]
    return "\n".join(lines)


COLOURS = {"nearest": "#b9bec6", "flow": "#8d99ae", "fast": "#4f86c6", "plan": "#1d4e89"}


def chart(rows: list[Row]) -> str:
    """Draw the trips of each method, as a share of nearest donor first, with the bound as a mark."""
    instances = list(dict.fromkeys(row.instance for row in rows))
    by_method = {(row.instance, row.method): row for row in rows}
    width, bar, space = 720, 16, 26
    left, right = 190, 60
    parts: list[str] = []
    top = 40
    for instance in instances:
        shown = [(name, by_method[instance, name]) for name in COLOURS if (instance, name) in by_method]
        most = max(row.figures.trips for _, row in shown) or 1
        middle = top + bar * len(shown) / 2 + 4
        parts.append(f'<text x="{left - 10}" y="{middle:.0f}" text-anchor="end">{instance}</text>')
        for name, row in shown:
            length = (width - left - right) * row.figures.trips / most
            parts.append(
                f'<rect x="{left}" y="{top}" width="{length:.1f}" height="{bar - 3}" fill="{COLOURS[name]}"/>'
                f'<text x="{left + length + 6:.1f}" y="{top + bar - 5}">{row.figures.trips}</text>'
            )
            if row.trips_bound:
                mark = left + (width - left - right) * row.trips_bound / most
                parts.append(f'<path d="M{mark:.1f} {top - 1}v{bar - 1}" stroke="#d1495b" stroke-width="3"/>')
            top += bar
        top += space
    legend = "".join(
        f'<rect x="{left + 110 * place}" y="10" width="12" height="12" fill="{colour}"/>'
        f'<text x="{left + 110 * place + 18}" y="20">{name}</text>'
        for place, (name, colour) in enumerate({**COLOURS, "proven bound": "#d1495b"}.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" font-family="sans-serif" '
        f'font-size="12" fill="#222" role="img" aria-label="Trips by method">'
        f'<rect width="100%" height="100%" fill="#fff"/>{legend}{"".join(parts)}</svg>\n'
    )


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def alone(task: Callable[..., Measured], *arguments: Any) -> Measured:
    """Do a task in a process of its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(task, *arguments).result()


def main() -> None:
    """Run every method on every instance and print what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("instances", nargs="*", type=Path)
    parser.add_argument("--time-limit", type=float, metavar="S", help="seconds for the thorough search")
    parser.add_argument("--plans", type=Path, metavar="DIR", help="write the plans to this folder")
    parser.add_argument("--fair", type=float, metavar="TOLERANCE", help="add the fairness pass (0 to 1)")
    parser.add_argument(
        "--processes",
        type=int,
        default=min(2, cores()),
        help="processes that share a region (default: one for each core that may be used, two at most)",
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="these only (default all)")
    parser.add_argument("--charts", type=Path, metavar="DIR", help="draw trips.svg in this folder")
    parser.add_argument("--repair", type=int, default=0, metavar="N", help="refuse so many lines")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    paths = options.instances or sorted(SHARED.glob("district-*.json"))
    instances = [] if options.instances else [small_district()]
    instances += [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    rows = []
    repairs = []
    for instance in instances:
        small = possible_lines(read(instance)) <= NETWORKX_LINES
        for method in options.methods or [name for name in METHODS if small or name != "networkx"]:
            rows.append(alone(measure, instance, method, options))
        if options.repair and small:
            repairs.append(alone(measure_repair, instance, options.repair))
    if options.charts:
        (options.charts / "trips.svg").write_text(chart(rows), encoding="utf-8")
    if options.json:
        print(json.dumps([asdict(row) for row in (*rows, *repairs)], ensure_ascii=False))
        return
    print(report(rows))
    for one in repairs:
        print(
            f"{one.instance:22}repair after {one.refusals} refusals, one at a time: at most "
            f"{100 * one.changed:.1f} % of {one.trips} trips changed, at most {one.seconds:.3f} s"
        )


if __name__ == "__main__":
    main()
