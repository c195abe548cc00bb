"""Why a plan is as it is: what is stored when it is made."""

from __future__ import annotations

from typing import Any

from exchange.matching import rules

#: Of so many needs, those that lack the most, a plan is told what would cover more.
MOST_NEEDS = 300
#: So many changes of one need are kept, the most worth.
MOST_CHANGES = 5


def uncovered_to_store(problem: rules.Problem, result: rules.Result) -> list[dict[str, Any]]:
    """Return the needs that stay open, why, and what would change that, see ``Plan.uncovered``."""
    from exchange.matching.solver.counterfactuals import counterfactuals

    largest = sorted(result.uncovered, key=lambda item: (-item.missing, item.need_id))[:MOST_NEEDS]
    changes = counterfactuals(problem, result, {item.need_id for item in largest})
    return [
        {
            "request_id": item.need_id,
            "missing": item.missing,
            "part": item.part,
            "reasons": [[s.message, dict(s.parameters)] for s in rules.explain(item)],
            "changes": [rules.change_as_json(one) for one in changes.get(item.need_id, ())[:MOST_CHANGES]],
        }
        for item in result.uncovered
    ]
