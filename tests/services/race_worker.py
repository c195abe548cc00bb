"""One of two processes that want the same last copies at the same moment.

``unguarded`` takes the locks out: on SQLite transactions begin deferred, and copies are promised by reading
and writing back. The race test shows that it then fails.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from exchange import create_app, runs
from exchange.approved import services as approved
from exchange.classes import services as classes
from exchange.classes.rules import Group
from exchange.clock import FrozenClock
from exchange.db import db, in_unit
from exchange.errors import Invalid
from exchange.intake import services as intake
from exchange.intake.models import Intake
from exchange.ledger import services as ledger
from exchange.ledger.models import Balance
from exchange.ledger.rules import Line
from exchange.matching import services as matching
from exchange.schools.models import Holder, User
from exchange.transfers import services
from tests.conftest import START, make_settings

WAIT_SECONDS = 60


def _begin_deferred(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _promise_by_reading(lines: Iterable[Line]) -> None:
    for line in lines:
        balance = db.session.execute(
            sa.select(Balance.id, Balance.copies, Balance.promised).where(
                Balance.owner_id == line.owner_id,
                Balance.holder_id == line.holder_id,
                Balance.edition_id == line.edition_id,
            )
        ).one()
        if balance.copies - balance.promised < line.copies:
            raise Invalid(ledger.NOT_ENOUGH, needed=line.copies, free=balance.copies - balance.promised)
        time.sleep(0.2)
        db.session.execute(
            sa.update(Balance)
            .where(Balance.id == balance.id)
            .values(promised=balance.promised + line.copies)
            .execution_options(synchronize_session=False)
        )


def agree(transfer_id: int, by: User, clock: FrozenClock) -> None:
    """Agree to the whole of a transfer."""
    services.agree(transfer_id, {}, by=by, clock=clock)


def ask(offer_id: int, by: User, clock: FrozenClock) -> None:
    """Ask for all the copies of an offer."""
    taker = db.session.get_one(Holder, by.memberships[0].school_id)
    services.ask_school(offer_id, taker=taker, copies=3, by=by, clock=clock)


def approve_list(list_id: int, by: User, clock: FrozenClock) -> None:
    """Approve a list of textbooks."""
    approved.approve(list_id, by=by, clock=clock)


def set_groups(year: int, by: User, clock: FrozenClock) -> None:
    """Store class groups where nothing was seen to be stored."""
    school = db.session.get_one(Holder, by.memberships[0].school_id)
    groups = [Group(5, "", 20 + by.id)]
    classes.set_groups(school=school, school_year=year, groups=groups, seen="", by=by, clock=clock)


def write_import(intake_id: int, by: User, clock: FrozenClock) -> None:
    """Write an import to the shelf."""
    intake.apply(intake_id, seen=None, by=by, clock=clock)


def publish_plan(plan_id: int, by: User, clock: FrozenClock) -> None:
    """Publish a draft, whichever version of it is there."""
    matching.publish(plan_id, seen=None, by=by, clock=clock)


def restore_plan(plan_id: int, by: User, clock: FrozenClock) -> None:
    """Take a discarded plan up again."""
    matching.restore(plan_id, by=by, clock=clock)


def make_plan(run_id: int, by: User, clock: FrozenClock) -> None:
    """Do a run that makes or repairs a plan, as its executor does; say why where it failed."""
    runs.submit(run_id)
    db.session.rollback()
    run = db.session.get_one(runs.Run, run_id)
    if run.state is not runs.RunState.DONE:
        raise Invalid(str(run.message))


def publish_or_repair(target: int, by: User, clock: FrozenClock) -> None:
    """Publish a plan, or do the run of that number below nothing."""
    if target > 0:
        in_unit(lambda: publish_plan(target, by, clock))
    else:
        make_plan(-target, by, clock)


def order_repair(_number: int, by: User, clock: FrozenClock) -> None:
    """Ask for a repair of the district's plan."""
    matching.order(repair=True, by=by, clock=clock)


def approve_swap(plan_id: int, by: User, clock: FrozenClock) -> None:
    """Approve the one swap of a plan."""
    plan = matching.plan_of(plan_id, by=by)
    (group,) = matching.groups_of(plan)
    seen = [part.id for part in group.parts]
    matching.approve_swap(plan_id, group.number, seen=seen, by=by, clock=clock)


def _read_without_lock(intake_id: int) -> Intake:
    found = db.session.get_one(Intake, intake_id)
    time.sleep(0.2)
    return found


JOBS = {
    "approve_swap": approve_swap,
    "make_plan": make_plan,
    "order_repair": order_repair,
    "publish_or_repair": publish_or_repair,
    "publish_plan": publish_plan,
    "restore_plan": restore_plan,
    "write_import": write_import,
    "agree": agree,
    "ask": ask,
    "approve_list": approve_list,
    "set_groups": set_groups,
}


#: Jobs with units of work of their own.
IN_OWN_UNITS = {"make_plan", "publish_or_repair"}


def run(
    folder: str,
    url: str,
    job: str,
    person: int,
    targets: list[int],
    start: Any,
    answers: Any,
    unguarded: bool,
) -> None:
    """Do the job on each target, each begun together with the other process; answer what came of it."""
    if unguarded:
        # By its name: in the package «exchange», «db» is the database, not the module.
        importlib.import_module("exchange.db")._on_sqlite_begin = _begin_deferred
        ledger.promise = _promise_by_reading
        intake._locked = _read_without_lock
    app = create_app(make_settings(Path(folder), url), FrozenClock(START))
    clock = FrozenClock(START)
    results = []
    with app.app_context():
        for target in targets:

            def work(target: int = target) -> None:
                JOBS[job](target, db.session.get_one(User, person), clock)

            start.wait(WAIT_SECONDS)
            try:
                if job in IN_OWN_UNITS:
                    work()
                else:
                    in_unit(work)
            except Invalid as refusal:
                results.append(f"refused: {refusal}")
            except Exception as error:
                results.append(f"error: {type(error).__name__}")
            else:
                results.append("won")
        db.session.remove()
        db.engine.dispose()
    answers.put(results)
