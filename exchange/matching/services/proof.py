"""The proof of a plan, to be taken away and checked by a program that did not make it."""

from __future__ import annotations

from typing import Any

from exchange.errors import NotFound, WrongMoment
from exchange.matching import rules
from exchange.matching.services import snapshots
from exchange.matching.services.plans import plan_of
from exchange.schools.models import User


def proof_of(plan_id: int, *, by: User) -> dict[str, Any]:
    """Return what ``benchmarks/check_plan.py`` reads: the problem, and the plan with its certificate.

    The plan is the one that was solved: what the methodist took out of it since is in. Raises ``NotFound``
    where the plan was made before proofs were kept, ``WrongMoment`` where quantities were fixed since.
    """
    plan = plan_of(plan_id, by=by)
    if plan.problem is None or not plan.certificate:
        raise NotFound
    if plan.is_outdated:
        raise WrongMoment("Количества в плане изменили: подберите вокруг них заново, потом доказывайте.")
    problem = snapshots.unpacked(plan.problem)
    # Lines without a supply were taken out of an earlier plan, and are only in sight here.
    shipments = {
        (line.supply_id, line.request_id): line.copies for line in plan.lines if line.supply_id is not None
    }
    trips = rules.trips_of(problem, shipments)
    return {
        "problem": rules.dump(problem),
        "plan": {
            **rules.dump_trips(trips, rules.figures_of(problem, trips)),
            "certificate": plan.certificate,
        },
    }
