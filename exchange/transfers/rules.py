"""The life of a transfer: its states, the steps between them, the arithmetic of its lines.

The steps are rows of one table. ``steps_for`` is the menu a party sees, ``take`` the door every step
goes through; both read the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import TypeVar

from exchange.catalog.rules import Legality, Verdict
from exchange.errors import Invalid, WrongMoment
from exchange.postings.rules import default_due_back as default_due_back
from exchange.schools.rules import Action


class Kind(StrEnum):
    """What is transferred: use for a time, or the books themselves."""

    LOAN = "loan"
    PERMANENT = "permanent"


KIND_NAMES = {Kind.LOAN: "во временное пользование", Kind.PERMANENT: "безвозмездно, насовсем"}


class State(StrEnum):
    """Where a transfer stands."""

    PROPOSED = "proposed"
    AGREED = "agreed"
    ACCEPTED = "accepted"
    APPROVED = "approved"
    PACKED = "packed"
    SHIPPED = "shipped"
    DISPUTED = "disputed"
    LENT = "lent"
    SETTLED = "settled"
    RETURNED = "returned"
    STOPPED = "stopped"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


STATE_NAMES = {
    State.PROPOSED: "предложена",
    State.AGREED: "отдающая сторона согласна",
    State.ACCEPTED: "обе стороны согласны",
    State.APPROVED: "утверждена",
    State.PACKED: "собрана",
    State.SHIPPED: "в пути",
    State.DISPUTED: "расхождение",
    State.LENT: "на руках у получателя",
    State.SETTLED: "завершена",
    State.RETURNED: "возвращена",
    State.STOPPED: "возвращена с дороги",
    State.DECLINED: "отклонена",
    State.WITHDRAWN: "отозвана",
}

ENDED = frozenset({State.SETTLED, State.RETURNED, State.STOPPED, State.DECLINED, State.WITHDRAWN})
PROMISING = frozenset({State.AGREED, State.ACCEPTED, State.APPROVED, State.PACKED})
"""States in which the giver's copies are promised to the transfer."""
BEFORE_SHIPMENT = frozenset({State.PROPOSED}) | PROMISING
FAILED = frozenset({State.DECLINED, State.WITHDRAWN})


class Party(StrEnum):
    """Who a step belongs to."""

    GIVER = "giver"
    TAKER = "taker"
    METHODIST = "methodist"
    SYSTEM = "system"
    """Nobody: time passes a deadline."""


class StepName(StrEnum):
    """What can be done with a transfer."""

    AGREE = "agree"
    ACCEPT = "accept"
    APPROVE = "approve"
    PACK = "pack"
    SHIP = "ship"
    RECEIVE = "receive"
    SETTLE = "settle"
    STOP = "stop"
    DECLINE = "decline"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    PROLONG = "prolong"
    RETURN = "return"
    REPLACE = "replace"


STEP_NAMES = {
    StepName.AGREE: "Согласиться отдать",
    StepName.ACCEPT: "Согласиться принять",
    StepName.APPROVE: "Утвердить",
    StepName.PACK: "Книги собраны",
    StepName.SHIP: "Отправить",
    StepName.RECEIVE: "Принять книги",
    StepName.SETTLE: "Решить расхождение",
    StepName.STOP: "Вернуть с дороги",
    StepName.DECLINE: "Отклонить",
    StepName.WITHDRAW: "Отозвать",
    StepName.EXPIRE: "Срок ответа прошёл",
    StepName.PROLONG: "Продлить срок возврата",
    StepName.RETURN: "Записать возврат",
    StepName.REPLACE: "Записать замену утраченных",
}


class Moves(StrEnum):
    """What a step does to the copies."""

    NOTHING = "nothing"
    PROMISE = "promise"
    FREE = "free"
    SEND = "send"
    ARRIVE = "arrive"
    RESOLVE = "resolve"
    COME_BACK = "come_back"
    HAND_BACK = "hand_back"
    REPLACE = "replace"


@dataclass(frozen=True)
class Step:
    """A row of the table: who may take the step, from where, to where, and what moves.

    ``to`` lists every state the step can end in; more than one where the lines decide.
    """

    name: StepName
    source: State
    party: Party
    to: tuple[State, ...]
    moves: Moves = Moves.NOTHING


