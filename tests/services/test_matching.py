"""Plans: what is gathered, that it is solved and stored, changed and published as shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from exchange import journal, runs
from exchange.approved.models import ApprovedList, ApprovedUse
from exchange.clock import FrozenClock
from exchange.db import db, in_unit, unit_of_work
from exchange.errors import Forbidden, Invalid, NotFound, Stale, WrongMoment
from exchange.ledger.models import Balance
from exchange.matching import rules, services, solver
from exchange.matching.models import Plan, PlanLine, PlanState
from exchange.postings import services as postings
from exchange.postings.models import Offer
from exchange.postings.rules import OfferKind
from exchange.runs import RunState
from exchange.schools.models import User
from exchange.stock.rules import Condition
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer, TransferLine
from exchange.transfers.rules import DeclineReason, Kind, Party, State
from tests.factories import World, enrol
from tests.plans_world import Town
from tests.postings_world import TODAY


@pytest.fixture
def town(world: World, clock: FrozenClock) -> Town:
    return Town(world, clock)


def lines(plan: Plan) -> list[tuple[str, str, str, int, int]]:
    """The plan as people read it: giver, taker, book, part, copies."""
    return sorted(
        (
            line.giver.short_name,
            line.taker.short_name,
            line.edition.textbook.title,
            line.edition.part,
            line.copies,
        )
        for line in plan.lines
        if not line.removed
    )


def refusal(town: Town) -> rules.Refusal | None:
    """What the one offer gathered is to the one need gathered."""
    problem = town.gather().problem
    (supply,), (need,) = problem.supplies, problem.needs
    return rules.allowed(supply, need, problem)


# --- gathering ------------------------------------------------------------------------------------------


def test_open_postings_are_the_problem(town: Town, world: World) -> None:
    book = town.book("Физика")
    offer = town.surplus(book, 7, condition=Condition.NEW, available_from=TODAY + timedelta(days=3))
    request = town.need(book, 4, year_from=2020, needed_by=TODAY + timedelta(days=9), loan_acceptable=False)
    gathered = town.gather()
    (supply,), (need,) = gathered.problem.supplies, gathered.problem.needs
    assert (supply.id, supply.holder, supply.copies, supply.kind) == (
        offer.id,
        world.donor_school.id,
        7,
        Kind.PERMANENT,
    )
    assert (supply.year, supply.part, supply.available_from) == (2022, 1, TODAY + timedelta(days=3))
    assert (
        supply.condition == services.CONDITION_RANK[Condition.NEW] > services.CONDITION_RANK[Condition.FAIR]
    )
    assert (need.id, need.taker, need.parts, need.year_from) == (
        request.id,
        world.recipient_school.id,
        ((1, 4),),
        2020,
    )
    assert need.kinds == {Kind.PERMANENT}
    assert gathered.origins[supply.id] == services.Origin(offer.id, world.donor_school.id)
    assert gathered.problem.road(world.donor_school.id, world.recipient_school.id) == 35
    assert refusal(town) is None


@pytest.mark.parametrize(
    ("until", "offer", "need", "expected"),
    [
        (date(2026, 12, 31), {}, {}, rules.Refusal.NOT_LEGAL),
        (date(2027, 8, 31), {}, {}, rules.Refusal.LAST_YEAR),
        (date(2027, 8, 31), {"kind": OfferKind.LOAN, "due_back": date(2027, 6, 1)}, {}, None),
        (
            None,
            {"kind": OfferKind.LOAN, "due_back": date(2027, 6, 1)},
            {"loan_acceptable": False},
            rules.Refusal.LOAN_NOT_ACCEPTED,
        ),
        (None, {}, {"year_from": 2023}, rules.Refusal.TOO_OLD),
        (None, {}, {"condition_from": Condition.NEW}, rules.Refusal.CONDITION),
        (None, {"condition": Condition.FAIR}, {"condition_from": Condition.FAIR}, None),
        (
            None,
            {"available_from": TODAY + timedelta(days=20)},
            {"needed_by": TODAY + timedelta(days=10)},
            rules.Refusal.TOO_LATE,
        ),
    ],
    ids=[
        "not legal",
        "last year",
        "last year on loan",
        "no loan",
        "too old",
        "worn",
        "worn does",
        "too late",
    ],
)
def test_real_rows_meet_the_hard_filters(
    town: Town, until: date | None, offer: dict, need: dict, expected: rules.Refusal | None
) -> None:
    textbook = town.book("Физика")
    town.surplus(textbook, 5, **offer)
    town.need(textbook, 5, **need)
    if until:
        town.until(textbook, until)
    assert refusal(town) is expected
    assert bool(lines(town.plan())) is (expected is None)


def test_a_book_outside_the_list_is_not_moved(town: Town, world: World) -> None:
    book = town.book("Физика")
    town.surplus(book, 5)
    town.need(book, 5)
    with unit_of_work():
        db.session.execute(sa.text("DELETE FROM list_entry"))
    assert refusal(town) is rules.Refusal.NOT_LEGAL


def test_what_is_taken_expired_or_due_back_is_left_out(town: Town, clock: FrozenClock) -> None:
    book = town.book("Физика")
    offer = town.surplus(book, 5, expires_on=TODAY + timedelta(days=5))
    loan = town.surplus(town.book("Химия"), 5, kind=OfferKind.LOAN, due_back=TODAY + timedelta(days=30))
    town.need(book, 5, expires_on=TODAY + timedelta(days=5))
    with unit_of_work():
        postings.reserve(offer.id, 2)
    assert {s.id: s.copies for s in town.gather().problem.supplies} == {offer.id: 3, loan.id: 5}
    clock.advance(days=10)
    problem = town.gather().problem
    assert ([s.id for s in problem.supplies], problem.needs) == ([loan.id], ())
    clock.advance(days=20)
    assert town.gather().problem.supplies == ()


def test_needs_of_first_grades_and_of_half_a_class_weigh_more(
    town: Town, world: World, clock: FrozenClock
) -> None:
    ordinary, first = town.book("Физика"), town.book("Азбука")
    with unit_of_work():
        db.session.merge(first).grade_from = db.session.merge(first).grade_to = 1
    enrol(world.recipient_school, {1: 20, 7: 20}, by=world.recipient, clock=clock)
    town.need(ordinary, 10)
    town.need(first, 11)
    town.need(ordinary, 5, school=world.stranger_school)
    assert [need.weight for need in town.gather().problem.needs] == [1, 4, 1]


def test_the_fund_gives_what_its_floor_leaves_over_several_editions(town: Town) -> None:
    book = town.book("Физика")
    new, old = town.edition(book, year=2024), town.edition(book, year=2019)
    town.fund(new, 6)
    town.fund(old, 4)
    assert sorted((s.year, s.copies) for s in town.gather().problem.supplies) == [(2019, 4), (2024, 6)]
    town.floor(book, 7)
    (supply,) = town.gather().problem.supplies
    # Seven stay, the oldest first: newer books suit more requests.
    assert (supply.year, supply.copies, supply.is_fund) == (2024, 3, True)
    town.need(book, 5)
    plan = town.plan()
    assert [line.copies for line in plan.lines] == [3]
    assert (plan.lines[0].offer_id, plan.figures["plan"]["fund_copies"]) == (None, 3)


def test_the_floor_holds_for_each_part(town: Town) -> None:
    book = town.book("Математика", parts=2)
    for part, copies in ((1, 9), (2, 6)):
        town.fund(town.edition(book, part=part), copies)
    town.floor(book, 5)
    assert sorted((s.part, s.copies) for s in town.gather().problem.supplies) == [(1, 4), (2, 1)]


def test_what_is_asked_of_the_fund_is_not_offered_twice(town: Town, world: World, clock: FrozenClock) -> None:
    edition = town.edition(town.book("Физика"))
    town.fund(edition, 6)
    with unit_of_work():
        transfer = transfers.ask_fund(
            world.fund,
            edition,
            taker=world.stranger_school,
            kind=Kind.LOAN,
            copies=4,
            by=world.stranger,
            clock=clock,
        )
    assert [s.copies for s in town.gather().problem.supplies] == [2]
    with unit_of_work():
        transfers.agree(transfer.id, {}, by=world.methodist, clock=clock)
    assert [s.copies for s in town.gather().problem.supplies] == [2]


def test_the_fund_only_lends_a_book_in_its_last_year(town: Town) -> None:
    book = town.book("Физика")
    town.fund(town.edition(book), 5)
    town.until(book, date(2027, 8, 31))
    assert [s.kind for s in town.gather().problem.supplies] == [Kind.LOAN]


def test_copies_of_a_school_in_the_fund_stay_that_schools(town: Town, world: World) -> None:
    book = town.book("Физика")
    edition = town.edition(book)
    town.fund(edition, 5)
    with unit_of_work():
        db.session.execute(
            sa.update(Balance)
            .where(Balance.holder_id == world.fund.id)
            .values(owner_id=world.stranger_school.id)
        )
    town.need(book, 2)
    plan = town.plan()
    assert [(line.giver_id, line.owner_id) for line in plan.lines] == [
        (world.fund.id, world.stranger_school.id)
    ]
    (transfer,) = town.publish(plan).transfers
    assert transfer.lines[0].owner_id == world.stranger_school.id


def _proposal(town: Town, world: World, copies: int = 5) -> Transfer:
    """A published plan's only transfer, of as many copies as are offered and needed."""
    book = town.book("Физика")
    town.surplus(book, copies)
    town.need(book, copies)
    (transfer,) = town.publish(town.plan()).transfers
    return transfer


