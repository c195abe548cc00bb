"""Having a plan made: ordered, solved outside any transaction, stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from exchange import config, journal, runs
from exchange.clock import Clock
from exchange.db import db, in_unit
from exchange.errors import NotFound, Stale, WrongMoment
from exchange.matching import rules
from exchange.matching.models import Plan, PlanLine, PlanState
from exchange.matching.services import snapshots
from exchange.matching.services.controls import PlanControls, check, from_json, to_json
from exchange.matching.services.gathering import Gathered, Released, gather, released
from exchange.matching.services.plans import (
    FRONTIER_KIND,
    RUN_KIND,
    draft_of,
    last_published,
    lock_plans,
    working,
)
from exchange.matching.services.reasons import uncovered_to_store
from exchange.schools import access
from exchange.schools.models import District, User
from exchange.schools.rules import Action
from exchange.transfers.models import Transfer
from exchange.transfers.rules import FAILED

if TYPE_CHECKING:
    from exchange.matching.solver import Standing


#: The search for fewer trips ends after this, with the best plan it has.
MOST_SECONDS = 60
#: How often a search writes down where it stands.
SECONDS_BETWEEN_REPORTS = 0.5


def order(
    *,
    controls: PlanControls | None = None,
    thorough: bool = False,
    repair: bool = False,
    by: User,
    clock: Clock,
) -> runs.Run:
    """Ask for a new plan of the person's district; ``runs.submit`` it after the unit of work.

    ``controls`` ``None``: those of the draft, of the plan to be repaired, else the usual ones. ``thorough``
    looks longer for fewer trips. ``repair`` keeps to the draft, without one to the plan published last, and
    changes only what has to change. While one is being made, that one is returned: neither a second click nor
    a colleague starts the same work twice. Raises ``Invalid``, and ``WrongMoment`` without a plan to repair.
    """
    access.require(by, Action.MATCH)
    if controls is not None:
        check(controls)
    lock_plans(by.district_id)
    at_work = working(by.district_id, clock=clock)
    if at_work is not None:
        return at_work
    former = draft_of(by.district_id)
    base = former or (last_published(by.district_id) if repair else None)
    if repair and base is None:
        raise WrongMoment("Чинить нечего: ещё нет ни одного плана.")
    if controls is None:
        controls = from_json(base.controls) if base is not None else PlanControls()
    return runs.enter(
        RUN_KIND,
        district_id=by.district_id,
        by_id=by.id,
        clock=clock,
        input={"thorough": thorough, "repair": repair, "controls": to_json(controls)},
    )


def stop(run_id: int, *, by: User) -> runs.Run:
    """Let a run of the person's district end with the best plan it has found; one that has ended stays so."""
    access.require(by, Action.MATCH)
    run = db.session.get(runs.Run, run_id)
    if run is None or run.district_id != by.district_id or run.kind not in {RUN_KIND, FRONTIER_KIND}:
        raise NotFound
    runs.ask_stop(run.id)
    db.session.refresh(run)
    return run


def perform(run: runs.Run, *, clock: Clock) -> dict[str, Any]:
    """Make the plan a run asks for: read, solve outside any transaction, store. Return its id.

    Raises ``Stale`` when somebody changed or published the draft meanwhile.
    """
    asked = _Asked(
        run.district_id,
        run.started_by_id,
        from_json(run.input.get("controls", {})),
        thorough=bool(run.input.get("thorough")),
        repair=bool(run.input.get("repair")),
    )
    run_id = run.id
    district = db.session.get_one(District, asked.district_id)
    former = draft_of(asked.district_id)
    seen = (former.id, former.version) if former else None
    base = _base(former or last_published(asked.district_id)) if asked.repair else None
    gathered = gather(
        district,
        controls=asked.controls,
        clock=clock,
        kept=former.lines if former else (),
        standing=base.lines if base else (),
        driven=base.living if base else (),
    )
    unlocked = _as_stored(released(former.lines, gathered)) if former else []
    db.session.rollback()
    # The optimiser and its numbers are heavy: a server that never matches never loads them.
    from exchange.matching import solver

    problem, processes = gathered.problem, config.current().matching_processes
    if base is None:
        result = solver.solve(
            problem,
            effort=solver.THOROUGH if asked.thorough else solver.QUICK,
            watch=_reporter(run_id, by_road=problem.controls.by_road, clock=clock),
            time_limit=MOST_SECONDS,
            processes=processes,
        )
        fresh = None
    else:
        result = solver.repair(problem)
        fresh = solver.solve(replace(problem, standing=()), effort=solver.QUICK, processes=processes)
    faults = rules.check(problem, result)
    if faults:
        raise RuntimeError(f"the plan breaks its promises: {faults[:3]}")
    figures = _figures(problem, result, thorough=asked.thorough)
    figures["plan"] = _described(problem, result.trips)
    figures["baselines"] = {
        "nearest": _described(problem, solver.nearest_donor_first(problem)),
        "flow": _described(problem, solver.minimum_cost_flow(problem)),
    }
    if unlocked:
        figures["released"] = unlocked
    if base is not None and fresh is not None:
        figures["repair"] = _stability(base, result, fresh)
    made = _Made(
        gathered,
        result,
        figures,
        rules.as_json(solver.certify(problem, result)),
        uncovered_to_store(problem, result),
        base.plan_id if base else None,
    )
    return {"plan_id": in_unit(lambda: _store(asked, seen, made, clock=clock).id)}