def _rows() -> Iterable[Step]:
    done = (State.SHIPPED, State.DISPUTED, State.LENT, State.SETTLED)
    closed = (State.LENT, State.SETTLED, State.STOPPED, State.DISPUTED)
    yield Step(StepName.AGREE, State.PROPOSED, Party.GIVER, (State.AGREED,), Moves.PROMISE)
    yield Step(StepName.ACCEPT, State.AGREED, Party.TAKER, (State.ACCEPTED,))
    yield Step(StepName.APPROVE, State.ACCEPTED, Party.METHODIST, (State.APPROVED,))
    yield Step(StepName.PACK, State.APPROVED, Party.GIVER, (State.PACKED,))
    yield Step(StepName.SHIP, State.PACKED, Party.GIVER, (State.SHIPPED,), Moves.SEND)
    yield Step(StepName.RECEIVE, State.SHIPPED, Party.TAKER, done, Moves.ARRIVE)
    yield Step(StepName.STOP, State.SHIPPED, Party.GIVER, closed, Moves.COME_BACK)
    yield Step(StepName.STOP, State.SHIPPED, Party.METHODIST, closed, Moves.COME_BACK)
    yield Step(StepName.SETTLE, State.DISPUTED, Party.METHODIST, (State.LENT, State.SETTLED), Moves.RESOLVE)
    yield Step(StepName.PROLONG, State.LENT, Party.GIVER, (State.LENT,))
    yield Step(StepName.RETURN, State.LENT, Party.GIVER, (State.LENT, State.RETURNED), Moves.HAND_BACK)
    yield Step(StepName.REPLACE, State.LENT, Party.GIVER, (State.LENT, State.RETURNED), Moves.REPLACE)
    yield Step(StepName.DECLINE, State.PROPOSED, Party.GIVER, (State.DECLINED,), Moves.FREE)
    yield Step(StepName.DECLINE, State.AGREED, Party.TAKER, (State.DECLINED,), Moves.FREE)
    yield Step(StepName.DECLINE, State.ACCEPTED, Party.METHODIST, (State.DECLINED,), Moves.FREE)
    for state in (State.PROPOSED, State.AGREED):
        yield Step(StepName.EXPIRE, state, Party.SYSTEM, (State.DECLINED,), Moves.FREE)
    for state in (State.PROPOSED, State.ACCEPTED, State.APPROVED, State.PACKED):
        yield Step(StepName.WITHDRAW, state, Party.TAKER, (State.WITHDRAWN,), Moves.FREE)
    for state in (State.AGREED, State.ACCEPTED, State.APPROVED, State.PACKED):
        yield Step(StepName.WITHDRAW, state, Party.GIVER, (State.WITHDRAWN,), Moves.FREE)
    for state in (State.PROPOSED, State.AGREED, State.APPROVED, State.PACKED):
        yield Step(StepName.WITHDRAW, state, Party.METHODIST, (State.WITHDRAWN,), Moves.FREE)


STEPS: tuple[Step, ...] = tuple(_rows())
MAIN_STEPS = frozenset(
    {
        StepName.AGREE,
        StepName.ACCEPT,
        StepName.APPROVE,
        StepName.PACK,
        StepName.SHIP,
        StepName.RECEIVE,
        StepName.SETTLE,
    }
)
"""Steps that carry the transfer forward: whoever may take one is waited for."""
WAIT_NAMES: Mapping[StepName, str] = {
    StepName.AGREE: "ждём согласия отдающей стороны",
    StepName.ACCEPT: "ждём согласия принимающей стороны",
    StepName.APPROVE: "ждём утверждения методистом",
    StepName.PACK: "отдающая сторона собирает книги",
    StepName.SHIP: "книги собраны, ждём отправки",
    StepName.RECEIVE: "книги в пути, ждём, когда получатель их примет",
    StepName.SETTLE: "ждём решения методиста о расхождении",
}
"""What the transfer waits for, told to those who do not have to act."""
AT_ONCE = frozenset({StepName.ACCEPT, StepName.SHIP})
"""Steps that ask for nothing more: they can be taken from a list."""
ANSWERED = frozenset({State.PROPOSED, State.AGREED})
"""States in which a school has a number of working days to answer."""
BLOCKING = frozenset({State.SHIPPED, State.DISPUTED})
"""States in which books lie where they should not: the letter leaves at once."""