def test_living_proposals_are_left_alone(town: Town, world: World) -> None:
    transfer = _proposal(town, world)
    problem = town.gather().problem
    assert (problem.supplies, problem.needs) == ((), ())
    again = town.plan()
    assert again.lines == []
    assert db.session.get_one(Transfer, transfer.id).state is State.PROPOSED


def test_a_refusal_is_remembered(town: Town, world: World, clock: FrozenClock) -> None:
    transfer = _proposal(town, world)
    with unit_of_work():
        transfers.decline(transfer.id, DeclineReason.NEEDED, by=world.donor_director, clock=clock)
    assert refusal(town) is rules.Refusal.REFUSED_BEFORE
    plan = town.plan()
    assert plan.lines == []
    assert "держатель уже отказал" in str(plan.uncovered)


def test_giving_fewer_than_asked_is_a_refusal_of_the_rest(
    town: Town, world: World, clock: FrozenClock
) -> None:
    transfer = _proposal(town, world)
    with unit_of_work():
        transfers.agree(transfer.id, {transfer.lines[0].id: 3}, by=world.donor_director, clock=clock)
    assert [s.copies for s in town.gather().problem.supplies] == [2]
    assert refusal(town) is rules.Refusal.REFUSED_BEFORE


def test_a_withdrawal_counts_only_once_the_giver_had_answered(
    town: Town, world: World, clock: FrozenClock
) -> None:
    transfer = _proposal(town, world)
    with unit_of_work():
        transfers.withdraw(transfer.id, by=world.methodist, clock=clock)
    assert refusal(town) is None
    (second,) = town.publish(town.plan()).transfers
    with unit_of_work():
        transfers.agree(second.id, {}, by=world.donor_director, clock=clock)
    with unit_of_work():
        transfers.withdraw(second.id, "не нашли", by=world.donor, clock=clock)
    assert refusal(town) is rules.Refusal.REFUSED_BEFORE


