"""The life of a transfer: its states, the steps between them, the arithmetic of its lines.

The steps are rows of one table. ``steps_for`` is the menu a party sees, ``take`` the door every step
goes through; both read the same rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from exchange.errors import Invalid, WrongMoment
from exchange.postings.rules import default_due_back as default_due_back


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
    State.AGREED: "отдающая школа согласна",
    State.ACCEPTED: "обе школы согласны",
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
NEEDS_REASON = frozenset({StepName.DECLINE, StepName.WITHDRAW, StepName.STOP})
ONLY_LOANS = frozenset({State.LENT})


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
        "Сейчас это сделать нельзя: передача уже %(state)s. Обновите страницу.", state=STATE_NAMES[state]
    )


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


class Bearer(StrEnum):
    """Who bears a loss."""

    GIVER = "giver"
    TAKER = "taker"
    NOBODY = "nobody"


BEARER_NAMES = {
    Bearer.GIVER: "отдающая школа",
    Bearer.TAKER: "принимающая школа",
    Bearer.NOBODY: "никто (списать по акту)",
}


class Outcome(StrEnum):
    """What becomes of disputed copies of a line."""

    TAKER_KEEPS = "taker_keeps"
    GIVER_HAS = "giver_has"
    LOST = "lost"


OUTCOME_NAMES = {
    Outcome.TAKER_KEEPS: "остались у получателя",
    Outcome.GIVER_HAS: "остались у отдающей школы",
    Outcome.LOST: "утрачены, списать",
}


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