ACTIONS: Mapping[tuple[StepName, Party], frozenset[Action]] = {
    (StepName.AGREE, Party.GIVER): frozenset({Action.AGREE}),
    (StepName.ACCEPT, Party.TAKER): frozenset({Action.ACCEPT}),
    (StepName.APPROVE, Party.METHODIST): frozenset({Action.APPROVE}),
    (StepName.PACK, Party.GIVER): frozenset({Action.HAND_OVER}),
    (StepName.SHIP, Party.GIVER): frozenset({Action.HAND_OVER}),
    (StepName.RECEIVE, Party.TAKER): frozenset({Action.HAND_OVER}),
    (StepName.STOP, Party.GIVER): frozenset({Action.HAND_OVER}),
    (StepName.STOP, Party.METHODIST): frozenset({Action.SETTLE}),
    (StepName.SETTLE, Party.METHODIST): frozenset({Action.SETTLE}),
    (StepName.PROLONG, Party.GIVER): frozenset({Action.HAND_OVER, Action.AGREE}),
    (StepName.RETURN, Party.GIVER): frozenset({Action.HAND_OVER}),
    (StepName.REPLACE, Party.GIVER): frozenset({Action.HAND_OVER}),
    (StepName.DECLINE, Party.GIVER): frozenset({Action.AGREE}),
    (StepName.DECLINE, Party.TAKER): frozenset({Action.ACCEPT}),
    (StepName.DECLINE, Party.METHODIST): frozenset({Action.APPROVE}),
    (StepName.WITHDRAW, Party.GIVER): frozenset({Action.HAND_OVER, Action.AGREE}),
    (StepName.WITHDRAW, Party.TAKER): frozenset({Action.ASK, Action.ACCEPT}),
    (StepName.WITHDRAW, Party.METHODIST): frozenset({Action.APPROVE}),
}
"""What somebody must be allowed to do at a party's place to take its step; one of these is enough."""

Can = Callable[[Party, Action], bool]
"""Says whether a person may do an action at the place of a party."""


def parties_for(name: StepName, can: Can) -> frozenset[Party]:
    """Return the parties for which a person may take the step, whenever it is open."""
    return frozenset(
        party
        for (step, party), actions in ACTIONS.items()
        if step is name and any(can(party, action) for action in actions)
    )


def menu(state: State, can: Can) -> list[Step]:
    """Return the steps a person may take now, in the order of the table: what their page shows."""
    steps = []
    for name in StepName:
        steps += [step for step in steps_for(state, parties_for(name, can)) if step.name is name]
    return steps


def steps_for(state: State, parties: Collection[Party]) -> list[Step]:
    """Return the steps open to somebody who speaks for ``parties``: the menu, one row per name."""
    menu: dict[StepName, Step] = {}
    for step in STEPS:
        if step.source is state and step.party in parties:
            menu.setdefault(step.name, step)
    return list(menu.values())


def take(name: StepName, state: State, parties: Collection[Party]) -> Step:
    """Return the row of the step, or raise ``WrongMoment``: the door every step goes through."""
    for step in steps_for(state, parties):
        if step.name is name:
            return step
    raise WrongMoment(
        "Сейчас это сделать нельзя: передача в состоянии «%(state)s». Обновите страницу.",
        state=STATE_NAMES[state],
    )


def next_step(steps: Iterable[Step]) -> StepName | None:
    """Return the one step of a menu to put forward: the next of the main road, else the return of a loan."""
    names = [step.name for step in steps]
    return next((name for name in names if name in MAIN_STEPS or name is StepName.RETURN), None)


def waited_for(state: State) -> Step | None:
    """Return the step that carries a transfer on from ``state``; ``None`` when nobody is waited for."""
    return next((step for step in STEPS if step.source is state and step.name in MAIN_STEPS), None)


class DeclineReason(StrEnum):
    """Why a proposal is refused: a closed list."""

    NEEDED = "needed"
    POOR_CONDITION = "poor_condition"
    WRONG_EDITION = "wrong_edition"
    TOO_FAR = "too_far"
    NO_LONGER_NEEDED = "no_longer_needed"
    NOT_FOUND = "not_found"
    NOT_LEGAL = "not_legal"
    BETTER_USE = "better_use"
    NO_ANSWER = "no_answer"
    OTHER = "other"