def test_what_the_schools_own_classes_need_by_its_list_stays(
    town: Town, world: World, clock: FrozenClock
) -> None:
    book = town.book("Физика")
    offer = town.surplus(book, 30)
    town.need(book, 9)
    enrol(world.donor_school, {7: 24}, by=world.donor, clock=clock)
    # No list says which of its books the class uses: the school that offers them knows better.
    assert [(supply.id, supply.copies) for supply in town.gather().problem.supplies] == [(offer.id, 30)]
    # But where the methodist sets what every school keeps, pupils are counted.
    (supply,) = town.gather(controls=services.PlanControls(buffer=0)).problem.supplies
    assert supply.copies == 6

    with unit_of_work():
        there = ApprovedList(
            district_id=world.district.id,
            school_id=world.donor_school.id,
            school_year=2026,
            created_at=clock.now(),
        )
        there.uses.append(ApprovedUse(grade=7, letter="", textbook_id=book.id, pupils=None))
        db.session.add(there)
    problem = town.gather().problem
    assert [(supply.id, supply.copies) for supply in problem.supplies] == [(offer.id, 6)]
    assert [(each.supply.copies, each.reason) for each in problem.kept] == [(24, rules.KeptBack.OWN_NEED)]


# --- making -----------------------------------------------------------------------------------------------


