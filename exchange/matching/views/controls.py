"""The methodist's controls: the form, and what a plan was asked for in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, SelectField

from exchange.matching.rules import FundUse
from exchange.matching.services import PlanControls
from exchange.web.formats import format_number, format_percent
from exchange.web.forms import CopiesField, Form, KilometresField

GIVE_UPS = (0, 1, 2, 5)
FAIRNESSES = (0, 5, 10)
BUFFERS = (0, 5, 10, 20)
"""Choices of the form, in per cent."""
UNSAID = ""

FUND_USES = {
    FundUse.LAST: _l("в последнюю очередь"),
    FundUse.FREELY: _l("наравне со школами"),
    FundUse.NEVER: _l("не трогать"),
}
_refusal = {"invalid_choice_message": _l("Выберите из списка.")}


def _per_cent(value: float) -> str:
    return format_percent(value / 100)


class ControlsForm(Form):
    """What the methodist asks of a plan; ``controls_form`` fills it in."""

    give_up = SelectField(_l("Сколько экземпляров можно не закрыть ради меньшего числа поездок"), **_refusal)
    fairness = SelectField(_l("Справедливость между школами"), **_refusal)
    furthest_km = KilometresField(_l("Дальше скольких километров не возить"))
    fund = SelectField(_l("Резервный фонд"), choices=lambda: _fund_uses(), **_refusal)
    smallest_parcel = CopiesField(_l("Самая маленькая посылка, экз."))
    buffer = SelectField(_l("Запас у отдающих"), **_refusal)
    by_road = BooleanField(_l("Считать поездки по километрам, а не по числу"))

    @property
    def controls(self) -> PlanControls:
        """What is asked for. The services check the numbers."""
        return PlanControls(
            give_up=float(self.give_up.data),
            fairness=_number(self.fairness.data),
            furthest_km=self.furthest_km.data,
            fund=FundUse(self.fund.data),
            smallest_parcel=1 if self.smallest_parcel.data is None else self.smallest_parcel.data,
            by_road=self.by_road.data,
            buffer=_number(self.buffer.data),
        )


def _fund_uses() -> dict[str, str]:
    return {use.value: str(words) for use, words in FUND_USES.items()}


def _number(text: str) -> int | None:
    return None if text == UNSAID else int(text)


def controls_form(controls: PlanControls) -> ControlsForm:
    """Return the form with ``controls`` filled in, or with what was sent."""
    form = ControlsForm(
        data={
            "give_up": f"{controls.give_up:g}",
            "fairness": UNSAID if controls.fairness is None else str(controls.fairness),
            "furthest_km": controls.furthest_km,
            "fund": controls.fund.value,
            "smallest_parcel": controls.smallest_parcel,
            "by_road": controls.by_road,
            "buffer": UNSAID if controls.buffer is None else str(controls.buffer),
        }
    )
    form.give_up.choices = _choices(
        GIVE_UPS, controls.give_up, _("нисколько: сначала охват"), _("до %(share)s")
    )
    form.fairness.choices = [
        (UNSAID, _("не требовать")),
        *_choices(
            FAIRNESSES,
            controls.fairness,
            _("ни одна школа не отстаёт от возможного"),
            _("отставание не больше %(share)s"),
        ),
    ]
    form.buffer.choices = [
        (UNSAID, _("как указала каждая школа")),
        *_choices(BUFFERS, controls.buffer, _("без запаса"), _("%(share)s от числа учеников")),
    ]
    return form


def _choices(
    offered: Iterable[int], chosen: float | None, nothing: str, something: str
) -> list[tuple[str, str]]:
    """Return the choices of a list in per cent, with the one already chosen among them."""
    values = sorted({*map(float, offered), *(() if chosen is None else (chosen,))})
    return [(f"{value:g}", something % {"share": _per_cent(value)} if value else nothing) for value in values]


def controls_sent() -> bool:
    """Say whether the form was sent, and not a button that asks for the same as before."""
    return "give_up" in request.form


def conditions(controls: PlanControls) -> list[str]:
    """Return what was asked of a plan beyond the usual, as phrases."""
    told: list[tuple[Any, str]] = [
        (
            controls.give_up,
            _("можно не закрыть до %(share)s ради поездок", share=_per_cent(controls.give_up)),
        ),
        (
            controls.fairness is not None,
            _(
                "школы отстают от возможного не больше чем на %(share)s",
                share=_per_cent(controls.fairness or 0),
            ),
        ),
        (controls.furthest_km, _("не дальше %(km)s км", km=format_number(controls.furthest_km))),
        (
            controls.fund is not FundUse.LAST,
            _("фонд – %(use)s", use=FUND_USES[controls.fund]),
        ),
        (
            controls.smallest_parcel > 1,
            _("посылка не меньше %(copies)s экз.", copies=format_number(controls.smallest_parcel)),
        ),
        (
            controls.buffer is not None,
            _("запас у отдающих %(share)s от числа учеников", share=_per_cent(controls.buffer or 0)),
        ),
        (controls.by_road, _("поездки считаются по километрам")),
    ]
    return [words for holds, words in told if holds]
