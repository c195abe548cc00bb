"""Transfers: every step, every side exit, wrong people, wrong moments."""

from __future__ import annotations

import pytest

from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.ledger import services as ledger
from exchange.transfers import services
from exchange.transfers.rules import Kind, State
from tests.factories import World
from tests.transfers_world import make_deal, walk


@pytest.mark.parametrize("kind", list(Kind))
def test_the_main_road(world: World, clock: FrozenClock, kind: Kind) -> None:
    with unit_of_work():
        deal = make_deal(world, clock, kind=kind)
        walk(deal, world, clock, State.LENT if kind is Kind.LOAN else State.SETTLED)
    assert ledger.verify() == []
    giver, taker = world.donor_school.id, world.recipient_school.id
    owner = giver if kind is Kind.LOAN else taker
    assert ledger.free_copies(owner_id=owner, holder_id=taker, edition_id=deal.edition.id) == 5
    assert ledger.free_copies(owner_id=giver, holder_id=giver, edition_id=deal.edition.id) == 5
    assert db.session.get(type(deal.offer), deal.offer.id).reserved == 5
    assert services.waiting_count(world.recipient, clock=clock) == 0
