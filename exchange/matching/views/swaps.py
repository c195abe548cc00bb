"""Swaps of a plan: the schools that give to each other, approved together; and the hint on a transfer."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from exchange.errors import WrongMoment
from exchange.matching import services
from exchange.matching.views.blueprint import bp
from exchange.schools import access
from exchange.schools.rules import Action
from exchange.schools.views import clock
from exchange.transfers.models import Transfer
from exchange.transfers.rules import STATE_NAMES, STATE_TONES
from exchange.transfers.views import Note
from exchange.web.forms import number
from exchange.web.pages import done, page


@bp.get("/plans/<int:plan_id>/swaps")
def swaps(plan_id: int) -> Response:
    """Show the schools of a plan that both give and get, group by group."""
    plan = services.plan_of(plan_id, by=access.current())
    return page(
        "matching/swaps.html",
        plan=plan,
        groups=services.groups_of(plan),
        state_names=STATE_NAMES,
        state_tones=STATE_TONES,
    )


@bp.post("/plans/<int:plan_id>/swaps/<int:school_id>/approve")
def approve_swap(plan_id: int, school_id: int) -> Response:
    """Approve all transfers of a swap, or none."""
    approved = services.approve_swap(plan_id, school_id, seen=_seen(), by=access.current(), clock=clock())
    count = len(approved)
    message = (
        ngettext("Обмен утверждён: %(num)d передача.", "Обмен утверждён: %(num)d передач.", count)
        if count
        else _("Этот обмен уже утверждён.")
    )
    return done(url_for("matching.swaps", plan_id=plan_id), message)


def _seen() -> frozenset[int]:
    try:
        return frozenset(number(text) for text in request.form.getlist("transfer"))
    except ValueError:
        raise WrongMoment(services.SWAP_CHANGED) from None


def notes_on(transfer: Transfer) -> Sequence[Note]:
    """Return the hint that a transfer is part of a swap: to a school what it gives and gets itself."""
    by = access.current()
    group = services.group_of(transfer)
    if group is None:
        return []
    if access.allowed(by, Action.MATCH):
        schools = ", ".join(group.names[member.school] for member in group.swap.members)
        text = _(
            "Эта передача – часть обмена, его утверждают целиком. Участвуют: %(schools)s.", schools=schools
        )
        return [Note(text, f"{url_for('matching.swaps', plan_id=transfer.plan_id)}#swap-{group.number}")]
    return [
        Note(
            _(
                "Эта передача – часть обмена: вы отдаёте %(gives)s экз., получаете %(gets)s экз. "
                "Методист утвердит всё вместе, когда согласятся все.",
                gives=member.gives,
                gets=member.gets,
            )
        )
        for member in group.swap.members
        if by.school is not None and member.school == by.school.id
    ]