def _two_givers(town: Town, world: World) -> None:
    """Physics from either of two schools, mathematics in two parts from the far one only."""
    physics, maths = town.book("Физика"), town.book("Математика", parts=2)
    town.surplus(physics, 5)
    town.surplus(physics, 5, school=world.stranger_school)
    for part in (1, 2):
        town.offer(town.edition(maths, part=part), 4, school=world.stranger_school)
    town.need(physics, 5)
    town.need(maths, {1: 4, 2: 4})


def test_the_stored_plan_is_the_solvers(town: Town, world: World) -> None:
    _two_givers(town, world)
    gathered = town.gather()
    result = solver.solve(gathered.problem, effort=solver.QUICK)
    plan = town.plan()
    assert [
        (line.giver_id, line.taker_id, line.edition_id, line.request_id, line.copies, line.km)
        for line in sorted(plan.lines, key=lambda line: line.id)
    ] == [(p.giver, p.taker, p.edition, p.need_id, p.copies, p.km) for p in result.proposals]
    assert plan.state is PlanState.DRAFT
    assert plan.figures["plan"]["trips"] == result.figures.trips == 1
    assert plan.figures["plan"]["sets"] == plan.figures["asked"] == 9
    assert plan.figures["baseline"]["trips"] == result.baseline.trips == 2
    assert plan.figures["optimal"] == {"coverage": True, "fund": True, "trips": True, "copy_km": True}
    assert all("экз." in line.reason for line in plan.lines)
    assert plan.uncovered == []


def test_the_same_problem_gives_the_same_plan(town: Town, world: World) -> None:
    _two_givers(town, world)
    first = town.plan()
    before = lines(first)
    second = town.plan()
    assert lines(second) == before
    assert first.id != second.id
    assert db.session.get_one(Plan, first.id).state is PlanState.DISCARDED


def test_looking_longer_is_written_down(town: Town, world: World) -> None:
    _two_givers(town, world)
    assert not town.plan().figures["thorough"]
    assert town.plan(thorough=True).figures["thorough"]


def test_an_empty_district_has_an_empty_plan(town: Town) -> None:
    plan = town.plan()
    assert (plan.lines, plan.uncovered, plan.figures["asked"]) == ([], [], 0)
    with pytest.raises(WrongMoment):
        town.publish(plan)


def test_a_run_under_way_is_not_started_twice(town: Town, clock: FrozenClock) -> None:
    first = town.order()
    assert town.order() == first
    clock.advance(minutes=11)
    second = town.order()
    assert second != first, "the first has died"
    assert town.run(second).state is RunState.DONE
    assert town.order() != second


def test_the_runs_of_another_district_are_its_own(town: Town, world: World, clock: FrozenClock) -> None:
    first = town.order()
    assert in_unit(lambda: services.order(by=world.outsider, clock=clock).id) != first


def _bare_draft(by: User, clock: FrozenClock) -> None:
    db.session.add(
        Plan(
            district_id=by.district_id,
            created_at=clock.now(),
            created_by_id=by.id,
            controls={},
            certificate={},
            figures={},
            uncovered=[],
        )
    )


