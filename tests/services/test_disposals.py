"""Write-off acts on a database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest
import sqlalchemy as sa

from exchange.clock import FrozenClock
from exchange.db import db, in_unit, unit_of_work
from exchange.disposals import services
from exchange.disposals.models import WriteOffAct
from exchange.disposals.rules import ActState
from exchange.errors import Forbidden, Invalid, NotFound, Refusals, Stale, WrongMoment
from exchange.ledger import services as ledger
from exchange.ledger.models import Balance, Movement
from exchange.ledger.rules import Line, MovementKind, WriteOffReason
from exchange.reserve import services as reserve
from exchange.schools.models import Holder, User
from exchange.schools.rules import HolderKind
from exchange.stock import services as stock
from exchange.stock.models import ShelfNote
from exchange.stock.rules import Condition
from exchange.web.unit import Portal
from tests.counting import count_queries
from tests.counting_world import at_once, edition_of, lend, own
from tests.factories import World, make_textbook, put_on_shelf

TODAY = date(2026, 9, 14)
PAPER: Mapping[str, object] = {"number": "3", "signed_on": TODAY, "commission": "Председатель П. П."}


def on_shelf(world: World, clock: FrozenClock, copies: int, title: str = "Математика", **facts: object):
    textbook = make_textbook(title, subject=title, **facts)
    put_on_shelf(world.donor_school, textbook, copies, by=world.donor, clock=clock)
    return edition_of(textbook)


def draft(world: World, clock: FrozenClock, *lines: tuple[object, WriteOffReason, int]) -> WriteOffAct:
    with unit_of_work():
        act = services.draft_for(world.donor_school, by=world.donor, clock=clock)
        for edition, reason, copies in lines:
            services.add_line(act.id, edition.id, reason, copies, by=world.donor, clock=clock)
    return act


def post(act: WriteOffAct, world: World, clock: FrozenClock, **changes: object) -> WriteOffAct:
    facts = {**PAPER, "seen": None, "by": world.donor, "clock": clock, **changes}
    with unit_of_work():
        return services.post(act.id, **facts)


def written_off() -> list[Movement]:
    return list(
        db.session.scalars(
            sa.select(Movement).where(Movement.kind == MovementKind.WRITE_OFF).order_by(Movement.id)
        )
    )


def note_worn(world: World, clock: FrozenClock, edition, worn: int) -> None:
    with unit_of_work():
        stock.set_note(
            holder=world.donor_school,
            edition=edition,
            condition=Condition.FAIR,
            worn=worn,
            by=world.donor,
            clock=clock,
        )


def test_an_act_writes_off_by_reason_in_one_unit(world: World, clock: FrozenClock) -> None:
    first, second = on_shelf(world, clock, 12), on_shelf(world, clock, 6, "Физика")
    note_worn(world, clock, first, 4)
    act = draft(
        world,
        clock,
        (first, WriteOffReason.WORN, 3),
        (first, WriteOffReason.LOST, 2),
        (second, WriteOffReason.WORN, 1),
    )
    posted = post(act, world, clock)
    assert (posted.state, posted.posted_at) == (ActState.POSTED, clock.now())
    movements = written_off()
    assert {(m.reason, m.document) for m in movements} == {
        ("ветхость", "акт № 3 от 14.09.2026"), ("утрата", "акт № 3 от 14.09.2026"),
    }  # fmt: skip
    by_reason = {movement.reason: movement.id for movement in movements}
    assert [line.movement_id for line in posted.lines] == [
        by_reason[reason] for reason in ("ветхость", "утрата", "ветхость")
    ]
    assert [own(world.donor_school, edition) for edition in (first, second)] == [7, 5]
    note = db.session.get_one(ShelfNote, (world.donor_school.id, first.id))
    assert note.worn == 1
    gone = sa.select(sa.func.sum(Balance.copies)).where(
        Balance.holder_id.in_(sa.select(Holder.id).where(Holder.kind == HolderKind.WRITTEN_OFF))
    )
    assert db.session.scalar(gone) == 6
    assert not ledger.verify()


def test_a_posted_act_is_final(world: World, clock: FrozenClock) -> None:
    edition = on_shelf(world, clock, 12)
    act = post(draft(world, clock, (edition, WriteOffReason.WORN, 3)), world, clock)
    line_id = act.lines[0].id
    facts = {"by": world.donor, "clock": clock}
    for work in (
        lambda: post(act, world, clock),
        lambda: services.add_line(act.id, edition.id, WriteOffReason.WORN, 1, **facts),
        lambda: services.change_line(line_id, WriteOffReason.WORN, 1, seen=None, **facts),
        lambda: services.remove_line(line_id, seen=None, **facts),
        lambda: services.add_suggested(act.id, WriteOffReason.WORN, **facts),
        lambda: services.discard(act.id, seen=None, **facts),
        lambda: services.save(act.id, number="4", signed_on=TODAY, commission="", seen=None, **facts),
    ):
        with pytest.raises(WrongMoment, match="пересчётом"):
            work()
        db.session.rollback()
    assert own(world.donor_school, edition) == 9
    # The next draft is another act, with the same commission.
    following = draft(world, clock)
    assert following.id != act.id
    assert following.commission == PAPER["commission"]


def test_an_act_is_posted_once(app: Portal, world: World, clock: FrozenClock) -> None:
    edition = on_shelf(world, clock, 12)
    act = draft(world, clock, (edition, WriteOffReason.WORN, 3))
    act_id, person_id = act.id, world.donor.id

    def work() -> None:
        by = db.session.get_one(User, person_id)
        services.post(act_id, **PAPER, seen=None, by=by, clock=clock)

    refused = at_once(app, lambda: in_unit(work), lambda: in_unit(work))
    assert sorted(type(each).__name__ for each in refused) == ["NoneType", "WrongMoment"]
    assert own(world.donor_school, edition) == 9
    assert len(written_off()) == 1


def test_all_or_nothing_with_a_sentence_for_each_line(world: World, clock: FrozenClock) -> None:
    good, promised, offered, few = (on_shelf(world, clock, 10, title) for title in "АБВГ")
    act = draft(world, clock, *((each, WriteOffReason.WORN, 6) for each in (good, promised, offered, few)))
    lines = {line.edition_id: line.id for line in act.lines}
    school = world.donor_school
    with unit_of_work():
        ledger.promise([Line(promised.id, school.id, school.id, 5)])
        _offer(school, offered, 7, clock)
    put_on_shelf(school, few.textbook, 4, by=world.donor, clock=clock)
    with pytest.raises(Refusals) as refused:
        post(act, world, clock)
    found = {id_: str(error) for id_, error in refused.value.lines.items()}
    assert set(found) == {lines[each.id] for each in (promised, offered, few)}
    assert "Обещано другим школам: 5" in found[lines[promised.id]]
    assert "Выставлено излишком: 7" in found[lines[offered.id]]
    assert "только 4" in found[lines[few.id]]
    assert (act.state, own(school, good), written_off()) == (ActState.DRAFT, 10, [])
    assert not ledger.verify()


def _offer(school: Holder, edition, copies: int, clock: FrozenClock) -> None:
    from exchange.postings.models import Offer
    from exchange.postings.rules import OfferKind

    db.session.add(
        Offer(
            district_id=school.district_id,
            holder_id=school.id,
            edition_id=edition.id,
            copies=copies,
            kind=OfferKind.PERMANENT,
            condition=Condition.GOOD,
            expires_on=clock.today("UTC"),
            created_at=clock.now(),
        )
    )


def test_two_reasons_share_the_copies_of_a_book(world: World, clock: FrozenClock) -> None:
    edition = on_shelf(world, clock, 10)
    act = draft(world, clock, (edition, WriteOffReason.WORN, 6), (edition, WriteOffReason.LOST, 4))
    with pytest.raises(Invalid, match=r"только 10 экз\., и в акте уже 10"), unit_of_work():
        services.add_line(act.id, edition.id, WriteOffReason.DEFECTIVE, 1, by=world.donor, clock=clock)
    put_on_shelf(world.donor_school, edition.textbook, 9, by=world.donor, clock=clock)
    with pytest.raises(Refusals) as refused:
        post(act, world, clock)
    assert set(refused.value.lines) == {line.id for line in act.lines}


def test_a_draft_is_worked_on(world: World, clock: FrozenClock) -> None:
    first, second = on_shelf(world, clock, 12), on_shelf(world, clock, 6, "Физика")
    act = draft(world, clock, (first, WriteOffReason.WORN, 2), (second, WriteOffReason.WORN, 1))
    assert draft(world, clock, (first, WriteOffReason.WORN, 3)).id == act.id
    facts = {"by": world.donor, "clock": clock}
    assert [line.copies for line in act.lines] == [5, 1]
    line = act.lines[0].id
    seen = act.version
    with unit_of_work():
        services.change_line(line, WriteOffReason.DEFECTIVE, 4, seen=seen, **facts)
    with pytest.raises(Stale), unit_of_work():
        services.change_line(line, WriteOffReason.DEFECTIVE, 3, seen=seen, **facts)
    with pytest.raises(Invalid, match="хотя бы один"), unit_of_work():
        services.change_line(line, WriteOffReason.WORN, 0, seen=None, **facts)
    with unit_of_work():
        services.add_line(act.id, first.id, WriteOffReason.WORN, 1, **facts)
    with pytest.raises(Invalid, match="уже есть в акте"), unit_of_work():
        services.change_line(line, WriteOffReason.WORN, 1, seen=None, **facts)
    with unit_of_work():
        services.remove_line(line, seen=act.version, **facts)
        services.save(act.id, number=" 7 ", signed_on=TODAY, commission="А\nБ", seen=None, **facts)
    assert [(each.edition_id, each.copies) for each in act.lines] == [(second.id, 1), (first.id, 1)]
    assert (act.number, act.commission) == ("7", "А\nБ")
    with pytest.raises(Stale), unit_of_work():
        services.discard(act.id, seen=seen, **facts)
    with unit_of_work():
        services.discard(act.id, seen=act.version, **facts)
    assert act.state is ActState.DISCARDED
    assert own(world.donor_school, first) == 12


def test_a_paper_is_complete_and_new(world: World, clock: FrozenClock) -> None:
    edition = on_shelf(world, clock, 12)
    act = draft(world, clock)
    with pytest.raises(Invalid, match="ни одной книги"):
        post(act, world, clock)
    act = draft(world, clock, (edition, WriteOffReason.WORN, 1))
    for changes, field in (
        ({"number": ""}, "number"),
        ({"signed_on": None}, "signed_on"),
        ({"signed_on": date(2026, 9, 15)}, "signed_on"),
        ({"commission": " "}, "commission"),
    ):
        with pytest.raises(Invalid) as refused:
            post(act, world, clock, **changes)
        assert refused.value.field == field
    post(act, world, clock)
    second = draft(world, clock, (edition, WriteOffReason.WORN, 1))
    with pytest.raises(Invalid, match="уже проведён"):
        post(second, world, clock)
    post(second, world, clock, number="4")
    assert own(world.donor_school, edition) == 10


def test_acts_are_the_schools_own(world: World, clock: FrozenClock) -> None:
    edition = on_shelf(world, clock, 12)
    act = draft(world, clock, (edition, WriteOffReason.WORN, 1))
    for person in (world.donor_director, world.methodist, world.accountant):
        assert services.visible(act.id, by=person).id == act.id
        with pytest.raises(Forbidden), unit_of_work():
            services.draft_for(world.donor_school, by=person, clock=clock)
    for person in (world.recipient, world.outsider, world.head):
        with pytest.raises(NotFound):
            services.visible(act.id, by=person)
        with pytest.raises(NotFound), unit_of_work():
            services.discard(act.id, seen=None, by=person, clock=clock)
    assert [row.id for row in services.acts(by=world.donor)[0]] == [act.id]
    assert [row.id for row in services.acts(by=world.methodist, holder_id=world.donor_school.id)[0]] == [
        act.id
    ]
    assert services.acts(by=world.recipient) == ([], 0)
    assert services.acts(by=world.donor, state=ActState.POSTED) == ([], 0)
    assert services.acts(by=world.methodist, text="Дающая")[1] == 1
    assert services.acts(by=world.methodist, text="нет такой")[1] == 0


def test_borrowed_books_are_not_a_schools_to_write_off(world: World, clock: FrozenClock) -> None:
    edition = on_shelf(world, clock, 12)
    lend(world.donor_school, world.recipient_school, edition, 5, world, clock)
    facts = {"by": world.recipient, "clock": clock}
    with unit_of_work():
        act = services.draft_for(world.recipient_school, **facts)
    with pytest.raises(Invalid, match="Чужие книги"), unit_of_work():
        services.add_line(act.id, edition.id, WriteOffReason.WORN, 1, owner_id=world.donor_school.id, **facts)
    assert services.suggested(world.recipient_school, today=TODAY).books == []


def test_the_fund_writes_off_whatever_stands_there_down_to_its_floor(
    world: World, clock: FrozenClock
) -> None:
    edition = on_shelf(world, clock, 12)
    lend(world.donor_school, world.fund, edition, 5, world, clock)
    facts = {"by": world.methodist, "clock": clock}
    with unit_of_work():
        reserve.set_floor(edition.textbook_id, 3, **facts)
        act = services.draft_for(world.fund, **facts)
        services.add_line(act.id, edition.id, WriteOffReason.WORN, 3, owner_id=world.donor_school.id, **facts)
    (line,) = act.lines
    with pytest.raises(Refusals) as refused:
        post(act, world, clock, by=world.methodist)
    assert "Неснижаемый остаток фонда – 3 экз., а останется 2" in str(refused.value.lines[line.id])
    with unit_of_work():
        services.change_line(line.id, WriteOffReason.WORN, 2, seen=None, **facts)
    post(act, world, clock, by=world.methodist)
    (row,) = services.lines_of(act)
    assert (row.owner, row.here) == (world.donor_school.short_name, 3)
    assert not ledger.verify()


def test_what_is_to_be_written_off_is_suggested(world: World, clock: FrozenClock) -> None:
    worn = on_shelf(world, clock, 12)
    over = on_shelf(world, clock, 6, "Физика", appendix=2, valid_until=date(2026, 8, 31))
    last = on_shelf(world, clock, 6, "Химия", appendix=2, valid_until=date(2027, 8, 31))
    note_worn(world, clock, worn, 4)
    with unit_of_work():
        ledger.promise([Line(over.id, world.donor_school.id, world.donor_school.id, 1)])

    def found() -> set[tuple[int, WriteOffReason, int]]:
        shelf = services.suggested(world.donor_school, today=TODAY)
        return {(each.edition_id, each.reason, each.copies) for each in shelf.suggestions}

    assert found() == {(worn.id, WriteOffReason.WORN, 4), (over.id, WriteOffReason.LAST_DATE, 5)}
    act = draft(world, clock, (worn, WriteOffReason.WORN, 1))
    assert (worn.id, WriteOffReason.WORN, 3) in found()
    facts = {"by": world.donor, "clock": clock}
    with unit_of_work():
        assert services.add_suggested(act.id, WriteOffReason.WORN, **facts) == 1
        assert services.add_suggested(act.id, WriteOffReason.LAST_DATE, **facts) == 1
        assert services.add_suggested(act.id, WriteOffReason.LAST_DATE, **facts) == 0
    assert found() == set()
    assert {(line.edition_id, line.copies) for line in act.lines} == {(worn.id, 4), (over.id, 5)}
    post(act, world, clock)
    assert own(world.donor_school, last) == 6
    with count_queries() as queries:
        services.suggested(db.session.get_one(Holder, world.donor_school.id), today=TODAY)
    assert len(queries) <= 7
