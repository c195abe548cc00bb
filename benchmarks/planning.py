"""Measure «Подобрать» from the database and back: reading, solving, proving, explaining, storing.

    python benchmarks/planning.py [--districts N] [--thorough]

Fills an SQLite database with the postings of ``pages.py`` (60,000, in N districts of 20 schools; default 40,
so 1,500 postings a district: every school gives and lacks dozens of books), has a methodist ask for a plan,
and prints how long each step of the run took, and what the plan came to.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import flask_migrate  # noqa: E402
import sqlalchemy as sa  # noqa: E402

from benchmarks.pages import NOW, fill  # noqa: E402
from exchange import create_app  # noqa: E402
from exchange.clock import FrozenClock  # noqa: E402
from exchange.config import Settings  # noqa: E402
from exchange.db import db, in_unit  # noqa: E402
from exchange.matching import rules, services, solver  # noqa: E402
from exchange.matching.models import Plan  # noqa: E402
from exchange.matching.services import making  # noqa: E402
from exchange.runs import Run  # noqa: E402
from exchange.schools import services as schools  # noqa: E402
from exchange.schools.models import User  # noqa: E402
from exchange.schools.rules import Role  # noqa: E402

STEPS: tuple[tuple[Any, str], ...] = (
    (making, "gather"),
    (solver, "solve"),
    (rules, "check"),
    (solver, "minimum_cost_flow"),
    (solver, "certify"),
    (making, "uncovered_to_store"),
    (making, "_store"),
)
"""The steps of a run, by the places where the run looks them up."""


def timed(owner: Any, name: str, seconds: dict[str, float]) -> None:
    """Have a step add its time up."""
    step: Callable[..., Any] = getattr(owner, name)

    def instead(*args: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return step(*args, **named)
        finally:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started

    setattr(owner, name, instead)


def main() -> None:
    """Fill a database, make a plan, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--districts", type=int, default=40, help="districts that share the postings")
    parser.add_argument("--thorough", action="store_true", help="search longer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clock = FrozenClock(NOW)
        app = create_app(Settings(instance=Path(folder), secret_key="benchmark", executor="inline"), clock)
        with app.app_context():
            flask_migrate.upgrade()
            librarian_id = fill(options.districts, clock)[0].id
            in_unit(lambda: db.session.execute(sa.text("ANALYZE")))

            def methodist() -> int:
                district_id = db.session.get_one(User, librarian_id).district_id
                return schools.make_user(
                    district_id=district_id,
                    login="methodist",
                    full_name="Учебникова Людмила Сергеевна",
                    password_hash="nobody signs in with a password here",
                    role=Role.METHODIST,
                    clock=clock,
                ).id

            methodist_id = in_unit(methodist)
            run_id = in_unit(
                lambda: (
                    services.order(
                        by=db.session.get_one(User, methodist_id), thorough=options.thorough, clock=clock
                    ).id
                )
            )
            seconds: dict[str, float] = {}
            for owner, name in STEPS:
                timed(owner, name, seconds)
            started = time.perf_counter()
            made = services.perform(db.session.get_one(Run, run_id), clock=clock)
            whole = time.perf_counter() - started
            figures = db.session.get_one(Plan, made["plan_id"]).figures
    for name, taken in seconds.items():
        print(f"{name.strip('_'):20}{taken:8.2f} s")
    print(f"{'whole run':20}{whole:8.2f} s")
    plan, nearest, flow = figures["plan"], figures["baselines"]["nearest"], figures["baselines"]["flow"]
    print(f"{plan['sets']} of {figures['asked']} sets, weight {plan['weight']} of {figures['best_weight']}")
    print(f"trips {plan['trips']} (nearest first {nearest['trips']}, plain flow {flow['trips']})")


if __name__ == "__main__":
    main()
