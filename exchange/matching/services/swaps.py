"""Swaps of a plan: which schools give to each other, and approving all of a swap or nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from exchange.clock import Clock
from exchange.db import db
from exchange.errors import WrongMoment
from exchange.matching import rules
from exchange.matching.models import Plan, PlanLine
from exchange.matching.services.plans import plan_of
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer, TransferLine
from exchange.transfers.rules import State

CHANGED = "Пока страница была открыта, состав обмена изменился. Обновите её и решите снова."
NOT_READY = {
    State.PROPOSED: "Обмен утверждают целиком, а передача № %(id)s (%(giver)s → %(taker)s) ещё ждёт согласия "
    "отдающей стороны. Ничего не утверждено. Не готовы: № %(numbers)s.",
    State.AGREED: "Обмен утверждают целиком, а передача № %(id)s (%(giver)s → %(taker)s) ещё ждёт согласия "
    "принимающей стороны. Ничего не утверждено. Не готовы: № %(numbers)s.",
}


@dataclass(frozen=True)
class Part:
    """A transfer of a plan: what a swap is made of once the plan is published."""

    id: int
    giver_id: int
    taker_id: int
    state: State
    copies: int

    @property
    def waits_for_schools(self) -> bool:
        """Whether a school has still to agree before the swap can be approved."""
        return self.state in rules.WAITS_FOR_SCHOOLS

    @property
    def can_be_approved(self) -> bool:
        """Whether both schools agree and nothing but the approval is missing."""
        return self.state is State.ACCEPTED


@dataclass(frozen=True)
class Group:
    """A swap of a plan with the names of its schools, and its transfers where it is published."""

    swap: rules.Swap
    names: Mapping[int, str]
    flows: Mapping[tuple[int, int], int]
    """Copies by (giver, taker), inside the group."""
    parts: Sequence[Part] = ()

    @property
    def number(self) -> int:
        """Return the school by which its address names it: the lowest; a school is in one swap at most."""
        return self.swap.members[0].school

    @property
    def waiting(self) -> Sequence[Part]:
        """Return the transfers that keep it from being approved."""
        return [part for part in self.parts if part.waits_for_schools]

    @property
    def open_parts(self) -> Sequence[Part]:
        """Return the transfers that wait for the approval."""
        return [part for part in self.parts if part.can_be_approved]


def groups_of(plan: Plan) -> list[Group]:
    """Return the swaps of a plan: of a published one among the transfers that still stand, in two queries."""
    if plan.is_published:
        return _published(plan.id)
    lines = db.session.execute(
        sa.select(PlanLine.giver_id, PlanLine.taker_id, PlanLine.copies).where(
            PlanLine.plan_id == plan.id, PlanLine.removed.is_(False)
        )
    )
    return _groups(_sums(lines), [])


def _published(plan_id: int) -> list[Group]:
    parts = _parts(plan_id)
    return _groups(_sums((part.giver_id, part.taker_id, part.copies) for part in parts), parts)


def _groups(flows: Mapping[tuple[int, int], int], parts: Sequence[Part]) -> list[Group]:
    swaps = rules.swaps_of(flows)
    names = _names({school for swap in swaps for school in swap.schools})
    return [
        Group(
            swap,
            {school: names[school] for school in swap.schools},
            {pair: flows[pair] for pair in swap.pairs},
            [part for part in parts if (part.giver_id, part.taker_id) in swap.pairs],
        )
        for swap in swaps
    ]


def _sums(rows: Iterable[Sequence[int]]) -> dict[tuple[int, int], int]:
    flows: defaultdict[tuple[int, int], int] = defaultdict(int)
    for giver_id, taker_id, copies in rows:
        flows[giver_id, taker_id] += copies
    return dict(flows)


def _parts(plan_id: int) -> list[Part]:
    """Return the transfers of a plan that still stand, with the copies they carry."""
    rows = db.session.execute(
        sa.select(
            Transfer.id,
            Transfer.giver_id,
            Transfer.taker_id,
            Transfer.state,
            sa.func.sum(sa.func.coalesce(TransferLine.agreed, TransferLine.asked)).label("copies"),
        )
        .join(TransferLine, TransferLine.transfer_id == Transfer.id)
        .where(Transfer.plan_id == plan_id, Transfer.state.not_in(rules.FELL_THROUGH))
        .group_by(Transfer.id, Transfer.giver_id, Transfer.taker_id, Transfer.state)
        .order_by(Transfer.id)
    )
    return [Part(**row._mapping) for row in rows]


def _names(ids: Collection[int]) -> dict[int, str]:
    rows = db.session.execute(sa.select(Holder.id, Holder.short_name).where(Holder.id.in_(ids)))
    return {row.id: row.short_name for row in rows}


def group_of(transfer: Transfer) -> Group | None:
    """Return the swap that a transfer is part of, ``None`` for any other transfer."""
    if transfer.plan_id is None:
        return None
    groups = _published(transfer.plan_id)
    return next((group for group in groups if any(part.id == transfer.id for part in group.parts)), None)


def approve_swap(
    plan_id: int, school_id: int, *, seen: Collection[int], by: User, clock: Clock
) -> list[Transfer]:
    """Approve all transfers of the swap that a school of a plan is in, or none of them.

    ``seen`` are the transfers that the person was shown. Those that have been approved already are left as
    they are, so that a repeat does nothing; returns those approved now. Raises ``WrongMoment`` when the swap
    is no longer there or has changed, or when a transfer of it still waits for a school: the unit of work
    must then be undone, which leaves all as it was.
    """
    plan = plan_of(plan_id, by=by)
    access.require(by, Action.APPROVE)
    if not plan.is_published:
        raise WrongMoment("Этот план не опубликован: утверждать пока нечего. Сначала опубликуйте его.")
    group = next((group for group in groups_of(plan) if school_id in group.swap.schools), None)
    if group is None:
        raise WrongMoment("Этого обмена больше нет: без одной из его передач он распался. Обновите страницу.")
    if {part.id for part in group.parts} != set(seen):
        raise WrongMoment(CHANGED)
    # This locks them all and reads them afresh: what it leaves as it was cannot change any more.
    approved = transfers.approve_many(seen, by=by, clock=clock)
    reached = [db.session.get_one(Transfer, id_) for id_ in sorted(seen)]
    if any(transfer.state in rules.FELL_THROUGH for transfer in reached):
        raise WrongMoment(CHANGED)
    if refused := [transfer for transfer in reached if transfer.state in rules.WAITS_FOR_SCHOOLS]:
        raise WrongMoment(
            NOT_READY[refused[0].state],
            id=refused[0].id,
            giver=refused[0].giver.short_name,
            taker=refused[0].taker.short_name,
            numbers=", ".join(str(transfer.id) for transfer in refused),
        )
    return approved
