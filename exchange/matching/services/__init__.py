"""Plans: gathering what is open, having it solved, keeping, changing and publishing the answer."""

from __future__ import annotations

from exchange.matching.services.changing import discard, mark_line
from exchange.matching.services.gathering import CONDITION_RANK, Gathered, Origin, gather
from exchange.matching.services.making import order, perform
from exchange.matching.services.plans import RUN_KIND, draft_of, plan_of, working
from exchange.matching.services.publishing import Failure, Published, publish
from exchange.matching.services.reasons import (
    LineReasons,
    SchoolReasons,
    latest_published,
    line_reasons,
    school_reasons,
)

__all__ = [
    "CONDITION_RANK",
    "RUN_KIND",
    "Failure",
    "Gathered",
    "LineReasons",
    "Origin",
    "Published",
    "SchoolReasons",
    "discard",
    "draft_of",
    "gather",
    "latest_published",
    "line_reasons",
    "mark_line",
    "order",
    "perform",
    "plan_of",
    "publish",
    "school_reasons",
    "working",
]