@pytest.mark.parametrize("change", ["mark", "publish", "discard", "another plan"])
def test_a_draft_changed_meanwhile_is_not_overwritten(
    town: Town, world: World, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    _two_givers(town, world)
    draft = town.plan()
    draft_id, line_id, methodist_id = draft.id, draft.lines[0].id, world.methodist.id
    solve = solver.solve

    def while_solving(problem: rules.Problem, **how: object) -> rules.Result:
        def work() -> None:
            # The executor has a session of its own.
            by = db.session.get_one(User, methodist_id)
            if change == "mark":
                services.mark_line(line_id, "remove", by=by, clock=clock)
            elif change == "publish":
                services.publish(draft_id, seen=None, by=by, clock=clock)
            else:
                services.discard(draft_id, seen=None, by=by, clock=clock)
            if change == "another plan":
                _bare_draft(by, clock)

        in_unit(work)
        return solve(problem, **how)

    run_id = town.order()
    monkeypatch.setattr(solver, "solve", while_solving)
    run = town.run(run_id)
    assert run.state is RunState.FAILED
    assert "Пока шёл подбор" in run.message


def test_a_plan_that_breaks_a_promise_is_never_stored(
    town: Town, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _two_givers(town, world)
    solve = solver.solve

    def lie(problem: rules.Problem, **how: object) -> rules.Result:
        result = solve(problem, **how)
        trip = result.trips[0]
        line = replace(trip.proposals[0], copies=trip.proposals[0].copies + 1)
        return replace(result, trips=(replace(trip, proposals=(line, *trip.proposals[1:])),))

    monkeypatch.setattr(solver, "solve", lie)
    run = town.run(town.order())
    assert (run.state, run.message) == (RunState.FAILED, runs.BROKEN)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Plan)) == 0


# --- changing a draft ---------------------------------------------------------------------------------------


def test_a_removed_line_goes_elsewhere_and_can_be_put_back(town: Town, world: World) -> None:
    book = town.book("Физика")
    town.surplus(book, 5)
    town.surplus(book, 5, school=world.stranger_school)
    town.need(book, 5)
    first = town.plan()
    assert [line.giver_id for line in first.lines] == [world.donor_school.id]
    town.mark(first.lines[0], "remove")
    second = town.plan()
    kept = {line.removed: line for line in second.lines}
    assert (kept[False].giver_id, kept[True].giver_id) == (world.stranger_school.id, world.donor_school.id)
    town.mark(kept[True], "restore")
    third = town.plan()
    assert [(line.giver_id, line.removed) for line in third.lines] == [(world.donor_school.id, False)]


def test_a_locked_line_stays_whatever_is_better(town: Town, world: World) -> None:
    book = town.book("Физика")
    town.surplus(book, 5, school=world.stranger_school)
    town.need(book, 5)
    first = town.plan()
    town.mark(first.lines[0], "lock")
    town.surplus(book, 5)
    second = town.plan()
    assert [(line.giver_id, line.locked) for line in second.lines] == [(world.stranger_school.id, True)]
    assert second.lines[0].reason.startswith("Закреплено методистом: 5 из 5 экз.")
    town.mark(second.lines[0], "free")
    assert [line.giver_id for line in town.plan().lines] == [world.donor_school.id]


def test_a_lock_on_the_fund_holds(town: Town, world: World) -> None:
    book = town.book("Физика")
    town.fund(town.edition(book), 5)
    town.need(book, 5)
    town.mark(town.plan().lines[0], "lock")
    town.surplus(book, 5)
    assert [(line.giver_id, line.copies) for line in town.plan().lines] == [(world.fund.id, 5)]


def test_a_locked_line_shrinks_to_what_is_left(town: Town, world: World) -> None:
    book = town.book("Физика")
    offer = town.surplus(book, 5)
    town.need(book, 5)
    town.mark(town.plan().lines[0], "lock")
    with unit_of_work():
        postings.reserve(offer.id, 3)
    assert [(line.copies, line.locked) for line in town.plan().lines] == [(2, True)]
    with unit_of_work():
        postings.reserve(offer.id, 2)
    assert town.plan().lines == []


def test_the_parts_of_a_book_are_marked_together(town: Town, world: World) -> None:
    _two_givers(town, world)
    plan = town.plan()
    parts = [line for line in plan.lines if line.edition.textbook.title.startswith("Математика")]
    assert len(parts) == 2
    town.mark(parts[0], "remove")
    assert {line.id for line in plan.lines if line.removed} == {line.id for line in parts}
    town.mark(parts[1], "lock")
    assert {line.id for line in plan.lines if line.locked} == {line.id for line in parts}
    assert not any(line.removed for line in plan.lines)


