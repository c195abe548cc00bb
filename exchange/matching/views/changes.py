"""What would cover more, in words, with the names of schools and years of editions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from flask_babel import gettext as _

from exchange.catalog.models import Edition
from exchange.db import db
from exchange.matching import rules
from exchange.schools.models import Holder
from exchange.web.formats import format_date, format_number

_OF_HOLDERS = frozenset(
    {rules.StepKind.ASK, rules.StepKind.PERMIT, rules.StepKind.FETCH, rules.StepKind.RELEASE}
)


def changes_in_words(items: Sequence[Mapping[str, Any]]) -> dict[int, list[str]]:
    """Return for each item of ``Plan.uncovered``, by its request, what would cover more."""
    found = {
        item["request_id"]: [
            rules.change_from_json(item["request_id"], stored) for stored in item.get("changes", ())
        ]
        for item in items
    }
    steps = [step for changes in found.values() for one in changes for step in one.change.steps]
    holders = _named(Holder.id, Holder.short_name, {s.number for s in steps if s.kind in _OF_HOLDERS})
    years = _named(Edition.id, Edition.year, {s.number for s in steps if s.kind is rules.StepKind.EDITION})
    return {
        request_id: [_in_words(one, holders, years) for one in changes]
        for request_id, changes in found.items()
    }


def _named(
    key: sa.orm.InstrumentedAttribute[int], name: sa.orm.InstrumentedAttribute[Any], ids: set[int | None]
) -> dict[int | None, Any]:
    """Return what each row is called; nothing is asked where no row is wanted."""
    rows = db.session.execute(sa.select(key, name).where(key.in_(ids))) if ids else ()
    return {row[0]: row[1] for row in rows}


def _in_words(
    of: rules.Counterfactual, holders: Mapping[int | None, str], years: Mapping[int | None, int]
) -> str:
    clauses = []
    for step in of.change.steps:
        said = rules.words(step)
        clauses.append(
            _(
                said.message,
                number=step.number,
                day=format_date(step.day),
                holder=holders.get(step.number, ""),
                edition=years.get(step.number, ""),
            )
        )
    more, own = format_number(of.more), format_number(of.own)
    return str(_(rules.promise(of).message, steps=", ".join(clauses), more=more, own=own))
