"""How good a plan is, in figures, words and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from flask_babel import gettext as _
from markupsafe import Markup

from exchange.matching.models import Plan
from exchange.web.charts import Bar, Point, bar_chart, curve
from exchange.web.formats import format_number, format_percent

CHART_IN_CARD = 240


@dataclass(frozen=True)
class Column:
    """The figures of one way to share the books out, as a column; ``asked`` is in sets."""

    figures: Mapping[str, Any]
    asked: int


@dataclass(frozen=True)
class Row:
    """What one of the figures is called, and how it reads in each column."""

    title: str
    values: Sequence[str]


def beside(columns: Sequence[Column]) -> list[Row]:
    """Return the rows of a table of figures; those that no column knows are left out."""

    def share(column: Column) -> str:
        return format_percent(column.figures["sets"] / column.asked if column.asked else None)

    rows = [
        Row(_("Охват"), [share(column) for column in columns]),
        *(
            Row(title, [format_number(column.figures.get(name)) for column in columns])
            for name, title in (
                ("sets", _("Закрыто комплектов")),
                ("trips", _("Поездок")),
                ("trip_km", _("Дорога, км")),
                ("copies", _("Везут, экз.")),
                ("fund_copies", _("Из фонда, экз.")),
            )
        ),
    ]
    if any("fairness" in column.figures for column in columns):
        rows.append(
            Row(
                _("Хуже всего обеспеченная школа получит из возможного"),
                [format_percent(column.figures.get("fairness")) for column in columns],
            )
        )
    return rows


def baselines(plan: Plan) -> list[Row]:
    """Return the plan's figures beside those of the ways a person would share the books out."""
    stored = _stored(plan)
    return beside([Column(stored[name], plan.figures["asked"]) for name in ways(plan)])


def ways(plan: Plan) -> dict[str, str]:
    """Return the ways to share out whose figures are kept with a plan, each with the title of its column."""
    titles = {
        "plan": _("По плану"),
        "nearest": _("К ближайшему"),
        "flow": _("Короче путь книг"),
    }
    stored = _stored(plan)
    return {name: title for name, title in titles.items() if name in stored}


def _stored(plan: Plan) -> Mapping[str, Mapping[str, Any]]:
    return {"plan": plan.figures["plan"], **plan.figures.get("baselines", {})}


