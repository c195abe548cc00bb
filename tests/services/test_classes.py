"""Class groups and enrolment, on a database."""

from __future__ import annotations

import pytest

from exchange.classes import services
from exchange.classes.rules import Group
from exchange.clock import FrozenClock
from exchange.db import unit_of_work
from exchange.errors import Forbidden, Invalid, NotFound, Stale
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


def test_groups_replace_what_was_there(world: World, clock: FrozenClock) -> None:
    school, by = world.recipient_school, world.deputy
    first = [Group(5, "А", 24), Group(5, "Б", 22), Group(6, "", 30)]
    with unit_of_work():
        assert services.set_groups(school=school, school_year=2026, groups=first, by=by, clock=clock)
    assert services.groups([school.id], 2026)[school.id] == first
    assert services.enrolment(school.id, 2026) == {5: 46, 6: 30}
    with unit_of_work():
        assert not services.set_groups(school=school, school_year=2026, groups=first, by=by, clock=clock)
    second = [Group(5, "", 47), Group(6, "", 30)]
    with unit_of_work():
        assert services.set_groups(
            school=school,
            school_year=2026,
            groups=second,
            seen="5А – 24, 5Б – 22, 6 – 30",
            by=by,
            clock=clock,
        )
    assert services.groups([school.id], 2026)[school.id] == second
    changes = services.latest_changes(school.id)
    assert [entry.parameters["changes"] for entry in changes] == [
        "5: – → 47, 5А: 24 → –, 5Б: 22 → –",
        "5А: – → 24, 5Б: – → 22, 6: – → 30",
    ]
    assert {entry.by for entry in changes} == {by.full_name}
    assert services.years(school.id) == {2026: {5: 47, 6: 30}}
    with pytest.raises(Stale), unit_of_work():
        services.set_groups(school=school, school_year=2026, groups=first, seen="", by=by, clock=clock)
    with pytest.raises(Forbidden), unit_of_work():
        services.set_groups(
            school=school, school_year=2026, groups=first, by=world.recipient_director, clock=clock
        )
    with pytest.raises(NotFound), unit_of_work():
        services.set_groups(school=school, school_year=2026, groups=first, by=world.donor, clock=clock)


def test_a_divided_grade_is_not_overwritten_by_a_number(world: World, clock: FrozenClock) -> None:
    school, by = world.recipient_school, world.deputy
    with unit_of_work():
        services.set_groups(school=school, school_year=2026, groups=[Group(5, "А", 24)], by=by, clock=clock)
    with pytest.raises(Invalid) as refused:
        enrol(school, {5: 30}, by=by, clock=clock)
    assert refused.value.field == "grade-5"
    enrol(school, {6: 30}, by=by, clock=clock)
    assert services.enrolment(school.id, 2026) == {5: 24, 6: 30}