def _reporter(run_id: int, *, by_road: bool, clock: Clock) -> Callable[[Standing], bool]:
    """Return what writes down, every so often, where a search stands, and ends it when somebody asks."""
    told = 0.0

    def watch(standing: Standing) -> bool:
        nonlocal told
        if standing.seconds - told < SECONDS_BETWEEN_REPORTS:
            return True
        told = standing.seconds
        reached = (
            {"km": standing.trips / 10, "least_km": standing.bound / 10}
            if by_road
            else {"trips": standing.trips, "bound": standing.bound}
        )
        return runs.report(
            run_id, {**reached, "seconds": standing.seconds, "limit": MOST_SECONDS}, clock=clock
        )

    return watch


@dataclass(frozen=True)
class _Asked:
    """What a run asks for, read once: its row is not at hand while the plan is solved."""

    district_id: int
    by_id: int
    controls: PlanControls
    thorough: bool
    repair: bool


@dataclass(frozen=True)
class _Base:
    """A plan to be repaired: its lines that were not taken out, its trips; those that live as transfers."""

    plan_id: int
    lines: Sequence[PlanLine]
    trips: frozenset[tuple[int, int]]
    living: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class _Made:
    """A plan ready to be stored."""

    gathered: Gathered
    result: rules.Result
    figures: dict[str, Any]
    certificate: dict[str, Any]
    uncovered: list[dict[str, Any]]
    base_id: int | None


def _as_stored(locks: Sequence[Released]) -> list[dict[str, Any]]:
    """Return the locks that fell away as they are kept with the figures of the plan that lost them."""
    return [
        {
            "giver": lock.line.giver.short_name,
            "taker": lock.line.taker.short_name,
            "title": lock.line.edition.textbook.title,
            "copies": lock.line.copies,
            "left": lock.left,
            "reason": lock.reason,
        }
        for lock in locks
    ]


def _base(plan: Plan | None) -> _Base | None:
    if plan is None:
        return None
    lines = [line for line in plan.lines if not line.removed]
    living = db.session.execute(
        sa.select(Transfer.giver_id, Transfer.taker_id).where(
            Transfer.plan_id == plan.id, Transfer.state.not_in(FAILED)
        )
    )
    return _Base(
        plan.id,
        lines,
        frozenset((line.giver_id, line.taker_id) for line in lines),
        frozenset((row.giver_id, row.taker_id) for row in living),
    )


def _stability(base: _Base, result: rules.Result, fresh: rules.Result) -> dict[str, Any]:
    """Return how far a repair keeps to its base, and what a plan made anew would come to.

    What lives as a transfer is kept, and driven besides the trips of both results.
    """
    trips = {(trip.giver, trip.taker) for trip in result.trips}
    anew = {(trip.giver, trip.taker) for trip in fresh.trips}
    return {
        "kept": len(base.trips & (trips | base.living)),
        "gone": sorted(base.trips - trips - base.living),
        "new": sorted(trips - base.trips - base.living),
        "fresh": {
            **figures_as_stored(fresh.figures),
            "kept": len(base.trips & (anew | base.living)),
            "gone": len(base.trips - anew - base.living),
            "new": len(anew - base.trips - base.living),
        },
    }


