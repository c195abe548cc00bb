"""Who waits for whom on PostgreSQL: locks in one order, and no more of them than needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from exchange.clock import FrozenClock
from exchange.counting import services as counting
from exchange.counting.rules import Decision
from exchange.db import db, in_unit, unit_of_work
from exchange.disposals import services as disposals
from exchange.errors import Invalid
from exchange.journal import JournalEntry
from exchange.postings import services as postings
from exchange.postings.models import RequestPart
from exchange.postings.rules import ShortageReason
from exchange.schools.models import User
from exchange.transfers import services
from exchange.transfers.rules import State
from exchange.web.unit import Portal
from tests import counting_world, factories
from tests.conftest import ENGINE, SignIn
from tests.factories import World
from tests.postings_world import TODAY, make_textbook, request_of
from tests.transfers_world import make_deal, walk

pytestmark = pytest.mark.skipif(
    ENGINE != "postgresql", reason="SQLite has one writer at a time: no row locks"
)


def test_numbering_acts_does_not_keep_others_from_the_journal(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        accepted = make_deal(world, clock)
        walk(accepted, world, clock, State.ACCEPTED)
    district_id = world.district.id
    with unit_of_work():
        services.approve(accepted.id, by=world.methodist, clock=clock)
        with db.engine.connect() as other:
            other.execute(sa.text("SET lock_timeout = '2s'"))
            other.execute(
                sa.insert(JournalEntry).values(
                    district_id=district_id,
                    at=clock.now(),
                    subject="offer",
                    subject_id=1,
                    message="Отозван",
                    parameters={},
                )
            )
            other.rollback()


@pytest.mark.parametrize("url", ["/transfers/{id}/approve", "/transfers/approve"])
def test_whoever_approves_locks_the_district_first(
    world: World, clock: FrozenClock, sign_in: SignIn, url: str
) -> None:
    with unit_of_work():
        accepted = make_deal(world, clock)
        walk(accepted, world, clock, State.ACCEPTED)
    client, number = sign_in(world.methodist), accepted.id
    locks: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if " FOR " in statement:
            locks.append(statement.partition("FROM ")[2].split()[0])

    sa.event.listen(db.engine, "before_cursor_execute", note)
    assert client.post(url.format(id=number), data={"id": str(number)}).status_code == 303
    assert locks[:2] == ["district", "transfer"]


def test_a_count_waits_for_the_act_before_it_locks_copies(world: World, clock: FrozenClock) -> None:
    """In the order of posting an act: else the two would wait for each other."""
    textbook = factories.make_textbook("Математика")
    factories.put_on_shelf(world.donor_school, textbook, 12, by=world.donor, clock=clock)
    edition = counting_world.edition_of(textbook)
    sheet = counting_world.begin(world, clock, counting_world.open_campaign(world, clock))
    counting_world.tap(sheet, edition, 10, by=world.donor, clock=clock)
    with unit_of_work():
        counting.decide_all(sheet.id, Decision.LOST, by=world.donor, clock=clock)
    with unit_of_work():
        disposals.draft_for(world.donor_school, by=world.donor, clock=clock)
    locks: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if " FOR " in statement:
            locks.append(statement.partition("FROM ")[2].split()[0])

    sa.event.listen(db.engine, "before_cursor_execute", note)
    with unit_of_work():
        counting.confirm(sheet.id, seen=None, by=world.donor, clock=clock)
    assert "balance" in locks
    assert locks.index("write_off_act") < locks.index("balance")


def test_copies_found_meanwhile_are_not_asked_away(app: Portal, world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        request_id = request_of(world, clock, make_textbook()).id
    person = world.recipient.id
    outcome: list[BaseException] = []

    def lower() -> None:
        postings.change_request(
            request_id,
            copies_by_part={1: 2},
            reason=ShortageReason.MORE_PUPILS,
            needed_by=None,
            year_from=None,
            loan_acceptable=True,
            expires_on=TODAY,
            note="",
            seen=None,
            by=db.session.get_one(User, person),
            clock=clock,
        )

    def work() -> None:
        with app.app_context():
            try:
                in_unit(lower)
            except Exception as error:
                outcome.append(error)
            finally:
                db.session.remove()

    with db.engine.connect() as other:
        other.execute(sa.update(RequestPart).where(RequestPart.request_id == request_id).values(matched=3))
        thread = threading.Thread(target=work)
        thread.start()
        _wait_until(_somebody_waits_for_a_lock)
        other.commit()
    thread.join(20)
    assert [type(error) for error in outcome] == [Invalid]


def _somebody_waits_for_a_lock() -> bool:
    with db.engine.connect() as looking:
        found = looking.scalar(
            sa.text(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )
    return bool(found)


def _wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
