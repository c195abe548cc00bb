"""Publishing a draft: its lines become proposals to the schools."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from exchange import journal
from exchange.catalog.models import Edition
from exchange.clock import Clock
from exchange.db import db
from exchange.errors import DomainError, WrongMoment
from exchange.matching import rules
from exchange.matching.models import Plan, PlanLine, PlanState
from exchange.matching.services.controls import from_json
from exchange.matching.services.gathering import gather, ruled_out
from exchange.matching.services.plans import open_draft
from exchange.schools.models import District, User
from exchange.schools.rules import HolderKind
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer
from exchange.transfers.rules import Kind, Party


@dataclass(frozen=True)
class Failure:
    """Lines of a plan that could not be proposed any more, and why."""

    giver: str
    taker: str
    title: str
    error: DomainError


@dataclass(frozen=True)
class Published:
    """What publishing came to: the transfers made, and what could not be."""

    transfers: tuple[Transfer, ...]
    failures: tuple[Failure, ...]


CHANGED = "Книги больше не подходят: с тех пор изменились условия заявки или школы либо срок книги."
KEPT_NOW = "Школа отдаёт теперь меньше: книги нужны ей самой, или она ограничила, что отдаёт."
REFUSED_BEFORE = "Отдающая сторона по этой заявке уже отказала."
PARTS_MISSING = "Другие части этого учебника уже не придут, а одна часть без них ни к чему."


def publish(plan_id: int, *, seen: int | None, by: User, clock: Clock) -> Published:
    """Turn the lines of a draft into proposals, one transfer a trip and kind, as previewed.

    What has become impossible since (somebody took the copies, withdrew or changed the request, a school set
    a limit or needs its books itself, a giver declined) is left out and named, with all the parts of that
    textbook, whoever was to bring them; the rest of the trip and the other trips are made. What the fund
    gives is agreed at once: the methodist speaks for it. Raises ``WrongMoment`` when nothing could be made.
    """
    plan = open_draft(plan_id, seen=seen, by=by)
    if plan.is_outdated:
        raise WrongMoment("Количества в плане изменили: подберите вокруг них заново, потом публикуйте.")
    lines = _lines_to_publish(plan)
    if not lines:
        raise WrongMoment("В плане не осталось ни одной строки: публиковать нечего.")
    fallen = _fallen_by_now(plan, lines, clock=clock)
    made: list[Transfer] = []
    while True:
        missing = _without_their_parts(lines, fallen)
        fallen |= dict.fromkeys(missing, WrongMoment(PARTS_MISSING))
        with db.session.begin_nested() as attempt:
            made, failed = _propose_all([line for line in lines if line.id not in fallen], by=by, clock=clock)
            fallen |= failed
            lonely = _without_their_parts(lines, fallen)
            if lonely:
                # A part that goes with what has just failed may be among those made: once more without it.
                attempt.rollback()
        if not lonely:
            break
    if not made:
        raise WrongMoment(
            "Ничего из этого плана уже не выйдет: книги разобрали или заявки отозвали. Подберите заново."
        )
    failures = _failures(lines, fallen)
    plan.state = PlanState.PUBLISHED
    plan.published_at = clock.now()
    db.session.flush()
    journal.record(
        "plan",
        plan.id,
        "План опубликован: предложений %(made)s, не вышло %(failed)s",
        by_id=by.id,
        clock=clock,
        district_id=plan.district_id,
        made=len(made),
        failed=len(failures),
    )
    return Published(tuple(made), tuple(failures))


Fallen = dict[int, DomainError]
"""Lines, by id, that cannot be proposed, and why."""


def _fallen_by_now(plan: Plan, lines: Sequence[PlanLine], *, clock: Clock) -> Fallen:
    """Return the lines that what schools and requests ask for now speaks against."""
    district = db.session.get_one(District, plan.district_id)
    now = gather(district, controls=from_json(plan.controls), clock=clock)
    return {id_: _no_longer(reason) for id_, reason in ruled_out(lines, now).items()}


def _no_longer(reason: rules.Refusal | rules.KeptBack) -> DomainError:
    if isinstance(reason, rules.KeptBack):
        return WrongMoment(KEPT_NOW)
    return WrongMoment(REFUSED_BEFORE if reason is rules.Refusal.REFUSED_BEFORE else CHANGED)


def _without_their_parts(lines: Sequence[PlanLine], fallen: Fallen) -> list[int]:
    """Return the lines not fallen whose request has lost a line of another part."""
    lost: defaultdict[int, set[int]] = defaultdict(set)
    for line in lines:
        if line.id in fallen:
            lost[line.request_id].add(line.edition.part)
    return [
        line.id for line in lines if line.id not in fallen and lost[line.request_id] - {line.edition.part}
    ]


def _propose_all(lines: Sequence[PlanLine], *, by: User, clock: Clock) -> tuple[list[Transfer], Fallen]:
    """Propose trip by trip; return what was made, and the lines that could not be."""
    trips: defaultdict[tuple[int, int, Kind], list[PlanLine]] = defaultdict(list)
    for line in lines:
        trips[line.giver_id, line.taker_id, line.kind].append(line)
    made: list[Transfer] = []
    fallen: Fallen = {}
    for _, together in sorted(trips.items(), key=lambda item: (*item[0][:2], item[0][2].value)):
        transfer, failed = _propose_possible(together, by=by, clock=clock)
        if transfer is not None:
            made.append(transfer)
        fallen |= failed
    return made, fallen


def _failures(lines: Sequence[PlanLine], fallen: Fallen) -> list[Failure]:
    """Name what could not be proposed, each request of each trip once."""
    by_request: defaultdict[tuple[int, int], list[PlanLine]] = defaultdict(list)
    for line in lines:
        if line.id in fallen:
            by_request[line.giver_id, line.request_id].append(line)
    return [_failure(some, fallen[some[0].id]) for some in by_request.values()]


def _lines_to_publish(plan: Plan) -> Sequence[PlanLine]:
    return db.session.scalars(
        sa.select(PlanLine)
        .options(
            joinedload(PlanLine.giver),
            joinedload(PlanLine.taker),
            joinedload(PlanLine.edition).joinedload(Edition.textbook),
        )
        .where(PlanLine.plan_id == plan.id, PlanLine.removed.is_(False))
        .order_by(PlanLine.id)
        .execution_options(populate_existing=True)
    ).all()


def _propose_possible(lines: Sequence[PlanLine], *, by: User, clock: Clock) -> tuple[Transfer | None, Fallen]:
    """Propose the lines of one transfer; where that cannot be, as many of its requests as can."""
    try:
        with db.session.begin_nested():
            return _propose(lines, by=by, clock=clock), {}
    except DomainError as error:
        by_request: defaultdict[int, list[PlanLine]] = defaultdict(list)
        for line in lines:
            by_request[line.request_id].append(line)
        if len(by_request) == 1:
            return None, {line.id: error for line in lines}
    possible: list[PlanLine] = []
    fallen: Fallen = {}
    for together in by_request.values():
        trial = db.session.begin_nested()
        try:
            _propose(together, by=by, clock=clock)
        except DomainError as error:
            fallen |= {line.id: error for line in together}
        else:
            possible += together
        finally:
            trial.rollback()
    if not possible:
        return None, fallen
    try:
        with db.session.begin_nested():
            return _propose(possible, by=by, clock=clock), fallen
    except DomainError as error:
        # Each could be, but not together: two lines want the same last copies.
        return None, fallen | {line.id: error for line in possible}


def _failure(lines: Sequence[PlanLine], error: DomainError) -> Failure:
    titles = {line.edition.textbook.title: None for line in lines}
    return Failure(lines[0].giver.short_name, lines[0].taker.short_name, ", ".join(titles), error)


def _propose(lines: Sequence[PlanLine], *, by: User, clock: Clock) -> Transfer:
    giver = lines[0].giver
    transfer = transfers.propose(
        giver=giver,
        taker=lines[0].taker,
        kind=lines[0].kind,
        lines=[
            transfers.NewLine(
                edition_id=line.edition_id,
                owner_id=line.owner_id,
                copies=line.copies,
                offer_id=line.offer_id,
                request_id=line.request_id,
                reason=line.reason,
            )
            for line in lines
        ],
        proposed_by=Party.METHODIST,
        by=by,
        clock=clock,
        plan_id=lines[0].plan_id,
    )
    if giver.kind is HolderKind.FUND:
        transfers.agree(transfer.id, {}, by=by, clock=clock)
    return transfer
