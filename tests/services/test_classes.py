"""Class groups and enrolment, on a database."""

from __future__ import annotations

import pytest

from exchange.classes import services
from exchange.clock import FrozenClock
from exchange.errors import Forbidden, Invalid, NotFound
from tests.factories import World, enrol


def test_enrolment_is_stored_changed_and_emptied(world: World, clock: FrozenClock) -> None:
    school, by = world.recipient_school, world.deputy
    enrol(school, {1: 20, 2: 18}, by=by, clock=clock)
    enrol(school, {1: 21, 2: None, 3: 0}, by=by, clock=clock)
    assert services.enrolment(school.id, 2026) == {1: 21, 3: 0}
    with pytest.raises(Invalid) as refused:
        enrol(school, {4: 5000}, by=by, clock=clock)
    assert refused.value.field == "grade-4"
    with pytest.raises(Forbidden):
        enrol(school, {1: 1}, by=world.recipient_director, clock=clock)
    with pytest.raises(NotFound):
        enrol(school, {1: 1}, by=world.donor, clock=clock)
