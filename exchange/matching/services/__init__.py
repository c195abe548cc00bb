"""Plans: gathering what is open, having it solved, keeping, changing and publishing the answer."""

from __future__ import annotations

from exchange.matching.services.changing import (
    LonePart,
    discard,
    fix_copies,
    lone_parts,
    mark_line,
    restore,
)
from exchange.matching.services.controls import (
    PlanControls,
)
from exchange.matching.services.frontier import (
    order_frontier,
    perform_frontier,
)
from exchange.matching.services.gathering import (
    CONDITION_RANK,
    Gathered,
    Origin,
    gather,
)
from exchange.matching.services.making import (
    order,
    perform,
    stop,
)
from exchange.matching.services.plans import (
    FRONTIER_KIND,
    RUN_KIND,
    draft_of,
    last_published,
    plan_of,
    working,
)
from exchange.matching.services.proof import (
    proof_of,
)
from exchange.matching.services.publishing import (
    Failure,
    Published,
    publish,
)
from exchange.matching.services.reasons import (
    LineReasons,
    SchoolReasons,
    latest_published,
    line_reasons,
    school_reasons,
)
from exchange.matching.services.swaps import (
    CHANGED as SWAP_CHANGED,
)
from exchange.matching.services.swaps import (
    Group,
    Part,
    approve_swap,
    group_of,
    groups_of,
)
from exchange.matching.services.tours import (
    Carriage,
    carriage_of,
    places_of,
)
from exchange.matching.services.wishes import (
    take_back,
    wish,
    wishes,
)

__all__ = [
    "CONDITION_RANK",
    "FRONTIER_KIND",
    "RUN_KIND",
    "SWAP_CHANGED",
    "Carriage",
    "Failure",
    "Gathered",
    "Group",
    "LineReasons",
    "LonePart",
    "Origin",
    "Part",
    "PlanControls",
    "Published",
    "SchoolReasons",
    "approve_swap",
    "carriage_of",
    "discard",
    "draft_of",
    "fix_copies",
    "gather",
    "group_of",
    "groups_of",
    "last_published",
    "latest_published",
    "line_reasons",
    "lone_parts",
    "mark_line",
    "order",
    "order_frontier",
    "perform",
    "perform_frontier",
    "places_of",
    "plan_of",
    "proof_of",
    "publish",
    "restore",
    "school_reasons",
    "stop",
    "take_back",
    "wish",
    "wishes",
    "working",
]
