"""Approved lists, on a database."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa

from exchange import journal
from exchange.approved import rules, services
from exchange.approved.models import ApprovedList
from exchange.approved.rules import ListState, Source, StepName, Use, UserGroup
from exchange.catalog.models import Textbook
from exchange.catalog.rules import SchoolYear
from exchange.classes import services as classes
from exchange.classes.rules import Group
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.errors import DomainError, Forbidden, Invalid, NotFound, Stale, WrongMoment
from exchange.journal import Letter
from exchange.schools import services as schools
from exchange.schools.models import User
from exchange.schools.rules import Role
from tests import factories
from tests.counting import count_queries
from tests.factories import World, enrol, make_textbook, put_on_shelf

YEAR = SchoolYear(2026)
STEPS = {
    StepName.SUBMIT: services.submit,
    StepName.CHECK: services.check,
    StepName.APPROVE: services.approve,
}


def use(book: Textbook, grade: int, letter: str = "", pupils: int | None = None) -> Use:
    return Use(grade, letter, book.id, rules.course_of(book.subject, book.title), pupils)


def take_in(world: World, clock: FrozenClock, *uses: Use, year: int = 2026, by: User | None = None) -> int:
    with unit_of_work():
        services.add_uses(
            school=world.recipient_school, school_year=year, uses=uses, by=by or world.deputy, clock=clock
        )
    found = services.list_of(world.recipient_school, SchoolYear(year))
    assert found
    return found.id


def step(list_id: int, name: StepName, by: User, clock: FrozenClock, seen: int | None = None) -> None:
    with unit_of_work():
        if name is StepName.SEND_BACK:
            services.send_back(list_id, reason="Физика другая", seen=seen, by=by, clock=clock)
        else:
            STEPS[name](list_id, seen=seen, by=by, clock=clock)


def state_of(list_id: int) -> ListState:
    db.session.rollback()
    return db.session.get_one(ApprovedList, list_id).state


def letters_to() -> list[set[str]]:
    """Return who got letters about lists, event by event."""
    rows = db.session.execute(
        sa.select(Letter.entry_id, User.login)
        .join(journal.JournalEntry, journal.JournalEntry.id == Letter.entry_id)
        .join(User, User.id == Letter.user_id)
        .where(journal.JournalEntry.subject == services.SUBJECT)
        .order_by(Letter.entry_id)
    )
    found: dict[int, set[str]] = {}
    for entry_id, login in rows:
        found.setdefault(entry_id, set()).add(login)
    return list(found.values())


def test_users_of_the_schools_with_a_list(world: World, clock: FrozenClock) -> None:
    book = make_textbook("Математика. Алгебра", grades=(7, 9))
    school = world.recipient_school
    enrol(school, {7: 20, 8: 12}, by=world.deputy, clock=clock)
    take_in(world, clock, use(book, 7), use(book, 8))
    both = [school.id, world.donor_school.id]
    with count_queries() as queries:
        users = services.users(both, 2026)
    assert len(queries) == 2
    assert users == {
        school.id: [UserGroup(book.id, "Алгебра", 7, "", 20), UserGroup(book.id, "Алгебра", 8, "", 12)],
        world.donor_school.id: [],
    }
    assert services.users(both, 2027) == {school.id: [], world.donor_school.id: []}
    assert services.chosen_subjects(both, 2026) == {
        school.id: {(7, "Алгебра"), (8, "Алгебра")},
        world.donor_school.id: set(),
    }
    assert services.states(both, 2026) == {school.id: ListState.DRAFT}


def test_proposals_come_from_last_year_and_from_the_shelf(world: World, clock: FrozenClock) -> None:
    school = world.recipient_school
    enrol(school, {5: 20, 8: 12}, by=world.deputy, clock=clock)
    former = make_textbook("Русский язык", subject="Русский язык", grades=(5, 5))
    gone = make_textbook(
        "Литература", subject="Литература", grades=(5, 5), appendix=2, valid_until=date(2026, 8, 31)
    )
    few = make_textbook("Физика", subject="Физика", grades=(8, 8), authors="Пёрышкин И.М.")
    many = make_textbook("Физика", subject="Физика", grades=(8, 8), authors="Кабардин О.Ф.")
    special = make_textbook("Химия", subject="Химия", grades=(8, 8), special_needs=True)
    halves = make_textbook("Музыка", subject="Музыка", grades=(5, 5), parts=2)
    take_in(world, clock, use(former, 5), use(gone, 5), year=2025)
    put_on_shelf(school, few, 5, by=world.recipient, clock=clock)
    put_on_shelf(school, many, 12, by=world.recipient, clock=clock)
    put_on_shelf(school, special, 30, by=world.recipient, clock=clock)
    put_on_shelf(school, halves, {1: 20}, by=world.recipient, clock=clock)
    with count_queries() as queries:
        shown = services.shown(school, YEAR, on=date(2026, 9, 14))
    assert len(queries) <= 8
    found = {(line.use.grade, line.use.subject): line for line in shown.proposals}
    assert found[5, "Русский язык"].proposal.source is Source.LAST_YEAR
    assert found[8, "Физика"].use.textbook_id == many.id
    assert (found[8, "Физика"].proposal.source, found[8, "Физика"].proposal.sets) == (Source.SHELF, 12)
    assert found[5, "Музыка"].proposal.sets == 0
    assert (5, "Литература") not in found, "no longer lawful"
    assert (8, "Химия") not in found, "special needs are not proposed to a whole grade"
    with unit_of_work():
        added = services.accept_proposals(
            school=school, school_year=2026, keys=[f"8::{many.id}"], by=world.deputy, clock=clock
        )
    assert added == 1
    with pytest.raises(Stale), unit_of_work():
        services.accept_proposals(
            school=school, school_year=2026, keys=[f"8::{many.id}"], by=world.deputy, clock=clock
        )
    with unit_of_work():
        services.accept_proposals(school=school, school_year=2026, keys=None, by=world.recipient, clock=clock)
    shown = services.shown(school, YEAR, on=date(2026, 9, 14))
    assert not shown.proposals
    assert {line.use.textbook_id for line in shown.lines} == {former.id, many.id, halves.id}
    assert rules.Gap(5, "Литература") in shown.gaps
    assert [(each.course, each.kind.value) for each in shown.changes if each.grade == 5] == [
        ("Литература", "gone"),
        ("Музыка", "added"),
    ]


def test_lines_are_changed_and_removed_while_the_list_is_a_draft(world: World, clock: FrozenClock) -> None:
    school = world.recipient_school
    with unit_of_work():
        classes.set_groups(
            school=school,
            school_year=2026,
            groups=[Group(5, "А", 24), Group(5, "Б", 22)],
            by=world.deputy,
            clock=clock,
        )
    book, other = make_textbook("Математика", grades=(5, 5)), make_textbook("Музыка", grades=(5, 5))
    list_id = take_in(world, clock, use(book, 5), use(book, 5), by=world.recipient)
    line = db.session.get_one(ApprovedList, list_id).uses[0].id
    for wrong, field in (
        ({"letter": "В", "pupils": None}, "letter"),
        ({"letter": "А", "pupils": 25}, "pupils"),
        ({"letter": "А", "pupils": 0}, "pupils"),
        (
            {"letter": "", "pupils": None, "textbook_id": make_textbook("Астрономия", grades=(11, 11)).id},
            "grade",
        ),
    ):
        with pytest.raises(Invalid) as refused, unit_of_work():
            services.change_use(line, by=world.deputy, clock=clock, **wrong)  # type: ignore[arg-type]
        assert refused.value.field == field
    with unit_of_work():
        services.change_use(line, letter="А", pupils=10, textbook_id=other.id, by=world.deputy, clock=clock)
    assert services.users([school.id], 2026)[school.id] == [UserGroup(other.id, "Математика", 5, "А", 10)]
    with pytest.raises(Stale), unit_of_work():
        services.remove_use(line, seen=1, by=world.deputy, clock=clock)
    with pytest.raises(Forbidden), unit_of_work():
        services.remove_use(line, by=world.recipient_director, clock=clock)
    with pytest.raises(NotFound), unit_of_work():
        services.remove_use(line, by=world.donor, clock=clock)
    step(list_id, StepName.CHECK, world.deputy, clock)
    with pytest.raises(WrongMoment), unit_of_work():
        services.remove_use(line, by=world.deputy, clock=clock)
    step(list_id, StepName.SEND_BACK, world.deputy, clock)
    with unit_of_work():
        services.remove_use(line, by=world.deputy, clock=clock)
    assert services.users([school.id], 2026)[school.id] == []


ROLES = ("recipient", "deputy", "recipient_director", "methodist", "accountant", "donor", "outsider")
OPEN_TO = {
    (ListState.DRAFT, StepName.SUBMIT): {"recipient"},
    (ListState.DRAFT, StepName.CHECK): {"deputy"},
    (ListState.CHECKED, StepName.APPROVE): {"recipient_director"},
    (ListState.CHECKED, StepName.SEND_BACK): {"deputy", "recipient_director"},
    (ListState.APPROVED, StepName.SEND_BACK): {"deputy", "recipient_director"},
}


@pytest.mark.parametrize("state", list(ListState))
def test_who_may_do_what_when(state: ListState, world: World, clock: FrozenClock) -> None:
    list_id = take_in(world, clock, use(make_textbook(), 1))
    if state is not ListState.DRAFT:
        step(list_id, StepName.CHECK, world.deputy, clock)
    if state is ListState.APPROVED:
        step(list_id, StepName.APPROVE, world.recipient_director, clock)
    for name in StepName:
        for role in ROLES:
            by = getattr(world, role)
            expected = role in OPEN_TO.get((state, name), ())
            offered = {each.name for each in services.menu(db.session.get_one(ApprovedList, list_id), by=by)}
            assert (name in offered) == expected, (name, role)
            if not expected:
                with pytest.raises(DomainError) as refused:
                    step(list_id, name, by, clock)
                hidden = role in ("donor", "outsider")
                assert isinstance(refused.value, NotFound if hidden else Forbidden | WrongMoment), (
                    name,
                    role,
                )
                assert state_of(list_id) is state


def test_a_list_goes_from_hand_to_hand_and_back(world: World, clock: FrozenClock) -> None:
    list_id = take_in(world, clock, use(make_textbook(), 1), by=world.recipient)
    step(list_id, StepName.SUBMIT, world.recipient, clock)
    step(list_id, StepName.CHECK, world.deputy, clock)
    step(list_id, StepName.APPROVE, world.recipient_director, clock)
    approved = db.session.get_one(ApprovedList, list_id)
    assert (approved.checked_by_id, approved.approved_by_id) == (
        world.deputy.id,
        world.recipient_director.id,
    )
    with pytest.raises(Invalid), unit_of_work():
        services.send_back(list_id, reason=" ", by=world.recipient_director, clock=clock)
    step(list_id, StepName.SEND_BACK, world.recipient_director, clock)
    approved = db.session.get_one(ApprovedList, list_id)
    assert approved.state is ListState.DRAFT
    assert approved.approved_at is None
    assert letters_to() == [
        {"deputy"},
        {"recipient-director"},
        {"recipient", "deputy"},
        {"recipient", "deputy"},
    ]
    assert journal.history(services.SUBJECT, list_id)[-1].parameters["reason"] == "Физика другая"


def test_where_nobody_checks_the_director_approves_the_draft(world: World, clock: FrozenClock) -> None:
    book = make_textbook()
    with unit_of_work():
        services.add_uses(
            school=world.donor_school, school_year=2026, uses=[use(book, 1)], by=world.donor, clock=clock
        )
    found = services.list_of(world.donor_school, YEAR)
    assert found
    step(found.id, StepName.SUBMIT, world.donor, clock)
    assert letters_to() == [{"donor-director"}]
    step(found.id, StepName.APPROVE, world.donor_director, clock)
    assert state_of(found.id) is ListState.APPROVED


def test_an_unlawful_book_or_an_empty_list_cannot_be_signed(world: World, clock: FrozenClock) -> None:
    gone = make_textbook("Физика", grades=(8, 8), appendix=2, valid_until=date(2026, 8, 31))
    list_id = take_in(world, clock, use(gone, 8))
    for name, by in ((StepName.CHECK, world.deputy), (StepName.SUBMIT, world.recipient)):
        with pytest.raises(Invalid) as refused:
            step(list_id, name, by, clock)
        assert "«Физика», 8" in str(refused.value)
    with unit_of_work():
        services.remove_use(
            db.session.get_one(ApprovedList, list_id).uses[0].id, by=world.deputy, clock=clock
        )
    with pytest.raises(Invalid):
        step(list_id, StepName.CHECK, world.deputy, clock)
    last = make_textbook(
        "Физика", grades=(8, 8), appendix=2, valid_until=date(2027, 8, 31), publisher="Дрофа"
    )
    take_in(world, clock, use(last, 8))
    step(list_id, StepName.CHECK, world.deputy, clock)
    assert state_of(list_id) is ListState.CHECKED


def test_a_page_that_was_open_too_long_signs_nothing(world: World, clock: FrozenClock) -> None:
    list_id = take_in(world, clock, use(make_textbook(), 1))
    seen = db.session.get_one(ApprovedList, list_id).version
    take_in(world, clock, use(make_textbook("Музыка", subject="Музыка"), 1))
    with pytest.raises(Stale) as refused:
        step(list_id, StepName.CHECK, world.deputy, clock, seen=seen)
    assert "Музыка" in str(refused.value)
    assert state_of(list_id) is ListState.DRAFT


def test_all_schools_at_a_glance(world: World, clock: FrozenClock) -> None:
    enrol(world.recipient_school, {1: 20}, by=world.deputy, clock=clock)
    last = make_textbook("Музыка", subject="Музыка", appendix=2, valid_until=date(2027, 8, 31))
    take_in(world, clock, use(make_textbook(), 1), use(last, 1))
    places = [world.recipient_school, world.donor_school]
    with count_queries() as queries:
        first, second = services.overview(places, YEAR, on=date(2026, 9, 14))
    assert len(queries) <= 5 + len(places)
    compulsory = sum(rules.is_compulsory(course, 1) for course in rules.COMPULSORY)
    assert (first.state, first.lines, first.last_year, first.unlawful) == (ListState.DRAFT, 2, 1, 0)
    assert first.gaps == compulsory - 2
    assert (second.state, second.lines, second.gaps) == (None, 0, None)


def test_a_second_director_of_the_school_cannot_approve_again(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        acting = schools.make_user(
            district_id=world.district.id,
            login="acting",
            full_name="Исполняющий Обязанности",
            password_hash=factories.PASSWORD_HASH,
            role=Role.DIRECTOR,
            school_id=world.recipient_school.id,
            clock=clock,
        )
    list_id = take_in(world, clock, use(make_textbook(), 1))
    step(list_id, StepName.CHECK, world.deputy, clock)
    step(list_id, StepName.APPROVE, world.recipient_director, clock)
    with pytest.raises(WrongMoment):
        step(list_id, StepName.APPROVE, acting, clock)
