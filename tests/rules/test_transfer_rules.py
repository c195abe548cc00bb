"""The life of a transfer: menu and door, arithmetic, ends, the next giver."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.catalog.rules import Legality, Verdict
from exchange.errors import Invalid, WrongMoment
from exchange.schools.rules import Action
from exchange.transfers import rules
from exchange.transfers.rules import (
    STEPS,
    Arrival,
    Bearer,
    Counts,
    Decision,
    Kind,
    Party,
    Source,
    State,
    StepName,
    Want,
)

states = st.sampled_from(State)
parties = st.frozensets(st.sampled_from(Party))
small = st.integers(0, 6)


@given(states, parties)
def test_menu_and_door_agree(state: State, acting: frozenset[Party]) -> None:
    offered = {step.name for step in rules.steps_for(state, acting)}
    for name in StepName:
        if name in offered:
            step = rules.take(name, state, acting)
            assert step.source is state
            assert step.party in acting
        else:
            with pytest.raises(WrongMoment):
                rules.take(name, state, acting)


@given(states, st.frozensets(st.tuples(st.sampled_from(Party), st.sampled_from(Action))))
def test_a_persons_menu_is_what_the_door_lets_through(
    state: State, rights: frozenset[tuple[Party, Action]]
) -> None:
    def can(party: Party, action: Action) -> bool:
        return (party, action) in rights

    menu = {step.name for step in rules.menu(state, can)}
    for name in StepName:
        acting = rules.parties_for(name, can)
        try:
            rules.take(name, state, acting)
        except WrongMoment:
            assert name not in menu
        else:
            assert name in menu


def test_every_step_of_a_person_has_its_action() -> None:
    rows = {(step.name, step.party) for step in STEPS}
    assert set(rules.ACTIONS) == {row for row in rows if row[1] is not Party.SYSTEM}


def test_every_state_reaches_an_end() -> None:
    ends = set(rules.ENDED)
    while True:
        more = {step.source for step in STEPS if ends & set(step.to)} - ends
        if not more:
            break
        ends |= more
    assert ends == set(State)


def test_nothing_leaves_an_end_and_every_state_is_reached() -> None:
    assert not {step.source for step in STEPS} & rules.ENDED
    reached = {State.PROPOSED} | {state for step in STEPS for state in step.to}
    assert reached == set(State)


def test_who_is_waited_for() -> None:
    waiting = {state for state in State if rules.waited_for(state)}
    assert waiting == set(State) - rules.ENDED - {State.LENT}
    for state in waiting:
        step = rules.waited_for(state)
        assert step is not None
        assert step.name in rules.WAIT_NAMES


def test_every_word_is_there() -> None:
    assert set(rules.STATE_NAMES) == set(State)
    assert set(rules.STEP_NAMES) == set(StepName)
    assert set(rules.DECLINE_REASONS) == set(Party)
    assert set(rules.GROUP_STATES) == set(rules.GROUP_NAMES) == set(rules.Group)
    single = [group for group in rules.Group if group is not rules.Group.OPEN]
    assert sum(len(rules.GROUP_STATES[group]) for group in single) == len(State)


@given(st.lists(st.tuples(small, small, small), max_size=6), st.integers(0, 20))
def test_arrivals_never_exceed_what_was_shipped(goes: list[tuple[int, int, int]], shipped: int) -> None:
    counts = Counts(shipped=shipped)
    for good, damaged, missing in goes:
        before = counts
        try:
            counts = rules.count_arrival(counts, Arrival(good, damaged, missing))
        except Invalid:
            assert good + damaged + missing > before.pending
            continue
        assert counts.pending == before.pending - (good + damaged + missing)
        rules.check_counts(counts)
    assert counts.pending + counts.good + counts.damaged + counts.missing == shipped


@given(small, small, small, small, small, st.sampled_from([None, *Bearer]))
def test_a_dispute_is_settled_whole(
    damaged: int, missing: int, kept: int, sent_back: int, lost: int, bearer: Bearer | None
) -> None:
    counts = Counts(shipped=damaged + missing, damaged=damaged, missing=missing)
    try:
        after = rules.count_decision(counts, Decision(kept, sent_back, lost, bearer))
    except Invalid:
        assert kept + sent_back + lost != damaged + missing or (lost and bearer is None)
        return
    assert after.disputed == 0
    rules.check_counts(after)
    assert rules.state_after_arrival(Kind.PERMANENT, [after]) in {State.SETTLED, State.STOPPED}


@given(small, small, small)
def test_a_loan_is_owed_until_all_is_back(good: int, back: int, replaced: int) -> None:
    counts = Counts(shipped=good, good=good)
    try:
        after = rules.count_return(counts, handed_back=back, replaced=replaced)
    except Invalid:
        assert back + replaced > good
        return
    assert after.outstanding == good - back - replaced
    assert rules.state_after_return([after]) is (State.LENT if after.outstanding else State.RETURNED)


@given(st.sampled_from(Kind), st.lists(st.tuples(small, small, small, small), min_size=1, max_size=3))
def test_where_it_stands_follows_from_its_lines(kind: Kind, numbers: list[tuple[int, ...]]) -> None:
    lines = [Counts(shipped=sum(line), good=line[0], damaged=line[1], missing=line[2]) for line in numbers]
    state = rules.state_after_arrival(kind, lines)
    if any(line.pending for line in lines):
        assert state is State.SHIPPED
    elif any(line.disputed for line in lines):
        assert state is State.DISPUTED
    else:
        assert state in {State.LENT, State.SETTLED, State.STOPPED}
        assert state is not State.LENT or kind is Kind.LOAN


@given(states, st.tuples(small, small, small, small, small), st.sampled_from(Kind))
def test_whereabouts_account_for_every_copy(state: State, numbers: tuple[int, ...], kind: Kind) -> None:
    good, damaged, missing, returned, pending = numbers
    shipped = sum(numbers)
    before = state in rules.BEFORE_SHIPMENT or state in rules.FAILED
    counts = Counts() if before else Counts(shipped, good, damaged, missing, returned)
    assert sum(number for _, number in rules.whereabouts(state, shipped, counts)) == shipped
    if not before:
        assert dict(rules.whereabouts(state, shipped, counts)).get(rules.Place.ROAD, 0) == pending


@given(st.sampled_from(Kind), states)
def test_progress_marks_one_stage(kind: Kind, state: State) -> None:
    if kind is Kind.PERMANENT and state is State.RETURNED:
        return
    stages = rules.progress(kind, state)
    assert [stage.now for stage in stages].count(True) == 1
    done = [stage.done for stage in stages]
    assert done == sorted(done, reverse=True)


def test_working_days_leave_out_the_weekend() -> None:
    assert rules.working_days_after(date(2026, 9, 18), 1) == date(2026, 9, 21)
    assert rules.working_days_after(date(2026, 9, 14), 5) == date(2026, 9, 21)


def test_overdue_and_due() -> None:
    due = date(2027, 6, 20)
    assert not rules.is_overdue(State.LENT, due, due)
    assert rules.is_overdue(State.LENT, due, date(2027, 6, 21))
    assert not rules.is_overdue(State.RETURNED, due, date(2027, 7, 1))
    assert rules.is_due(State.LENT, due, date(2027, 6, 13))
    assert not rules.is_due(State.LENT, due, date(2027, 6, 12))
    assert rules.default_due_back(date(2026, 9, 14)) == due
    assert rules.default_due_back(due) == date(2028, 6, 20)
    with pytest.raises(Invalid):
        rules.check_due_back(due, due)
    with pytest.raises(Invalid):
        rules.check_due_back(due, date(2027, 1, 1), later_than=due)


@pytest.mark.parametrize(
    ("legality", "kind", "moved"),
    [
        (Legality.ALLOWED, Kind.PERMANENT, True),
        (Legality.LAST_YEAR, Kind.LOAN, True),
        (Legality.LAST_YEAR, Kind.PERMANENT, False),
        (Legality.EXCLUDED, Kind.LOAN, False),
        (Legality.NOT_LISTED, Kind.LOAN, False),
    ],
)
def test_what_is_worth_moving(legality: Legality, kind: Kind, moved: bool) -> None:
    assert rules.may_be_moved(Verdict(legality, None, None, False, ""), kind) is moved


# --- The next giver ---


def source(offer: int, giver: int, *, part: int = 1, year: int = 2022, free: int = 5, km: float = 10, **more):
    return Source(
        offer_id=offer,
        giver_id=giver,
        edition_id=year * 10 + part,
        part=part,
        year=year,
        free=free,
        km=km,
        kind=more.get("kind", Kind.PERMANENT),
        usable=more.get("usable", True),
    )


def want(parts: dict[int, int], **more) -> Want:
    return Want(
        parts=parts,
        year_from=more.get("year_from"),
        loan_acceptable=more.get("loan_acceptable", True),
        refused=frozenset(more.get("refused", ())),
    )


def test_the_nearest_is_asked_next() -> None:
    found = rules.next_givers(want({1: 4}), [source(1, 7, km=30), source(2, 8, km=5, free=2)])
    assert [(bundle.giver_id, bundle.copies) for bundle in found] == [(8, 2), (7, 4)]


@pytest.mark.parametrize(
    ("unfit", "wanted"),
    [
        (source(1, 7), {"refused": {7}}),
        (source(1, 7, year=2015), {"year_from": 2018}),
        (source(1, 7, kind=Kind.LOAN), {"loan_acceptable": False}),
        (source(1, 7, usable=False), {}),
        (source(1, 7, free=0), {}),
        (source(1, 7, part=2), {}),
    ],
)
def test_who_is_not_asked(unfit: Source, wanted: dict[str, object]) -> None:
    assert rules.next_givers(want({1: 4}, **wanted), [unfit]) == []
    assert rules.next_givers(want({1: 4}, **wanted), [unfit, source(2, 8, year=2023)]) != []


def test_parts_come_from_one_giver_and_one_year() -> None:
    halves = [source(1, 7, part=1), source(2, 8, part=2), source(3, 7, part=2, year=2020)]
    assert rules.next_givers(want({1: 3, 2: 3}), halves) == []
    found = rules.next_givers(want({1: 3, 2: 3}), [*halves, source(4, 7, part=2, free=2)])
    assert [[(pick.offer_id, pick.copies) for pick in bundle.picks] for bundle in found] == [[(1, 3), (4, 2)]]


@given(
    st.lists(
        st.builds(
            source,
            st.integers(1, 50),
            st.integers(1, 4),
            part=st.integers(1, 2),
            year=st.sampled_from([2018, 2022]),
            free=small,
            km=st.sampled_from([0.0, 5.0, 20.0]),
            kind=st.sampled_from(Kind),
            usable=st.booleans(),
        ),
        max_size=8,
        unique_by=lambda one: one.offer_id,
    ),
    st.dictionaries(st.integers(1, 2), st.integers(1, 6), min_size=1),
)
def test_nobody_is_asked_for_more_than_is_free_or_lacking(sources, parts) -> None:
    by_offer = {one.offer_id: one for one in sources}
    for bundle in rules.next_givers(want(parts, year_from=2020, loan_acceptable=False), sources):
        taken = dict.fromkeys(parts, 0)
        for pick in bundle.picks:
            offer = by_offer[pick.offer_id]
            assert 0 < pick.copies <= offer.free
            assert (offer.giver_id, offer.year, offer.kind) == (bundle.giver_id, 2022, Kind.PERMANENT)
            assert offer.usable
            taken[offer.part] += pick.copies
        assert all(0 < taken[part] <= parts[part] for part in parts)


def test_a_refusal_names_the_state() -> None:
    for state in rules.ENDED:
        with pytest.raises(WrongMoment) as refused:
            rules.take(StepName.AGREE, state, frozenset(Party))
        assert rules.STATE_NAMES[state] in str(refused.value)