DECLINE_NAMES = {
    DeclineReason.NEEDED: "нужны самим",
    DeclineReason.POOR_CONDITION: "плохое состояние",
    DeclineReason.WRONG_EDITION: "не то издание или другая линия (УМК)",
    DeclineReason.TOO_FAR: "далеко везти",
    DeclineReason.NO_LONGER_NEEDED: "уже не нужны",
    DeclineReason.NOT_FOUND: "не нашлись на полке",
    DeclineReason.NOT_LEGAL: "срок использования истекает",
    DeclineReason.BETTER_USE: "нужнее другой школе",
    DeclineReason.NO_ANSWER: "нет ответа в срок",
    DeclineReason.OTHER: "другая причина",
}


DECLINE_REASONS: Mapping[Party, tuple[DeclineReason, ...]] = {
    Party.GIVER: (
        DeclineReason.NEEDED,
        DeclineReason.NOT_FOUND,
        DeclineReason.POOR_CONDITION,
        DeclineReason.TOO_FAR,
        DeclineReason.OTHER,
    ),
    Party.TAKER: (
        DeclineReason.WRONG_EDITION,
        DeclineReason.POOR_CONDITION,
        DeclineReason.NO_LONGER_NEEDED,
        DeclineReason.NOT_LEGAL,
        DeclineReason.TOO_FAR,
        DeclineReason.OTHER,
    ),
    Party.METHODIST: (DeclineReason.BETTER_USE, DeclineReason.NOT_LEGAL, DeclineReason.OTHER),
    Party.SYSTEM: (DeclineReason.NO_ANSWER,),
}
"""The reasons each party can choose from."""


class Bearer(StrEnum):
    """Who bears a loss."""

    GIVER = "giver"
    TAKER = "taker"
    NOBODY = "nobody"


BEARER_NAMES = {
    Bearer.GIVER: "отдающая сторона",
    Bearer.TAKER: "принимающая сторона",
    Bearer.NOBODY: "никто (списать по акту)",
}


@dataclass(frozen=True)
class Arrival:
    """The taker's count of one line in one go, in copies."""

    good: int = 0
    damaged: int = 0
    missing: int = 0


@dataclass(frozen=True)
class Decision:
    """What becomes of one line's disputed copies, in copies, and who bears the loss of ``lost``."""

    kept: int = 0
    """Stay with the taker."""
    sent_back: int = 0
    """Are with the giver: came back damaged, or were never sent."""
    lost: int = 0
    bearer: Bearer | None = None


@dataclass(frozen=True)
class Counts:
    """What became of a line's copies. All in copies, none negative.

    ``good``, ``damaged`` and ``missing`` are the taker's count, ``returned`` came back from the road.
    ``kept``, ``sent_back`` and ``lost`` settle what was damaged or missing. ``handed_back`` and
    ``replaced`` end a loan.
    """

    shipped: int = 0
    good: int = 0
    damaged: int = 0
    missing: int = 0
    returned: int = 0
    kept: int = 0
    sent_back: int = 0
    lost: int = 0
    handed_back: int = 0
    replaced: int = 0

    @property
    def pending(self) -> int:
        """Copies still on the road."""
        return self.shipped - (self.good + self.damaged + self.missing + self.returned)

    @property
    def disputed(self) -> int:
        """Copies damaged or missing whose fate is not decided."""
        return self.damaged + self.missing - (self.kept + self.sent_back + self.lost)

    @property
    def arrived(self) -> int:
        """Copies the taker has had in use from this line."""
        return self.good + self.kept

    @property
    def outstanding(self) -> int:
        """Copies of a loan the taker still owes."""
        return self.arrived - self.handed_back - self.replaced


Owner = TypeVar("Owner")


def owner_after(kind: Kind, owner: Owner, taker: Owner) -> Owner:
    """Return whose the copies are once received: the taker's for good, else still the owner's."""
    return taker if kind is Kind.PERMANENT else owner


def check_counts(counts: Counts) -> None:
    """Raise ``Invalid`` when a line's counts exceed what there is to count."""
    if any(value < 0 for value in vars(counts).values()):
        raise Invalid("Количество не может быть меньше нуля.")
    if counts.pending < 0:
        raise Invalid(
            "Отправлено %(shipped)s, а в сумме записано больше. Исправьте количества.",
            shipped=counts.shipped,
        )
    if counts.disputed < 0:
        raise Invalid("Решить можно не больше экземпляров, чем в расхождении.")
    if counts.outstanding < 0:
        raise Invalid("Вернуть можно не больше, чем на руках у получателя.")