def test_repeating_a_mark_changes_nothing(town: Town, world: World) -> None:
    _two_givers(town, world)
    plan = town.plan()
    town.mark(plan.lines[0], "lock")
    version, entries = plan.version, len(journal.history("plan", plan.id))
    town.mark(plan.lines[0], "lock")
    assert (plan.version, len(journal.history("plan", plan.id))) == (version, entries)


def test_a_page_that_does_not_show_a_mark_cannot_publish(
    town: Town, world: World, clock: FrozenClock
) -> None:
    _two_givers(town, world)
    plan = town.plan()
    plan_id, seen = plan.id, plan.version
    town.mark(plan.lines[0], "remove")
    with pytest.raises(Stale):
        in_unit(lambda: services.publish(plan_id, seen=seen, by=world.methodist, clock=clock))
    with pytest.raises(Stale):
        in_unit(lambda: services.discard(plan_id, seen=seen, by=world.methodist, clock=clock))


# --- publishing ---------------------------------------------------------------------------------------------


def about(line: PlanLine | TransferLine) -> tuple[int, int, int, int, str]:
    return line.edition_id, line.owner_id, line.offer_id or 0, line.request_id or 0, line.reason


def transfer_lines(plan: Plan) -> list[tuple]:
    found = db.session.scalars(sa.select(Transfer).where(Transfer.plan_id == plan.id))
    return sorted(
        (
            t.giver_id,
            t.taker_id,
            t.kind.value,
            line.edition_id,
            line.owner_id,
            line.offer_id or 0,
            line.request_id or 0,
            line.asked,
            line.reason,
        )
        for t in found
        for line in t.lines
    )


def test_what_is_published_is_what_was_shown(town: Town, world: World) -> None:
    _two_givers(town, world)
    chemistry = town.book("Химия")
    town.surplus(chemistry, 3, school=world.stranger_school, kind=OfferKind.LOAN, due_back=date(2027, 5, 20))
    town.fund(town.edition(town.book("Биология")), 2)
    town.need(chemistry, 3)
    plan = town.plan()
    town.mark(next(line for line in plan.lines if line.edition.textbook.title.startswith("Физика")), "remove")
    shown = sorted(
        (
            x.giver_id,
            x.taker_id,
            x.kind.value,
            x.edition_id,
            x.owner_id,
            x.offer_id or 0,
            x.request_id or 0,
            x.copies,
            x.reason,
        )
        for x in plan.lines
        if not x.removed
    )
    result = town.publish(plan)
    assert transfer_lines(plan) == shown
    assert len(shown) == 3
    # One giver and one taker, but a loan and a gift are two papers.
    assert [t.kind for t in result.transfers] == [Kind.LOAN, Kind.PERMANENT]
    assert [t.due_back for t in result.transfers] == [date(2027, 5, 20), None]
    assert all(t.proposed_by is Party.METHODIST for t in result.transfers)
    assert result.failures == ()
    assert plan.state is PlanState.PUBLISHED
    assert plan.published_at == town.clock.now()
    offers = {x.offer_id: x.copies for x in plan.lines if not x.removed}
    for offer_id, copies in offers.items():
        assert db.session.get_one(Offer, offer_id).reserved == copies


def test_what_the_fund_gives_is_agreed_at_once(town: Town, world: World) -> None:
    book = town.book("Физика")
    town.fund(town.edition(book), 5)
    town.need(book, 4)
    (transfer,) = town.publish(town.plan()).transfers
    assert (transfer.state, transfer.lines[0].agreed) == (State.AGREED, 4)
    promised = db.session.scalar(sa.select(Balance.promised).where(Balance.holder_id == world.fund.id))
    assert promised == 4