def _store(asked: _Asked, seen: tuple[int, int] | None, made: _Made, *, clock: Clock) -> Plan:
    """Store the result as the district's one draft; ``seen`` is id and version of the one it replaces."""
    lock_plans(asked.district_id)
    former = draft_of(asked.district_id, lock=True)
    if seen != ((former.id, former.version) if former else None):
        raise Stale("Пока шёл подбор, черновик изменили, опубликовали или заменили. Подберите ещё раз.")
    removed = [line for line in former.lines if line.removed] if former else []
    gathered, result = made.gathered, made.result
    reasons = rules.reasons(gathered.problem, result.trips)
    fixed = {(line.supply_id, line.need_id): line for line in gathered.problem.fixed}
    plan = Plan(
        district_id=asked.district_id,
        state=PlanState.DRAFT,
        created_at=clock.now(),
        created_by_id=asked.by_id,
        base_id=made.base_id,
        controls=to_json(asked.controls),
        certificate=made.certificate,
        figures=made.figures,
        uncovered=made.uncovered,
        problem=snapshots.packed(gathered.problem),
    )
    db.session.add(plan)
    for proposal in result.proposals:
        origin = gathered.origins[proposal.supply_id]
        lock = fixed.get((proposal.supply_id, proposal.need_id))
        plan.lines.append(
            PlanLine(
                giver_id=proposal.giver,
                taker_id=proposal.taker,
                edition_id=proposal.edition,
                owner_id=origin.owner_id,
                request_id=proposal.need_id,
                offer_id=origin.offer_id,
                supply_id=proposal.supply_id,
                kind=proposal.kind,
                copies=proposal.copies,
                km=proposal.km or 0.0,
                locked=lock is not None,
                exact=lock is not None and lock.exact,
                reason="; ".join(str(s) for s in reasons[proposal.supply_id, proposal.need_id]),
            )
        )
    for line in removed:
        # What was taken out stays in sight, so that it can be put back.
        plan.lines.append(
            PlanLine(
                giver_id=line.giver_id,
                taker_id=line.taker_id,
                edition_id=line.edition_id,
                owner_id=line.owner_id,
                request_id=line.request_id,
                offer_id=line.offer_id,
                kind=line.kind,
                copies=line.copies,
                km=line.km,
                removed=True,
                reason=line.reason,
            )
        )
    if former is not None:
        former.state = PlanState.DISCARDED
    db.session.flush()
    journal.record(
        "plan",
        plan.id,
        "Подбор выполнен: поездок %(trips)s, экземпляров %(copies)s",
        by_id=asked.by_id,
        clock=clock,
        district_id=asked.district_id,
        trips=result.figures.trips,
        copies=result.figures.copies,
    )
    return plan


def _figures(problem: rules.Problem, result: rules.Result, *, thorough: bool) -> dict[str, Any]:
    asked = sum(size.size for need in problem.needs for size in rules.layers(need))
    return {
        "asked": asked,
        "weight": result.figures.weight,
        "best_weight": result.best_possible,
        "seconds": round(result.seconds, 2),
        "thorough": thorough,
        "trips_bound": next(p.bound for p in result.passes if p.name == "trips"),
        "optimal": {p.name: p.optimal for p in result.passes},
        "passes": [
            {"name": p.name, "value": p.value, "bound": p.bound, "optimal": p.optimal} for p in result.passes
        ],
        "plan": figures_as_stored(result.figures),
        "baseline": figures_as_stored(result.baseline),
    }


def _described(problem: rules.Problem, trips: Sequence[rules.Trip]) -> dict[str, Any]:
    """Return what trips come to, and how fair they are: the share of the school that fares worst."""
    figures = figures_as_stored(rules.figures_of(problem, trips))
    return {**figures, "fairness": rules.worst_served(problem, trips)}


def figures_as_stored(figures: rules.Figures) -> dict[str, Any]:
    """Return what a plan comes to, as it is stored."""
    return {
        "sets": figures.sets,
        "copies": figures.copies,
        "fund_copies": figures.fund_copies,
        "trips": figures.trips,
        "trip_km": figures.trip_km,
        "copy_km": figures.copy_km,
        "weight": figures.weight,
    }
