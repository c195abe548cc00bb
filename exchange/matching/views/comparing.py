"""Two plans side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from flask import Response, request
from flask_babel import gettext as _

from exchange.catalog.models import Edition
from exchange.db import db
from exchange.matching import rules, services
from exchange.matching.models import Plan, PlanLine
from exchange.matching.views import pictures
from exchange.matching.views.blueprint import bp
from exchange.matching.views.plans import PLAN_STATE_NAMES, PLANS_LISTED
from exchange.schools import access
from exchange.schools.models import Holder
from exchange.schools.rules import Action, HolderKind
from exchange.web.export import export
from exchange.web.forms import asked_number
from exchange.web.pages import page

TRIPS_SHOWN = 50
"""So many trips of a kind are on the page; the file has all of them."""


@bp.get("/plans/compare")
def compare() -> Response:
    """Show what changes from one plan of the district to another."""
    by = access.current()
    access.require(by, Action.MATCH)
    asked = [asked_number(request.args, name) for name in ("one", "other")]
    plans = [services.plan_of(plan_id, by=by) for plan_id in asked if plan_id is not None]
    compared: dict[str, Any] = _compared(plans) if len(plans) == len(asked) else {"comparison": None}
    if compared["comparison"] and (format_ := request.args.get("format")):
        return _export(format_, plans, compared["comparison"], compared["names"])
    listed = db.session.execute(
        sa.select(Plan.id, Plan.state, Plan.created_at)
        .where(Plan.district_id == by.district_id)
        .order_by(Plan.id.desc())
        .limit(PLANS_LISTED)
    ).all()
    return page(
        "matching/compare.html",
        listed=listed,
        states=PLAN_STATE_NAMES,
        one=asked[0],
        other=asked[1],
        plans=plans,
        **compared,
    )


def _compared(plans: Sequence[Plan]) -> dict[str, Any]:
    lines: dict[int, list[rules.Carried]] = {plan.id: [] for plan in plans}
    for row in db.session.execute(
        sa.select(
            PlanLine.plan_id,
            PlanLine.giver_id,
            PlanLine.taker_id,
            PlanLine.request_id,
            Edition.part,
            PlanLine.copies,
            PlanLine.km,
            Holder.kind,
        )
        .join(Holder, Holder.id == PlanLine.giver_id)
        .join(Edition, Edition.id == PlanLine.edition_id)
        .where(PlanLine.plan_id.in_(lines), ~PlanLine.removed)
        .order_by(PlanLine.id)
    ):
        lines[row.plan_id].append(
            rules.Carried(
                giver=row.giver_id,
                taker=row.taker_id,
                need_id=row.request_id,
                part=row.part,
                copies=row.copies,
                km=row.km,
                from_fund=row.kind is HolderKind.FUND,
            )
        )
    comparison = rules.comparison(*(lines[plan.id] for plan in plans))
    trips = [*comparison.new, *comparison.gone, *comparison.changed]
    holders = {school.school for school in comparison.schools}
    holders |= {holder for trip in trips for holder in (trip.giver, trip.taker)}
    names = {
        row.id: row.short_name
        for row in db.session.execute(sa.select(Holder.id, Holder.short_name).where(Holder.id.in_(holders)))
    }
    columns = [pictures.Column(_as_it_stands(plan, lines[plan.id]), plan.figures["asked"]) for plan in plans]
    return {
        "comparison": comparison,
        "names": names,
        "rows": pictures.beside(columns),
        "trips": _kinds(comparison),
        "trips_shown": TRIPS_SHOWN,
    }


def _as_it_stands(plan: Plan, lines: Sequence[rules.Carried]) -> Mapping[str, Any]:
    """Return the figures of a plan without what was taken out of it: the lines can be counted again, how
    fair it is only the solver knows.
    """
    totals = asdict(rules.totals(lines))
    made = plan.figures["plan"]
    return {**made, **totals} if totals["sets"] == made["sets"] else totals


def _kinds(comparison: rules.Comparison) -> list[tuple[str, Sequence[rules.TripChange]]]:
    return [
        (_("Появятся поездки"), comparison.new),
        (_("Исчезнут поездки"), comparison.gone),
        (_("Изменится груз"), comparison.changed),
    ]


def _export(
    format_: str, plans: Sequence[Plan], comparison: rules.Comparison, names: Mapping[int, str]
) -> Response:
    """Return the schools that get more or less, then the trips that are not the same."""
    columns = (
        _("Что меняется"),
        _("Отдаёт"),
        _("Получает"),
        _("Расстояние, км"),
        *(_("План № %(number)s", number=plan.id) for plan in plans),
        _("Разница"),
    )
    rows: list[tuple[Any, ...]] = [
        (
            _("Школа получит, комплектов"),
            None,
            names[each.school],
            None,
            each.one,
            each.other,
            each.difference,
        )
        for each in comparison.schools
    ]
    rows += [
        (title, names[each.giver], names[each.taker], each.km, each.one, each.other, each.difference)
        for title, trips in _kinds(comparison)
        for each in trips
    ]
    title = _("Сравнение планов %(one)s и %(other)s", one=plans[0].id, other=plans[1].id)
    return export(format_, title, columns, rows)