def test_an_offer_taken_meanwhile_is_named_and_the_rest_is_made(
    town: Town, world: World, clock: FrozenClock
) -> None:
    physics, chemistry, maths = town.book("Физика"), town.book("Химия"), town.book("Алгебра")
    taken = town.surplus(physics, 5)
    town.surplus(chemistry, 5)
    town.surplus(maths, 5, school=world.stranger_school)
    for book in (physics, chemistry, maths):
        town.need(book, 5)
    plan = town.plan()
    assert len(plan.lines) == 3
    with unit_of_work():
        transfers.ask_school(taken.id, taker=world.stranger_school, copies=1, by=world.stranger, clock=clock)
    result = town.publish(plan)
    made = sorted(line.edition.textbook.title for t in result.transfers for line in t.lines)
    assert [title.partition(":")[0] for title in made] == ["Алгебра", "Химия"]
    (failure,) = result.failures
    assert (failure.giver, failure.taker) == ("Дающая СОШ", "Берущая СОШ")
    assert failure.title.startswith("Физика")
    assert isinstance(failure.error, Invalid)
    db.session.rollback()
    assert db.session.get_one(Offer, taken.id).reserved == 1


def test_no_part_travels_without_the_other(town: Town, world: World, clock: FrozenClock) -> None:
    maths, physics = town.book("Математика", parts=2), town.book("Физика")
    first, second = (town.offer(town.edition(maths, part=part), 4) for part in (1, 2))
    town.surplus(physics, 2)
    town.need(maths, {1: 4, 2: 4})
    town.need(physics, 2)
    plan = town.plan()
    with unit_of_work():
        transfers.ask_school(second.id, taker=world.stranger_school, copies=4, by=world.stranger, clock=clock)
    (transfer,) = town.publish(plan).transfers
    assert [line.edition.textbook_id for line in transfer.lines] == [physics.id]
    assert db.session.get_one(Offer, first.id).reserved == 0


def test_a_plan_of_which_nothing_is_left_stays_a_draft(town: Town, world: World, clock: FrozenClock) -> None:
    book = town.book("Физика")
    town.surplus(book, 5)
    request = town.need(book, 5)
    plan = town.plan()
    with unit_of_work():
        postings.withdraw_request(request.id, seen=None, by=world.recipient, clock=clock)
    with pytest.raises(WrongMoment, match="уже не выйдет"):
        town.publish(plan)
    assert db.session.get_one(Plan, plan.id).state is PlanState.DRAFT


def test_a_floor_raised_meanwhile_is_kept(town: Town, world: World) -> None:
    book, other = town.book("Физика"), town.book("Химия")
    town.fund(town.edition(book), 5)
    town.surplus(other, 1)
    town.need(book, 4)
    town.need(other, 1)
    plan = town.plan()
    town.floor(book, 3)
    result = town.publish(plan)
    assert [t.giver_id for t in result.transfers] == [world.donor_school.id]
    assert "Неснижаемый остаток" in result.failures[0].error.message
    promised = db.session.scalar(sa.select(Balance.promised).where(Balance.holder_id == world.fund.id))
    assert promised == 0


def test_a_plan_is_published_once(town: Town, world: World) -> None:
    _two_givers(town, world)
    plan = town.plan()
    town.publish(plan)
    before = transfer_lines(plan)
    for again in (town.publish, lambda plan: town.mark(plan.lines[0], "remove")):
        with pytest.raises(WrongMoment):
            again(plan)
    assert transfer_lines(plan) == before


def test_publishing_with_all_lines_removed_is_refused(town: Town, world: World) -> None:
    _two_givers(town, world)
    plan = town.plan()
    for line in list(plan.lines):
        town.mark(line, "remove")
    with pytest.raises(WrongMoment, match="публиковать нечего"):
        town.publish(plan)


def test_a_refused_proposal_goes_on_and_the_next_plan_knows(
    town: Town, world: World, clock: FrozenClock
) -> None:
    book = town.book("Физика")
    town.surplus(book, 5)
    town.surplus(book, 5, school=world.stranger_school)
    town.need(book, 5)
    plan = town.plan()
    (transfer,) = town.publish(plan).transfers
    with unit_of_work():
        transfers.decline(transfer.id, DeclineReason.NEEDED, by=world.donor_director, clock=clock)
    asked = db.session.scalars(
        sa.select(Transfer).where(Transfer.plan_id == plan.id).order_by(Transfer.id)
    ).all()
    assert [t.giver_id for t in asked] == [world.donor_school.id, world.stranger_school.id]
    assert town.plan().lines == [], "the one who took over is still being asked"


