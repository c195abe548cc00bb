"""Shelves being counted, for the tests, made by walking the real steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date

import sqlalchemy as sa

from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, Textbook
from exchange.clock import FrozenClock
from exchange.counting import services
from exchange.counting.models import CountingCampaign, CountLine, CountSheet
from exchange.counting.services import Row, Tap
from exchange.db import db, unit_of_work
from exchange.ledger import services as ledger
from exchange.ledger.models import Balance
from exchange.ledger.rules import MovementKind, transfer_of_copies
from exchange.schools.models import Holder, User
from exchange.web.unit import Portal
from tests.factories import World


def edition_of(textbook: Textbook, year: int = 2023, part: int = 1) -> Edition:
    return catalog.edition_for(textbook.id, year, part)


def open_campaign(world: World, clock: FrozenClock, title: str = "Пересчёт") -> CountingCampaign:
    with unit_of_work():
        return services.open_campaign(
            title=title,
            starts_on=date(2026, 9, 14),
            ends_on=date(2026, 10, 9),
            by=world.methodist,
            clock=clock,
        )


def begin(world: World, clock: FrozenClock, campaign: CountingCampaign) -> CountSheet:
    """The donor begins to count."""
    with unit_of_work():
        return services.begin(campaign.id, holder=world.donor_school, by=world.donor, clock=clock)


def row_of(sheet: CountSheet, edition: Edition) -> Row:
    (row,) = services.lines(sheet, edition_ids=[edition.id])
    return row


def tap(sheet: CountSheet, edition: Edition, counted: int, *, by: User, clock: FrozenClock) -> None:
    """Enter a number on a page that shows what is there."""
    line = row_of(sheet, edition).line
    with unit_of_work():
        services.tap(sheet.id, edition.id, Tap(counted, line.taps, line.booked), by=by, clock=clock)


def counted(sheet: CountSheet, edition: Edition) -> int | None:
    return db.session.scalar(
        sa.select(CountLine.counted).where(CountLine.sheet_id == sheet.id, CountLine.edition_id == edition.id)
    )


def lend(
    giver: Holder, taker: Holder, edition: Edition, copies: int, world: World, clock: FrozenClock
) -> None:
    """Move copies as a loan does: another place, the same owner."""
    with unit_of_work():
        ledger.post(
            MovementKind.RECEIPT,
            transfer_of_copies(edition.id, copies, owner=(giver.id, giver.id), holder=(giver.id, taker.id)),
            by=world.methodist,
            clock=clock,
            district_id=world.district.id,
        )


def own(holder: Holder, edition: Edition) -> int:
    return (
        db.session.scalar(
            sa.select(Balance.copies).where(
                Balance.holder_id == holder.id,
                Balance.owner_id == holder.id,
                Balance.edition_id == edition.id,
            )
        )
        or 0
    )


def at_once(app: Portal, *works: Callable[[], object]) -> list[BaseException | None]:
    """Let several people do something at the same moment; return what each was refused with."""
    start = threading.Barrier(len(works))
    results: list[BaseException | None] = [None] * len(works)

    def run(place: int, work: Callable[[], object]) -> None:
        with app.app_context():
            try:
                start.wait(10)
                work()
            except BaseException as error:
                results[place] = error
            finally:
                db.session.remove()

    db.session.rollback()
    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
