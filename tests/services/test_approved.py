"""Approved lists, on a database."""

from __future__ import annotations

from exchange.approved import services
from exchange.approved.models import ApprovedList, ApprovedUse
from exchange.approved.rules import ListState, UserGroup
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from tests.factories import World, enrol, make_textbook


def test_users_of_the_schools_with_a_list(world: World, clock: FrozenClock) -> None:
    book = make_textbook("Математика. Алгебра", grades=(7, 9))
    school = world.recipient_school
    enrol(school, {7: 20, 8: 12}, by=world.deputy, clock=clock)
    with unit_of_work():
        approved = ApprovedList(
            district_id=world.district.id, school_id=school.id, school_year=2026, created_at=clock.now()
        )
        db.session.add(approved)
        db.session.flush()
        db.session.add_all(
            ApprovedUse(list_id=approved.id, grade=grade, textbook_id=book.id) for grade in (7, 8)
        )
    both = [school.id, world.donor_school.id]
    assert services.users(both, 2026) == {
        school.id: [
            UserGroup(book.id, "Алгебра", 7, "", 20),
            UserGroup(book.id, "Алгебра", 8, "", 12),
        ],
        world.donor_school.id: [],
    }
    assert services.users(both, 2027) == {school.id: [], world.donor_school.id: []}
    assert services.chosen_subjects(both, 2026) == {
        school.id: {(7, "Алгебра"), (8, "Алгебра")},
        world.donor_school.id: set(),
    }
    assert services.states(both, 2026) == {school.id: ListState.DRAFT}
