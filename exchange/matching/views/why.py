"""Why a plan is as it is: a proposal opened into its reasons, and «Почему не мне» for a school."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from flask import Response, request
from flask_babel import gettext as _

from exchange.catalog import services as catalog
from exchange.db import db
from exchange.matching import rules, services
from exchange.matching.services.controls import from_json
from exchange.matching.views.blueprint import bp
from exchange.matching.views.books import books_shown
from exchange.matching.views.changes import changes_in_words
from exchange.schools import access
from exchange.schools.models import Holder
from exchange.schools.rules import Action
from exchange.schools.views import clock
from exchange.web.formats import format_number, format_percent
from exchange.web.forms import asked_number
from exchange.web.pages import page


@bp.get("/plans/<int:plan_id>/lines/<int:line_id>")
def line(plan_id: int, line_id: int) -> Response:
    """Open a proposal into its reasons, with numbers, and what else can be asked about it in a draft."""
    by = access.current()
    reasons = services.line_reasons(plan_id, line_id, by=by)
    opened = reasons.opened
    holders: set[int] = set()
    textbooks = {reasons.line.edition.textbook_id}
    if opened is not None:
        textbooks |= {other.textbook for other in opened.besides}
        for rival in opened.nearer:
            holders |= {rival.supply.holder, *(sent.taker for sent in rival.sent)}
    return page(
        "matching/why_line.html",
        "reasons",
        line=reasons.line,
        opened=opened,
        lost_weight=reasons.lost_weight,
        lost_sets=reasons.lost_sets,
        names=_names(holders),
        books=books_shown(textbooks),
        verdicts=_verdicts(textbooks),
        may_see_plan=access.allowed(by, Action.MATCH),
        may_change=access.allowed(by, Action.MATCH)
        and reasons.line.plan.is_draft
        and not reasons.line.removed,
        same_page=f"?page={number}" if (number := asked_number(request.args, "page")) else "",
        may_see_taker=access.allowed(by, Action.MATCH)
        or access.allowed(by, Action.SEE_TRANSFER, reasons.line.taker),
    )


@bp.get("/plans/<int:plan_id>/schools/<int:holder_id>/why")
def school(plan_id: int, holder_id: int) -> Response:
    """Show what became of each need of a school, and who got the copies that it could use."""
    by = access.current()
    reasons = services.school_reasons(plan_id, holder_id, by=by)
    reviews = reasons.reviews or ()
    stored = {item["request_id"]: item for item in reasons.plan.uncovered}
    changes = changes_in_words([stored[one.need.id] for one in reviews if one.need.id in stored])
    holders = {
        holder
        for one in reviews
        for holder in (
            *(proposal.giver for proposal in one.proposals),
            *(competitor.giver for competitor in one.competitors),
            *(competitor.taker for competitor in one.competitors),
        )
    }
    textbooks = {one.need.textbook for one in reviews}
    return page(
        "matching/why_school.html",
        plan=reasons.plan,
        school=reasons.school,
        known=reasons.reviews is not None,
        reviews=[
            {
                "need": one,
                "why": _shortage(one.shortage) if one.shortage else "",
                "changes": changes.get(one.need.id, []),
                "competitors": [(competitor, _rule(competitor)) for competitor in one.competitors],
            }
            for one in reviews
        ],
        order=_order_of_rules(from_json(reasons.plan.controls)),
        names=_names(holders),
        books=books_shown(textbooks),
        verdicts=_verdicts(textbooks),
        may_see_plan=access.allowed(by, Action.MATCH),
    )


def _order_of_rules(controls: services.PlanControls) -> list[str]:
    """Return what a plan looks at, first things first: only what its controls asked for."""
    told = [
        (True, _("сначала закрыть как можно больше заявок с учётом веса")),
        (
            controls.give_up,
            _("уступить ради поездок не больше %(share)s", share=format_percent(controls.give_up / 100)),
        ),
        (controls.fund is rules.FundUse.LAST, _("меньше брать из фонда")),
        (controls.fairness is not None, _("не отставать никому больше, чем разрешил методист")),
        (not controls.by_road, _("меньше поездок")),
        (True, _("короче дорога")),
        (True, _("раньше поданная заявка")),
    ]
    return [words for holds, words in told if holds]


def _shortage(shortage: rules.Uncovered) -> str:
    first, *rest = (
        _(said.message, **{k: _(v) if isinstance(v, str) else v for k, v in said.parameters.items()})
        for said in rules.explain(shortage)
    )
    return f"{first}: {'; '.join(rest)}." if rest else f"{first}."


def _rule(competitor: rules.Competitor) -> str:
    numbers = {name: format_number(number) for name, number in competitor.parameters.items()}
    return str(_(rules.RULES[competitor.rule], **numbers))


def _verdicts(textbooks: Collection[int]) -> Mapping[int, Any]:
    return catalog.verdicts(textbooks, clock().today(access.current().district.timezone))


def _names(holders: Iterable[int]) -> Mapping[int, str]:
    """Return the short names of holders."""
    rows = db.session.execute(sa.select(Holder.id, Holder.short_name).where(Holder.id.in_(holders)))
    return {row.id: row.short_name for row in rows}
