"""Having a plan made: ordered, solved outside any transaction, stored."""

from __future__ import annotations

from typing import Any

from exchange import journal, runs
from exchange.clock import Clock
from exchange.db import db, in_unit
from exchange.errors import Stale
from exchange.matching import rules
from exchange.matching.models import Plan, PlanLine, PlanState
from exchange.matching.services import snapshots
from exchange.matching.services.gathering import Gathered, gather
from exchange.matching.services.plans import RUN_KIND, draft_of, lock_plans, working
from exchange.matching.services.reasons import uncovered_to_store
from exchange.schools import access
from exchange.schools.models import District, User
from exchange.schools.rules import Action


def order(*, thorough: bool = False, by: User, clock: Clock) -> runs.Run:
    """Ask for a new plan of the person's district; ``runs.submit`` it after the unit of work.

    ``thorough`` looks longer for fewer trips. While one is being made, that one is returned: neither a second
    click nor a colleague starts the same work twice.
    """
    access.require(by, Action.MATCH)
    lock_plans(by.district_id)
    return working(by.district_id, clock=clock) or runs.enter(
        RUN_KIND, district_id=by.district_id, by_id=by.id, clock=clock, input={"thorough": thorough}
    )


def perform(run: runs.Run, *, clock: Clock) -> dict[str, Any]:
    """Make the plan a run asks for: read, solve outside any transaction, store. Return its id.

    Raises ``Stale`` when somebody changed or published the draft meanwhile.
    """
    district_id, by_id, thorough = run.district_id, run.started_by_id, bool(run.input.get("thorough"))
    former = draft_of(district_id)
    seen = (former.id, former.version) if former else None
    gathered = gather(
        db.session.get_one(District, district_id), clock=clock, kept=former.lines if former else ()
    )
    db.session.rollback()
    # The optimiser and its numbers are heavy: a server that never matches never loads them.
    from exchange.matching import solver

    result = solver.solve(gathered.problem, effort=solver.NORMAL if thorough else solver.QUICK)
    faults = rules.check(gathered.problem, result)
    if faults:
        raise RuntimeError(f"the plan breaks its promises: {faults[:3]}")
    uncovered = uncovered_to_store(gathered.problem, result)

    def store() -> int:
        return _store(
            district_id, by_id, seen, gathered, result, uncovered, thorough=thorough, clock=clock
        ).id

    return {"plan_id": in_unit(store)}


def _store(
    district_id: int,
    by_id: int,
    seen: tuple[int, int] | None,
    gathered: Gathered,
    result: rules.Result,
    uncovered: list[dict[str, Any]],
    *,
    thorough: bool,
    clock: Clock,
) -> Plan:
    """Store the result as the district's one draft; ``seen`` is id and version of the one it replaces."""
    lock_plans(district_id)
    former = draft_of(district_id, lock=True)
    if seen != ((former.id, former.version) if former else None):
        raise Stale("Пока шёл подбор, черновик изменили, опубликовали или заменили. Подберите ещё раз.")
    removed = [line for line in former.lines if line.removed] if former else []
    reasons = rules.reasons(gathered.problem, result.trips)
    plan = Plan(
        district_id=district_id,
        state=PlanState.DRAFT,
        created_at=clock.now(),
        created_by_id=by_id,
        controls={},
        certificate={},
        figures=_figures(gathered.problem, result, thorough=thorough),
        uncovered=uncovered,
        problem=snapshots.packed(gathered.problem),
    )
    db.session.add(plan)
    for proposal in result.proposals:
        origin = gathered.origins[proposal.supply_id]
        plan.lines.append(
            PlanLine(
                giver_id=proposal.giver,
                taker_id=proposal.taker,
                edition_id=proposal.edition,
                owner_id=origin.owner_id,
                request_id=proposal.need_id,
                offer_id=origin.offer_id,
                kind=proposal.kind,
                copies=proposal.copies,
                km=proposal.km or 0.0,
                locked=bool(proposal.locked),
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
        by_id=by_id,
        clock=clock,
        district_id=district_id,
        trips=result.figures.trips,
        copies=result.figures.copies,
    )
    return plan


def _figures(problem: rules.Problem, result: rules.Result, *, thorough: bool) -> dict[str, Any]:
    asked = sum(size.size for need in problem.needs for size in rules.layers(need))
    figures: dict[str, Any] = {
        "asked": asked,
        "weight": result.figures.weight,
        "best_weight": result.best_possible,
        "seconds": round(result.seconds, 2),
        "thorough": thorough,
        "trips_bound": next(p.bound for p in result.passes if p.name == "trips"),
        "optimal": {p.name: p.optimal for p in result.passes},
    }
    for name, of in (("plan", result.figures), ("baseline", result.baseline)):
        figures[name] = {
            "sets": of.sets,
            "copies": of.copies,
            "fund_copies": of.fund_copies,
            "trips": of.trips,
            "trip_km": of.trip_km,
            "weight": of.weight,
        }
    return figures