def count_arrival(counts: Counts, arrival: Arrival) -> Counts:
    """Return the line after one go of counting; ``Invalid`` when more is counted than was on the road."""
    if min(arrival.good, arrival.damaged, arrival.missing) < 0:
        raise Invalid("Количество не может быть меньше нуля.")
    counted = arrival.good + arrival.damaged + arrival.missing
    if counted > counts.pending:
        raise Invalid(
            "Записано %(counted)s экз., а в пути %(pending)s. Исправьте количества.",
            counted=counted,
            pending=counts.pending,
        )
    return replace(
        counts,
        good=counts.good + arrival.good,
        damaged=counts.damaged + arrival.damaged,
        missing=counts.missing + arrival.missing,
    )


def count_decision(counts: Counts, decision: Decision) -> Counts:
    """Return the line after its dispute is settled: every disputed copy must be decided, a loss borne."""
    if min(decision.kept, decision.sent_back, decision.lost) < 0:
        raise Invalid("Количество не может быть меньше нуля.")
    decided = decision.kept + decision.sent_back + decision.lost
    if decided != counts.disputed:
        raise Invalid(
            "Решите судьбу всех экземпляров: в расхождении %(disputed)s, а распределено %(decided)s.",
            disputed=counts.disputed,
            decided=decided,
        )
    if decision.lost and decision.bearer is None:
        raise Invalid("Укажите, кто отвечает за утрату.", field="bearer")
    return replace(
        counts,
        kept=counts.kept + decision.kept,
        sent_back=counts.sent_back + decision.sent_back,
        lost=counts.lost + decision.lost,
    )


def count_return(counts: Counts, *, handed_back: int = 0, replaced: int = 0) -> Counts:
    """Return the line of a loan after copies came back or were replaced by equal ones."""
    after = replace(counts, handed_back=counts.handed_back + handed_back, replaced=counts.replaced + replaced)
    if min(handed_back, replaced) < 0:
        raise Invalid("Количество не может быть меньше нуля.")
    check_counts(after)
    return after


def was_disputed(lines: Iterable[Counts]) -> bool:
    """Say whether the taker ever counted otherwise than the giver."""
    return any(line.damaged or line.missing for line in lines)


def state_after_arrival(kind: Kind, lines: Sequence[Counts]) -> State:
    """Return where a shipped or disputed transfer stands, from its lines alone.

    It stays on the road while anything is pending and in dispute while anything is undecided.
    """
    if any(line.pending for line in lines):
        return State.SHIPPED
    if any(line.disputed for line in lines):
        return State.DISPUTED
    if kind is Kind.LOAN and any(line.outstanding for line in lines):
        return State.LENT
    if not any(line.good or line.damaged or line.missing for line in lines):
        return State.STOPPED
    return State.SETTLED


def state_after_return(lines: Sequence[Counts]) -> State:
    """Return where a loan stands after books came back or were replaced."""
    return State.LENT if any(line.outstanding for line in lines) else State.RETURNED


def is_overdue(state: State, due_back: date | None, today: date) -> bool:
    """Say whether a loan's day of return has passed with copies still out."""
    return state is State.LENT and due_back is not None and due_back < today


def working_days_after(start: date, days: int) -> date:
    """Return the date ``days`` working days after ``start`` (Monday to Friday; public holidays not known)."""
    day = start
    while days > 0:
        day += timedelta(days=1)
        if day.weekday() < 5:
            days -= 1
    return day


REMIND_DAYS = 7
"""Calendar days before the day of return at which a loan is called to mind."""


def is_due(state: State, due_back: date | None, today: date) -> bool:
    """Say whether a loan must come back within ``REMIND_DAYS`` calendar days, or should have already."""
    return state is State.LENT and due_back is not None and due_back <= today + timedelta(days=REMIND_DAYS)


def check_due_back(due_back: date, today: date, *, later_than: date | None = None) -> None:
    """Raise ``Invalid`` for a day of return that has passed or does not prolong."""
    if due_back <= today:
        raise Invalid("Срок возврата должен быть позже сегодняшнего дня.", field="due_back")
    if later_than is not None and due_back <= later_than:
        raise Invalid(
            "Новый срок должен быть позже прежнего (%(before)s).",
            field="due_back",
            before=f"{later_than:%d.%m.%Y}",
        )


