"""The ledger: balances follow movements, promises cannot be exceeded, nothing is rewritten."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from exchange.catalog.models import Edition, Textbook
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.errors import Invalid
from exchange.ledger import services
from exchange.ledger.models import Balance, MovementLine
from exchange.ledger.rules import Line, MovementKind, transfer_of_copies
from exchange.schools.rules import HolderKind
from tests.factories import World


@pytest.fixture
def edition(world: World) -> int:
    with unit_of_work():
        textbook = Textbook(
            identity="опыт",
            title="Опыт",
            authors="",
            subject_area="",
            subject="Физика",
            publisher="",
            folded="",
            sort_key="",
        )
        textbook.editions = [Edition(year=2021)]
        db.session.add(textbook)
        db.session.flush()
        return textbook.editions[0].id


def bring(world: World, clock: FrozenClock, edition: int, copies: int) -> None:
    school = world.donor_school.id
    source = services.technical(world.district.id, HolderKind.SOURCE)
    services.post(
        MovementKind.COUNT,
        transfer_of_copies(edition, copies, owner=(school, school), holder=(source, school)),
        by=world.donor,
        clock=clock,
        district_id=world.district.id,
    )


def test_a_movement_brings_the_balance_along(world: World, clock: FrozenClock, edition: int) -> None:
    with unit_of_work():
        bring(world, clock, edition, 12)
        bring(world, clock, edition, -2)
    balance = db.session.scalars(sa.select(Balance)).one()
    assert (balance.copies, balance.promised) == (10, 0)
    assert services.verify() == []


def test_what_is_promised_cannot_be_promised_again(world: World, clock: FrozenClock, edition: int) -> None:
    school = world.donor_school.id
    with unit_of_work():
        bring(world, clock, edition, 12)
        services.promise([Line(edition, school, school, 9)])
    with pytest.raises(Invalid, match="нужно 4, свободно 3"), unit_of_work():
        services.promise([Line(edition, school, school, 4)])
    with pytest.raises(Invalid, match="свободно 3"), unit_of_work():
        bring(world, clock, edition, -4)
    with unit_of_work():
        services.promise([Line(edition, school, school, -9)])
    assert services.free_copies(owner_id=school, holder_id=school, edition_id=edition) == 12


def test_a_promise_that_was_not_made_cannot_be_freed(world: World, clock: FrozenClock, edition: int) -> None:
    school = world.donor_school.id
    with unit_of_work():
        bring(world, clock, edition, 5)
    with pytest.raises(Invalid), unit_of_work():
        services.promise([Line(edition, school, school, -1)])


def test_copies_neither_appear_nor_vanish(world: World, clock: FrozenClock, edition: int) -> None:
    school = world.donor_school.id
    with pytest.raises(ValueError, match="balance"), unit_of_work():
        services.post(
            MovementKind.COUNT,
            [Line(edition, school, school, 5)],
            by=world.donor,
            clock=clock,
            district_id=world.district.id,
        )


def test_verify_tells_of_a_tampered_balance(world: World, clock: FrozenClock, edition: int) -> None:
    with unit_of_work():
        bring(world, clock, edition, 5)
    with unit_of_work():
        db.session.execute(sa.update(Balance).values(copies=6))
    [difference] = services.verify()
    assert (difference.balance, difference.ledger) == (6, 5)


@pytest.mark.parametrize("statement", [sa.update(MovementLine).values(copies=99), sa.delete(MovementLine)])
def test_the_ledger_is_append_only(
    world: World, clock: FrozenClock, edition: int, statement: sa.Executable
) -> None:
    with unit_of_work():
        bring(world, clock, edition, 5)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), unit_of_work():
        db.session.execute(statement)
