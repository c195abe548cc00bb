"""Plans: gathering what is open, having it solved, keeping, changing and publishing the answer."""

from __future__ import annotations

from exchange.matching.services.changing import discard, mark_line
from exchange.matching.services.gathering import CONDITION_RANK, Gathered, Origin, gather
from exchange.matching.services.making import order, perform
from exchange.matching.services.plans import RUN_KIND, draft_of, plan_of, working
from exchange.matching.services.publishing import Failure, Published, publish
from exchange.matching.services.swaps import CHANGED as SWAP_CHANGED
from exchange.matching.services.swaps import Group, Part, approve_swap, group_of, groups_of
from exchange.matching.services.tours import Carriage, carriage_of, places_of

__all__ = [
    "CONDITION_RANK",
    "RUN_KIND",
    "SWAP_CHANGED",
    "Carriage",
    "Failure",
    "Gathered",
    "Group",
    "Origin",
    "Part",
    "Published",
    "approve_swap",
    "carriage_of",
    "discard",
    "draft_of",
    "gather",
    "group_of",
    "groups_of",
    "mark_line",
    "order",
    "perform",
    "places_of",
    "plan_of",
    "publish",
    "working",
]