# --- Where a transfer stands, for people --------------------------------------------------------------


class Group(StrEnum):
    """States that a list can be narrowed to."""

    OPEN = "open"
    ANSWER = "answer"
    APPROVAL = "approval"
    PREPARED = "prepared"
    ROAD = "road"
    DISPUTE = "dispute"
    LENT = "lent"
    DONE = "done"
    FAILED = "failed"


GROUP_NAMES: Mapping[Group, str] = {
    Group.OPEN: "все незавершённые",
    Group.ANSWER: "ждут ответа школы",
    Group.APPROVAL: "ждут утверждения",
    Group.PREPARED: "готовятся к отправке",
    Group.ROAD: "в пути",
    Group.DISPUTE: "с расхождением",
    Group.LENT: "во временном пользовании",
    Group.DONE: "завершённые",
    Group.FAILED: "не состоялись",
}
GROUP_STATES: Mapping[Group, frozenset[State]] = {
    Group.OPEN: frozenset(State) - ENDED,
    Group.ANSWER: ANSWERED,
    Group.APPROVAL: frozenset({State.ACCEPTED}),
    Group.PREPARED: frozenset({State.APPROVED, State.PACKED}),
    Group.ROAD: frozenset({State.SHIPPED}),
    Group.DISPUTE: frozenset({State.DISPUTED}),
    Group.LENT: frozenset({State.LENT}),
    Group.DONE: ENDED - FAILED,
    Group.FAILED: FAILED,
}


class Direction(StrEnum):
    """Which way the books go, seen from one's own school."""

    OUT = "out"
    IN = "in"


DIRECTION_NAMES: Mapping[Direction, str] = {Direction.OUT: "отдаём", Direction.IN: "получаем"}
STATE_TONES: Mapping[State, str] = {
    State.DISPUTED: "bad",
    State.SHIPPED: "info",
    State.LENT: "info",
    State.APPROVED: "info",
    State.PACKED: "info",
    State.PROPOSED: "warn",
    State.AGREED: "warn",
    State.ACCEPTED: "warn",
    State.SETTLED: "ok",
    State.RETURNED: "ok",
}
"""Tone of a state's chip; the others are muted."""

_ROAD = (
    (State.PROPOSED, "предложена"),
    (State.AGREED, "отдающая сторона согласна"),
    (State.ACCEPTED, "принимающая сторона согласна"),
    (State.APPROVED, "утверждена"),
    (State.PACKED, "собрана"),
    (State.SHIPPED, "отправлена"),
    (State.LENT, "принята"),
)
"""The stages of a transfer in words; ``LENT`` stands for «received» of both kinds."""


@dataclass(frozen=True)
class Stage:
    """A stage on a transfer's way: ``done``, where it stands ``now``, or still ahead (neither)."""

    word: str
    done: bool
    now: bool


def progress(kind: Kind, state: State) -> list[Stage]:
    """Return the stages of a transfer that lives or has happened; of one that failed, its end alone."""
    if state in FAILED or state is State.STOPPED:
        return [Stage(STATE_NAMES[state], done=True, now=True)]
    stages = list(_ROAD)
    if kind is Kind.LOAN:
        stages.append((State.RETURNED, "возвращена"))
    at = {State.DISPUTED: State.SHIPPED, State.SETTLED: State.LENT}.get(state, state)
    index = [stage for stage, _ in stages].index(at)
    return [Stage(word, done=i <= index, now=i == index) for i, (_, word) in enumerate(stages)]


def title_with_grades(title: str, first: int | None, last: int | None) -> str:
    """Return «География, 5–6 кл.»; a book for no grade in particular keeps its title alone."""
    if first is None:
        return title
    return f"{title}, {first} кл." if last in (None, first) else f"{title}, {first}–{last} кл."


class Place(StrEnum):
    """Where copies of a transfer are."""

    GIVER = "giver"
    PROMISED = "promised"
    ROAD = "road"
    DISPUTED = "disputed"
    TAKER = "taker"
    RETURNED = "returned"
    WRITTEN_OFF = "written_off"