def proof(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is proven of a plan: pairs of a name and a sentence."""
    weight, best = figures["weight"], figures["best_weight"]
    return [
        (
            _("Охват"),
            _("Больше закрыть нельзя: доказано.")
            if weight >= best
            else _(
                "Доказано: больше %(best)s не закрыть. У плана %(weight)s, разрыв %(gap)s.",
                best=format_number(best),
                weight=format_number(weight),
                gap=format_gap(best - weight, best),
            ),
        ),
        (_("Поездки"), _proof_of_road(figures) if by_road(figures) else _proof_of_trips(figures)),
    ]


def by_road(figures: Mapping[str, Any]) -> bool:
    """Whether trips were counted by the kilometre, so that their length is what is proven."""
    return "trip_km" in figures["optimal"]


def all_proven(figures: Mapping[str, Any]) -> bool:
    """Whether nothing is left to look for: no plan with this coverage needs fewer trips, or less road."""
    return bool(figures["optimal"]["trip_km" if by_road(figures) else "trips"])


def _proof_of_trips(figures: Mapping[str, Any]) -> str:
    trips, bound = figures["plan"]["trips"], ceil(figures["trips_bound"] - 1e-6)
    if all_proven(figures):
        return str(_("Меньше поездок при этом охвате не бывает: доказано."))
    return str(
        _(
            "Лучшее из найденного: %(trips)s. Доказано, что меньше %(bound)s не бывает; разрыв %(gap)s.",
            trips=format_number(trips),
            bound=format_number(bound),
            gap=format_gap(trips - bound, trips),
        )
    )


def _proof_of_road(figures: Mapping[str, Any]) -> str:
    (road,) = (one for one in figures["passes"] if one["name"] == "trip_km")
    if all_proven(figures):
        return str(_("Короче дороги при этом охвате не бывает: доказано."))
    return str(
        _(
            "Лучшее из найденного: %(km)s км. Доказано, что короче %(bound)s км не бывает; разрыв %(gap)s.",
            km=format_number(road["value"]),
            bound=format_number(road["bound"]),
            gap=format_gap(road["value"] - road["bound"], road["value"]),
        )
    )


def checkable(certificate: Mapping[str, Any]) -> list[str]:
    """Return what anybody can work out again from the prices of a certificate, and what is only claimed."""
    bounds = {proof["goal"]: proof["bound"] for proof in certificate.get("proofs", ())}
    if "coverage" not in bounds:
        return []
    said = [_("охват с учётом веса не больше %(bound)s", bound=format_number(bounds["coverage"]))]
    trips, claimed = bounds.get("trips"), certificate.get("claimed_trips")
    if trips is not None and certificate["by_road"]:
        said.append(_("дорога не короче %(bound)s км", bound=format_number(trips / 10, 1)))
    elif trips is not None:
        said.append(_("поездок не меньше %(bound)s", bound=format_number(trips)))
    sentences = [_("По файлу каждый может пересчитать: %(bounds)s.", bounds=", ".join(said))]
    if trips is not None and claimed is not None and not certificate["by_road"] and ceil(claimed) > trips:
        sentences.append(
            _(
                "Что поездок не меньше %(bound)s, показал перебор: это проверяют, только подобрав заново.",
                bound=format_number(ceil(claimed - 1e-6)),
            )
        )
    return sentences


def format_gap(difference: float, whole: float) -> str:
    """Return how far two values lie apart, «1,4 %» of the ``whole``."""
    return f"{format_number(100 * difference / whole if whole else 0, 1)}\u00a0%"


def charts(figures: Mapping[str, Any]) -> list[Markup]:
    """Draw what the plan reaches beside what going to the nearest school would."""
    return [
        bar_chart(
            [
                Bar(_("По плану"), figures["plan"][name], format_number(figures["plan"][name])),
                Bar(_("К ближайшему"), figures["baseline"][name], format_number(figures["baseline"][name])),
            ],
            name=name.replace("_", "-"),
            title=title,
            description=_(
                "По плану %(plan)s, если ездить к ближайшему – %(baseline)s",
                plan=format_number(figures["plan"][name]),
                baseline=format_number(figures["baseline"][name]),
            ),
            maximum=maximum,
            width=CHART_IN_CARD,
        )
        for name, title, maximum in (
            ("sets", _("Закрыто комплектов"), figures["asked"]),
            ("trips", _("Поездок"), None),
            ("trip_km", _("Дорога, км"), None),
        )
    ]


@dataclass(frozen=True)
class Choice:
    """One point of the frontier: what the district gets for giving up a share of the coverage."""

    give_up: float
    coverage: float
    sets: int
    trips: int
    fewer: int
    """Trips saved against giving up nothing."""


@dataclass(frozen=True)
class Frontier:
    """Fewer trips for less coverage: the choices, and a picture of them with the plan."""

    choices: Sequence[Choice]
    picture: Markup


def frontier(figures: Mapping[str, Any]) -> Frontier | None:
    """Return the frontier stored with a plan; ``None`` where none was computed or nothing is asked for."""
    stored = sorted(figures.get("frontier") or [], key=lambda point: point["give_up"])
    best = max((point["weight"] for point in stored), default=0)
    if not best:
        return None
    choices = [
        Choice(
            give_up=point["give_up"] / 100,
            coverage=point["weight"] / best,
            sets=point["sets"],
            trips=point["trips"],
            fewer=stored[0]["trips"] - point["trips"],
        )
        for point in stored
    ]
    own = Choice(0.0, figures["weight"] / best, figures["plan"]["sets"], figures["plan"]["trips"], 0)
    lowest = floor(min(choice.coverage for choice in (*choices, own)) * 100 + 1e-6)
    step = max(1, (100 - lowest) // 5)
    levels = [(level / 100, format_percent(level / 100)) for level in range(100, lowest - step, -step)]
    points = {
        (choice.trips, choice.coverage): Point(choice.trips, choice.coverage, format_number(choice.trips))
        for choice in choices
    }
    return Frontier(
        choices,
        curve(
            [
                *points.values(),
                Point(
                    own.trips, own.coverage, _("план: %(trips)s", trips=format_number(own.trips)), marked=True
                ),
            ],
            name="frontier",
            title=_("Охват и поездки"),
            description="; ".join(
                [
                    *(
                        _(
                            "охват %(coverage)s – поездок %(trips)s",
                            coverage=format_percent(choice.coverage),
                            trips=format_number(choice.trips),
                        )
                        for choice in choices
                    ),
                    _(
                        "этот план: охват %(coverage)s – поездок %(trips)s",
                        coverage=format_percent(own.coverage),
                        trips=format_number(own.trips),
                    ),
                ]
            ),
            along=_("поездок"),
            levels=list(reversed(levels)),
        ),
    )


@dataclass(frozen=True)
class Repair:
    """What a repair keeps of its base, and what making everything anew would have given; trips."""

    kept: int
    gone: int
    new: int
    anew: Mapping[str, Any]
    dearer: int
    """Trips more than a plan made anew would need: what stability costs."""


def repair(figures: Mapping[str, Any]) -> Repair | None:
    """Return how far a repaired plan keeps to its base; ``None`` for a plan made anew."""
    stored = figures.get("repair")
    if not stored:
        return None
    anew = stored["fresh"]
    return Repair(
        kept=stored["kept"],
        gone=len(stored["gone"]),
        new=len(stored["new"]),
        anew=anew,
        dearer=figures["plan"]["trips"] - anew["trips"],
    )
