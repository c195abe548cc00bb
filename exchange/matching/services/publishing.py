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
from exchange.matching.models import Plan, PlanLine, PlanState
from exchange.matching.services.plans import open_draft
from exchange.schools.models import User
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


def publish(plan_id: int, *, seen: int | None, by: User, clock: Clock) -> Published:
    """Turn the lines of a draft into proposals, one transfer a trip and kind, as previewed.

    What has become impossible since (somebody took the copies, withdrew the request) is left out and named,
    with all the parts of that textbook; the rest of the trip and the other trips are made. What the fund
    gives is agreed at once: the methodist speaks for it. Raises ``WrongMoment`` when nothing could be made.
    """
    plan = open_draft(plan_id, seen=seen, by=by)
    if plan.is_outdated:
        raise WrongMoment("Количества в плане изменили: подберите вокруг них заново, потом публикуйте.")
    trips: defaultdict[tuple[int, int, Kind], list[PlanLine]] = defaultdict(list)
    for line in _lines_to_publish(plan):
        trips[line.giver_id, line.taker_id, line.kind].append(line)
    if not trips:
        raise WrongMoment("В плане не осталось ни одной строки: публиковать нечего.")
    made: list[Transfer] = []
    failures: list[Failure] = []
    for _, lines in sorted(trips.items(), key=lambda item: (*item[0][:2], item[0][2].value)):
        transfer, failed = _propose_possible(lines, by=by, clock=clock)
        if transfer is not None:
            made.append(transfer)
        failures += failed
    if not made:
        raise WrongMoment(
            "Ничего из этого плана уже не выйдет: книги разобрали или заявки отозвали. Подберите заново."
        )
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


def _propose_possible(
    lines: Sequence[PlanLine], *, by: User, clock: Clock
) -> tuple[Transfer | None, list[Failure]]:
    """Propose the lines of one transfer; where that cannot be, as many of its requests as can."""
    try:
        with db.session.begin_nested():
            return _propose(lines, by=by, clock=clock), []
    except DomainError as error:
        by_request: defaultdict[int, list[PlanLine]] = defaultdict(list)
        for line in lines:
            by_request[line.request_id].append(line)
        if len(by_request) == 1:
            return None, [_failure(lines, error)]
    possible: list[PlanLine] = []
    failures = []
    for together in by_request.values():
        trial = db.session.begin_nested()
        try:
            _propose(together, by=by, clock=clock)
        except DomainError as error:
            failures.append(_failure(together, error))
        else:
            possible += together
        finally:
            trial.rollback()
    if not possible:
        return None, failures
    try:
        with db.session.begin_nested():
            return _propose(possible, by=by, clock=clock), failures
    except DomainError as error:
        # Each could be, but not together: two lines want the same last copies.
        return None, [*failures, _failure(possible, error)]


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