PLACE_NAMES: Mapping[Place, str] = {
    Place.GIVER: "у отдающей стороны",
    Place.PROMISED: "у отдающей стороны, обещаны",
    Place.ROAD: "в пути",
    Place.DISPUTED: "в расхождении",
    Place.TAKER: "у получателя",
    Place.RETURNED: "вернулись к отдающей стороне",
    Place.WRITTEN_OFF: "списаны как утраченные",
}


def whereabouts(state: State, copies: int, counts: Counts) -> list[tuple[Place, int]]:
    """Return where a line's copies are, with their number; places without copies are left out."""
    if state in BEFORE_SHIPMENT or state in FAILED:
        return [(Place.PROMISED if state in PROMISING else Place.GIVER, copies)] if copies else []
    found = (
        (Place.ROAD, counts.pending),
        (Place.DISPUTED, counts.disputed),
        (Place.TAKER, counts.outstanding),
        (Place.RETURNED, counts.returned + counts.sent_back + counts.handed_back + counts.replaced),
        (Place.WRITTEN_OFF, counts.lost),
    )
    return [(place, number) for place, number in found if number]


# --- The next giver -----------------------------------------------------------------------------------


def may_be_moved(verdict: Verdict, kind: Kind) -> bool:
    """Say whether a book is worth moving: it may still be taught, and in its last year is only lent."""
    return verdict.legality.usable and (kind is Kind.LOAN or verdict.legality is not Legality.LAST_YEAR)


@dataclass(frozen=True)
class Source:
    """An open offer that might answer a refused need.

    ``free`` is in copies, ``km`` the road to the taker; ``usable`` says whether the book may still be taught.
    """

    offer_id: int
    giver_id: int
    edition_id: int
    part: int
    year: int
    free: int
    kind: Kind
    km: float
    usable: bool = True


@dataclass(frozen=True)
class Want:
    """What a request still lacks: copies by part, and what is acceptable."""

    parts: Mapping[int, int]
    year_from: int | None
    loan_acceptable: bool
    refused: frozenset[int]
    """Holders that have already said no to it, and the taker itself."""


@dataclass(frozen=True)
class Pick:
    """Copies to ask of one offer."""

    offer_id: int
    edition_id: int
    copies: int


@dataclass(frozen=True)
class Bundle:
    """What one giver could give towards a need: one kind, one year of printing, every part."""

    giver_id: int
    kind: Kind
    year: int
    km: float
    picks: tuple[Pick, ...]

    @property
    def copies(self) -> int:
        """Copies over all parts."""
        return sum(pick.copies for pick in self.picks)


def next_givers(want: Want, sources: Iterable[Source]) -> list[Bundle]:
    """Return who could be asked next: the nearest first, then who gives most, then the newest books.

    A giver counts only with every part that is lacking, of one year: halves of sets help nobody.
    """
    groups: dict[tuple[int, Kind, int], list[Source]] = {}
    for source in sources:
        if _acceptable(want, source):
            groups.setdefault((source.giver_id, source.kind, source.year), []).append(source)
    bundles = []
    for (giver_id, kind, year), offers in groups.items():
        picks: list[Pick] = []
        for part, lacking in sorted(want.parts.items()):
            part_picks = _pick([offer for offer in offers if offer.part == part], lacking)
            if not part_picks:
                break
            picks += part_picks
        else:
            bundles.append(Bundle(giver_id, kind, year, offers[0].km, tuple(picks)))
    return sorted(bundles, key=lambda b: (b.km, -b.copies, -b.year, b.kind is Kind.LOAN, b.giver_id))


def answers(*, year: int, kind: Kind, year_from: int | None, loan_acceptable: bool) -> bool:
    """Say whether books of a year and a kind are what a request accepts; no ``year_from``: of any year."""
    return (year_from is None or year >= year_from) and (loan_acceptable or kind is Kind.PERMANENT)


def _acceptable(want: Want, source: Source) -> bool:
    return (
        source.usable
        and source.free > 0
        and source.giver_id not in want.refused
        and answers(
            year=source.year,
            kind=source.kind,
            year_from=want.year_from,
            loan_acceptable=want.loan_acceptable,
        )
    )


def _pick(offers: Sequence[Source], lacking: int) -> list[Pick]:
    picks = []
    for offer in sorted(offers, key=lambda offer: (-offer.free, offer.offer_id)):
        copies = min(offer.free, lacking)
        if copies:
            picks.append(Pick(offer.offer_id, offer.edition_id, copies))
            lacking -= copies
    return picks
