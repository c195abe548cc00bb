"""The fund for the tests, filled and emptied by the real steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import sqlalchemy as sa

from exchange.catalog.models import Textbook
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.ledger.models import Balance
from exchange.reserve import services
from exchange.reserve.rules import Origin
from exchange.schools.models import Holder
from exchange.schools.rules import HolderKind
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer
from exchange.transfers.rules import Arrival, Kind
from tests.factories import World


def stock_fund(
    world: World,
    textbook: Textbook,
    copies: Mapping[int, int],
    *,
    clock: FrozenClock,
    place: Holder | None = None,
    year: int = 2022,
) -> None:
    """Buy ``copies`` of each part for the fund."""
    with unit_of_work():
        services.acquire(
            place=place or world.fund,
            textbook_id=textbook.id,
            year=year,
            copies_by_part=copies,
            origin=Origin.BUDGET,
            document="Накладная № 1 от 14.09.2026",
            by=world.methodist,
            clock=clock,
        )


def storeroom(world: World) -> Holder:
    """Make a second storage place of the fund, in the donor's storeroom."""
    with unit_of_work():
        place = Holder(
            district_id=world.district.id,
            kind=HolderKind.FUND,
            code="ORF2",
            name="Склад фонда",
            short_name="ОРФ, склад",
            located_at_id=world.donor_school.id,
        )
        db.session.add(place)
    return place


def account_of(holder: Holder, owner: Holder | None = None) -> Balance:
    """Return the holder's only account (of this owner)."""
    return db.session.scalars(
        sa.select(Balance).where(Balance.holder_id == holder.id, Balance.owner_id == (owner or holder).id)
    ).one()


def lend(
    world: World,
    balance_id: int,
    copies: int,
    *,
    clock: FrozenClock,
    kind: Kind = Kind.LOAN,
    due_back: date | None = None,
) -> Transfer:
    """Give copies of the fund to the recipient, all the way to its shelf."""
    with unit_of_work():
        transfer = services.give(
            place=world.fund,
            taker=world.recipient_school,
            kind=kind,
            copies={balance_id: copies},
            due_back=due_back,
            by=world.methodist,
            clock=clock,
        )
        deliver(world, transfer, clock=clock)
    return transfer


def deliver(world: World, transfer: Transfer, *, clock: FrozenClock) -> None:
    """Take an agreed transfer to its taker, everything in good order. Call inside a unit of work."""
    people = {
        world.fund.id: world.methodist,
        world.recipient_school.id: world.recipient,
        world.donor_school.id: world.donor,
    }
    giver, taker = people[transfer.giver_id], people[transfer.taker_id]
    transfers.accept(transfer.id, by=taker, clock=clock)
    transfers.approve(transfer.id, by=world.methodist, clock=clock)
    transfers.pack(transfer.id, by=giver, clock=clock)
    transfers.ship(transfer.id, by=giver, clock=clock)
    transfers.receive(
        transfer.id, {line.id: Arrival(good=line.shipped) for line in transfer.lines}, by=taker, clock=clock
    )