@pytest.mark.parametrize("enough", [True, False], ids=["good enough", "worse"])
def test_the_next_giver_brings_no_worse_books_than_asked_for(
    town: Town, world: World, clock: FrozenClock, *, enough: bool
) -> None:
    book = town.book("Физика")
    town.surplus(book, 5)
    condition = Condition.GOOD if enough else Condition.FAIR
    town.surplus(book, 5, school=world.stranger_school, condition=condition)
    town.need(book, 5, condition_from=Condition.GOOD)
    plan = town.plan()
    plan_id = plan.id
    (transfer,) = town.publish(plan).transfers
    assert transfer.giver_id == world.donor_school.id, "the nearer school gives first"
    with unit_of_work():
        transfers.decline(transfer.id, DeclineReason.NEEDED, by=world.donor_director, clock=clock)
    asked = db.session.scalars(sa.select(Transfer).where(Transfer.plan_id == plan_id)).all()
    assert len(asked) == (2 if enough else 1)


# --- rights -------------------------------------------------------------------------------------------------


def test_only_the_methodist_of_the_district_has_to_do_with_its_plans(
    town: Town, world: World, clock: FrozenClock
) -> None:
    _two_givers(town, world)
    plan = town.plan()
    plan_id, line_id = plan.id, plan.lines[0].id
    doings = (
        lambda by: services.publish(plan_id, seen=None, by=by, clock=clock),
        lambda by: services.discard(plan_id, seen=None, by=by, clock=clock),
        lambda by: services.mark_line(line_id, "remove", by=by, clock=clock),
        lambda by: services.plan_of(plan_id, by=by),
    )
    for doing in doings:
        for person in (world.donor, world.recipient_director, world.accountant, world.deputy):
            with pytest.raises(Forbidden):
                in_unit(lambda doing=doing, person=person: doing(person))
        with pytest.raises(NotFound):
            in_unit(lambda doing=doing: doing(world.outsider))
    for person in (world.donor, world.recipient_director):
        with pytest.raises(Forbidden):
            in_unit(lambda person=person: services.order(by=person, clock=clock))
    assert db.session.get_one(Plan, plan_id).state is PlanState.DRAFT
    assert not any(line.removed for line in db.session.scalars(sa.select(PlanLine)))


def test_another_districts_postings_are_not_gathered(town: Town, world: World, clock: FrozenClock) -> None:
    _two_givers(town, world)
    gathered = services.gather(world.outsider.district, clock=clock)
    assert (gathered.problem.supplies, gathered.problem.needs) == ((), ())


@pytest.mark.parametrize(
    ("by_road", "told"),
    [(False, {"trips": 31.0, "bound": 28.0}), (True, {"km": 3.1, "least_km": 2.8})],
)
def test_a_search_tells_where_it_stands_and_ends_when_asked(
    town: Town, world: World, monkeypatch: pytest.MonkeyPatch, by_road: bool, told: dict[str, float]
) -> None:
    book = town.book("Физика")
    town.surplus(book, 3)
    town.need(book, 2)
    run_id = town.order(controls=services.PlanControls(by_road=by_road))
    methodist_id = world.methodist.id
    solve = solver.solve

    def watched(problem: rules.Problem, *, watch: solver.Watch, **about: object) -> rules.Result:
        assert watch(solver.Standing(31.0, 28.0, 0, 9, seconds=1.0))
        standing = db.session.get_one(runs.Run, run_id).standing
        assert told.items() <= standing.items()
        assert standing["limit"] > standing["seconds"]
        db.session.rollback()
        in_unit(lambda: services.stop(run_id, by=db.session.get_one(User, methodist_id)))
        assert watch(solver.Standing(30.0, 28.0, 1, 9, seconds=1.1))
        assert not watch(solver.Standing(30.0, 28.0, 2, 9, seconds=2.0))
        return solve(problem)

    monkeypatch.setattr(solver, "solve", watched)
    run = town.run(run_id)
    assert run.state is RunState.DONE, run.message
