"""What a plan gives to carry, and by which roads, for the route sheet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from exchange.db import db
from exchange.matching import rules
from exchange.matching.models import Plan, PlanLine
from exchange.schools import services as schools
from exchange.schools.models import Holder
from exchange.schools.rules import HolderKind
from exchange.transfers.models import Transfer, TransferLine
from exchange.transfers.rules import BEFORE_SHIPMENT


@dataclass(frozen=True)
class Carriage:
    """What is to be carried: ``sides`` are the giver's and the taker's name by number of a load."""

    loads: Sequence[rules.Load]
    sides: Mapping[int, tuple[str, str]]
    roads: rules.Roads


def places_of(plan: Plan) -> dict[int, str]:
    """Return the names of the district's schools by id: where all can meet or a bus can start."""
    rows = db.session.execute(
        sa.select(Holder.id, Holder.short_name)
        .where(Holder.district_id == plan.district_id, Holder.kind == HolderKind.SCHOOL)
        .order_by(Holder.short_name)
    )
    return {row.id: row.short_name for row in rows}


def carriage_of(plan: Plan, *, copies_per_box: int) -> Carriage:
    """Return what a plan has still to carry, in four queries.

    Of a draft all its lines, of a published plan the transfers that have not left yet, with the copies
    agreed. A storage place of the fund is where its school is, else at the education office.
    """
    holders = {
        row.id: row
        for row in db.session.execute(
            sa.select(
                Holder.id, Holder.kind, Holder.short_name, Holder.km_to_centre, Holder.located_at_id
            ).where(
                Holder.district_id == plan.district_id,
                Holder.kind.in_([HolderKind.SCHOOL, HolderKind.FUND]),
            )
        )
    }
    sites = {id_: _site(row) for id_, row in holders.items()}
    carried: defaultdict[tuple[int, int], int] = defaultdict(int)
    for row in db.session.execute(_waiting_lines(plan)):
        carried[row.giver_id, row.taker_id] += row.copies
    loads = []
    sides = {}
    for number, (pair, copies) in enumerate(sorted(carried.items()), start=1):
        if copies:
            giver, taker = pair
            boxes = rules.boxes_for(copies, copies_per_box)
            loads.append(rules.Load(number, sites[giver], sites[taker], copies, boxes))
            sides[number] = holders[giver].short_name, holders[taker].short_name
    to_centre = {id_: row.km_to_centre for id_, row in holders.items()}
    return Carriage(loads, sides, _roads(plan.district_id, to_centre))


def _site(holder: Any) -> int:
    if holder.kind is HolderKind.FUND:
        return holder.located_at_id or rules.CENTRE
    return int(holder.id)


def _roads(district_id: int, to_centre: Mapping[int, float]) -> rules.Roads:
    roads = dict(schools.distances(district_id))
    for id_, km in to_centre.items():
        roads[id_, rules.CENTRE] = roads[rules.CENTRE, id_] = km
    roads[rules.CENTRE, rules.CENTRE] = 0.0
    return roads


def _waiting_lines(plan: Plan) -> sa.Select[int, int, int]:
    if not plan.is_published:
        return sa.select(PlanLine.giver_id, PlanLine.taker_id, PlanLine.copies).where(
            PlanLine.plan_id == plan.id, PlanLine.removed.is_(False)
        )
    return (
        sa.select(
            Transfer.giver_id,
            Transfer.taker_id,
            sa.func.coalesce(TransferLine.agreed, TransferLine.asked).label("copies"),
        )
        .join(TransferLine, TransferLine.transfer_id == Transfer.id)
        .where(Transfer.plan_id == plan.id, Transfer.state.in_(BEFORE_SHIPMENT))
    )
