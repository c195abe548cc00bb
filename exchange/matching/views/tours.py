"""The route sheet of a plan: who drives where with how many boxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import RadioField, SelectField
from wtforms.fields import SelectChoice
from wtforms.validators import NumberRange

from exchange.matching import rules, services
from exchange.matching.rules import Carrying
from exchange.matching.views.blueprint import bp
from exchange.schools import access
from exchange.web.export import export
from exchange.web.forms import CopiesField, DecimalField, Form, KilometresField
from exchange.web.pages import page

WAY_NAMES = {
    Carrying.HUB: _l("День обмена: все везут в одно место и там забирают"),
    Carrying.DIRECT: _l("Напрямую: каждый отдающий везёт сам"),
    Carrying.BUS: _l("Рейс: одна машина объезжает несколько школ"),
}
SHORT_NAMES = {
    Carrying.HUB: _l("День обмена"),
    Carrying.DIRECT: _l("Напрямую"),
    Carrying.BUS: _l("Рейс по школам"),
}
MOST_KG = 5


class KilogramsField(DecimalField):
    """The weight of a copy in kg («0,4»)."""

    pattern = r"[0-9]([.,][0-9]{1,3})?"

    def complaint(self) -> str:
        """Say what is wanted in place of what cannot be read."""
        return str(_("Нужен вес в килограммах, например 0,4."))

    def _value(self) -> str:
        return super()._value() if self.data is None else self.shown()


class RoutesForm(Form):
    """How to drive, and the assumptions about boxes and weight. What is left out is as usual."""

    way = RadioField(
        _l("Кто везёт"), choices=[SelectChoice(way.value, name) for way, name in WAY_NAMES.items()]
    )
    place = SelectField(_l("Где встречаются или откуда выезжает машина"), coerce=int)
    copies_per_box = CopiesField(_l("Экземпляров в коробке"), validators=[NumberRange(1, 1000)])
    kg_per_copy = KilogramsField(_l("Вес экземпляра, кг"), validators=[NumberRange(0.01, MOST_KG)])
    most_km = KilometresField(_l("Рейс не длиннее, км"), validators=[NumberRange(1, 9999)])
    most_boxes = CopiesField(_l("В машину входит коробок"), validators=[NumberRange(1, 1000)])


USUAL: Mapping[str, Any] = {
    "way": Carrying.HUB.value,
    "place": rules.CENTRE,
    "copies_per_box": rules.COPIES_PER_BOX,
    "kg_per_copy": rules.KG_PER_COPY,
    "most_km": rules.MOST_KM,
    "most_boxes": rules.MOST_BOXES,
}


@dataclass(frozen=True)
class Row:
    """A leg, ready to be read: what is loaded at its beginning and unloaded at its end."""

    start: str
    end: str
    km: float
    copies: int
    boxes: int
    kg: float
    loading: Sequence[str]
    unloading: Sequence[str]


@dataclass(frozen=True)
class Sheet:
    """A tour, ready to be read."""

    number: int
    km: float
    copies: int
    kg: float
    """The most on board at once."""
    rows: Sequence[Row]


@bp.get("/plans/<int:plan_id>/routes")
def routes(plan_id: int) -> Response:
    """Show who drives where with a plan's books, in each of three ways; also as a file."""
    plan = services.plan_of(plan_id, by=access.current())
    form = RoutesForm(request.args)
    for name, usual in USUAL.items():
        if name not in request.args:
            form[name].data = usual
    names = services.places_of(plan)
    centre = SelectChoice(rules.CENTRE, _("Районный центр, управление образования"))
    form.place.choices = [centre, *(SelectChoice(id_, name) for id_, name in names.items())]
    if not form.validate():
        return page("matching/tours.html", status=422, plan=plan, form=form, chosen=None)
    carriage = services.carriage_of(plan, copies_per_box=form.copies_per_box.data)
    by_way = {
        way: rules.routes(
            way,
            carriage.loads,
            carriage.roads,
            place=form.place.data,
            limits=rules.Limits(form.most_km.data, form.most_boxes.data),
            copies_per_box=form.copies_per_box.data,
        )
        for way in WAY_NAMES
    }
    chosen = by_way[Carrying(form.way.data)]
    told = _Told(carriage, {rules.CENTRE: _("Районный центр"), **names}, form.kg_per_copy.data)
    sheets = [told.sheet(index, tour) for index, tour in enumerate(chosen.tours, start=1)]
    if format_ := request.args.get("format"):
        return _export(plan.id, format_, sheets)
    return page(
        "matching/tours.html",
        plan=plan,
        form=form,
        chosen=chosen,
        sheets=sheets,
        by_way=by_way,
        short_names=SHORT_NAMES,
        on_the_spot=told.sentences(chosen.on_the_spot),
        beyond=told.sentences(chosen.beyond),
        copies=sum(load.copies for load in carriage.loads),
        boxes=sum(load.boxes for load in carriage.loads),
        kg=sum(load.copies for load in carriage.loads) * form.kg_per_copy.data,
    )


@dataclass(frozen=True)
class _Told:
    """Puts tours into words."""

    carriage: services.Carriage
    places: Mapping[int, str]
    kg_per_copy: float

    def sheet(self, number: int, tour: rules.Tour) -> Sheet:
        rows = [
            Row(
                start=self.places[leg.start],
                end=self.places[leg.end],
                km=leg.km,
                copies=leg.copies,
                boxes=leg.boxes,
                kg=leg.copies * self.kg_per_copy,
                loading=[
                    _(
                        "для: %(school)s – %(copies)s экз., коробок: %(boxes)s",
                        school=self.carriage.sides[load.number][1],
                        copies=load.copies,
                        boxes=load.boxes,
                    )
                    for load in tour.put_in(index)
                ],
                unloading=[
                    _(
                        "от: %(school)s – %(copies)s экз., коробок: %(boxes)s",
                        school=self.carriage.sides[load.number][0],
                        copies=load.copies,
                        boxes=load.boxes,
                    )
                    for load in tour.taken_out(index)
                ],
            )
            for index, leg in enumerate(tour.legs)
        ]
        copies = sum(load.copies for load in tour.loads)
        return Sheet(number, tour.km, copies, max(row.kg for row in rows), rows)

    def sentences(self, loads: Iterable[rules.Load]) -> list[str]:
        return [
            _(
                "%(giver)s → %(taker)s: %(copies)s экз.",
                giver=self.carriage.sides[load.number][0],
                taker=self.carriage.sides[load.number][1],
                copies=load.copies,
            )
            for load in loads
        ]


def _export(plan_id: int, format_: str, sheets: Sequence[Sheet]) -> Response:
    columns = (
        _("Выезд"),
        _("Откуда"),
        _("Погрузить"),
        _("Куда"),
        _("Выгрузить"),
        _("Дорога, км"),
        _("Везут, экз."),
        _("Коробок"),
        _("Вес, кг"),
    )
    rows = [
        (
            sheet.number,
            row.start,
            "; ".join(row.loading),
            row.end,
            "; ".join(row.unloading),
            row.km,
            row.copies,
            row.boxes,
            round(row.kg, 1),
        )
        for sheet in sheets
        for row in sheet.rows
    ]
    return export(format_, _("Маршрутный лист, план %(number)s", number=plan_id), columns, rows)
