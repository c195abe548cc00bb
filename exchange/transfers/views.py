"""Pages of transfers: the list, what waits for a person, one transfer with its next step, its papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import Blueprint, Flask, Response, current_app, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from flask_login import current_user
from wtforms import RadioField, SelectField, TextAreaField
from wtforms.fields import SelectChoice
from wtforms.validators import Length, Optional

from exchange import journal
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition
from exchange.db import db
from exchange.errors import Forbidden, Invalid, NotFound, WrongMoment
from exchange.postings.models import Offer
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.schools.views import clock
from exchange.stock.rules import CONDITION_NAMES
from exchange.transfers import rules, services
from exchange.transfers.models import Transfer, TransferLine
from exchange.transfers.rules import Arrival, Bearer, Decision, DeclineReason, Kind, Step, StepName
from exchange.web.display import with_arguments
from exchange.web.export import export
from exchange.web.forms import CopiesField, Filled, Form, RussianDateField, asked_number, number, seen_version
from exchange.web.pages import came_from, done, page

bp = Blueprint("transfers", __name__)

PAGE = 50
E = TypeVar("E", bound=StrEnum)


def init_transfers(app: Flask) -> None:
    """Register the counter of what waits for the person signed in."""

    def count() -> int:
        if not current_user.is_authenticated:
            return 0
        return services.waiting_count(access.current(), clock=clock())

    app.extensions["counters"]["waiting"] = count


@dataclass(frozen=True)
class Note:
    """Something that another feature knows about a transfer; ``address`` leads to more, if anything."""

    text: str
    address: str = ""


def add_notes(app: Flask, notes_on: Callable[[Transfer], Sequence[Note]]) -> None:
    """Have the page of a transfer show what ``notes_on`` says: a feature that transfers know nothing of."""
    app.extensions.setdefault("transfer_notes", []).append(notes_on)


def _notes(transfer: Transfer) -> list[Note]:
    sources = current_app.extensions.get("transfer_notes", [])
    return [note for notes_on in sources for note in notes_on(transfer)]


def _today() -> date:
    return clock().today(access.current().district.timezone)


# --- Lists ----------------------------------------------------------------------------------------------


def _chosen(kind: type[E], name: str) -> E | None:
    text = request.args.get(name, "")
    return kind(text) if text in {member.value for member in kind} else None


@bp.get("/transfers")
def index() -> Response:
    """List the transfers the person may see, filtered; also as a file."""
    by = access.current()
    wanted = services.Filter(
        group=_chosen(rules.Group, "group"),
        school_id=asked_number(request.args, "school"),
        kind=_chosen(Kind, "kind"),
        direction=_chosen(rules.Direction, "direction"),
        plan_id=asked_number(request.args, "plan"),
    )
    if format_ := request.args.get("format"):
        rows, _total = services.listing(wanted, by=by)
        return export(format_, _("Передачи"), *_table(rows))
    number = max(1, asked_number(request.args, "page") or 1)
    rows, total = services.listing(wanted, by=by, limit=PAGE, offset=(number - 1) * PAGE)
    return page(
        "transfers/index.html",
        "list",
        rows=rows,
        total=total,
        number=number,
        pages=-(-total // PAGE),
        wanted=wanted,
        rules=rules,
        schools=services.partners(by),
        today=_today(),
    )


def _table(rows: Sequence[services.Row]) -> tuple[list[str], list[list[Any]]]:
    columns = [
        _("Передача №"),
        _("Акт №"),
        _("Отдаёт"),
        _("Получает"),
        _("Учебник"),
        _("Учебников"),
        _("Экземпляров"),
        _("Вид"),
        _("Срок возврата"),
        _("Состояние"),
        _("Изменена"),
    ]
    zone = access.current().district.timezone
    return columns, [
        [
            row.id,
            row.act_number,
            row.giver,
            row.taker,
            row.title,
            row.books,
            row.copies,
            _(rules.KIND_NAMES[row.kind]),
            row.due_back,
            _(rules.STATE_NAMES[row.state]),
            services.local_day(row.changed_at, zone),
        ]
        for row in rows
    ]


@bp.get("/waiting")
def waiting() -> Response:
    """Show what waits for this person, by step; a methodist approves many at once here."""
    rows = services.waiting(access.current(), clock=clock())
    if format_ := request.args.get("format"):
        columns, lines = _table(rows)
        steps = [_(rules.STEP_NAMES[row.step]) if row.step else _("Скоро вернуть") for row in rows]
        todo = [[step, row.answer_by, *line] for step, row, line in zip(steps, rows, lines, strict=True)]
        return export(format_, _("Ждёт меня"), [_("Что сделать"), _("Ответить до"), *columns], todo)
    groups: dict[StepName | None, list[services.Row]] = {}
    for row in rows:
        groups.setdefault(row.step, []).append(row)
    ordered = [(name, groups[name]) for name in [*StepName, None] if name in groups]
    return page("transfers/waiting.html", groups=ordered, rules=rules, today=_today(), StepName=StepName)


@bp.post("/transfers/approve")
def approve_many() -> Response:
    """Approve the transfers that were ticked."""
    ids = request.form.getlist("id", type=number)
    if not ids:
        raise Invalid("Отметьте хотя бы одну передачу.")
    approved = services.approve_many(ids, by=access.current(), clock=clock())
    message = ngettext("Утверждена %(num)d передача.", "Утверждено передач: %(num)d.", len(approved))
    if left := len(set(ids)) - len(approved):
        message += " " + ngettext(
            "%(num)d уже изменили: её не тронули.", "Уже изменили: %(num)d, их не тронули.", left
        )
    return done(url_for("transfers.waiting"), message)


# --- One transfer ---------------------------------------------------------------------------------------


class RemarkForm(Form):
    """A step that is explained in words."""

    remark = TextAreaField(_l("Почему"), [Length(max=500)])


class DeclineForm(Form):
    """A refusal: a reason of the closed list."""

    reason = SelectField(_l("Причина"), [Filled(_l("Выберите причину."))], validate_choice=False)
    remark = TextAreaField(_l("Примечание"), [Length(max=500)])


class ProlongForm(Form):
    """A later day of return."""

    due_back = RussianDateField(_l("Новый срок возврата"), [Filled()])


class AgreeForm(Form):
    """The copies by line are added to it."""

    floor_exception = TextAreaField(_l("Основание исключения"), [Length(max=500)])


class ReceiveForm(Form):
    """The counts by line are added to it."""

    note = TextAreaField(_l("Примечание"), [Length(max=500)])


@dataclass(frozen=True)
class Column:
    """A number to be entered for each line of a transfer; ``default`` fills it in beforehand."""

    name: str
    label: str
    default: Callable[[TransferLine], int | None]


COLUMNS: Mapping[StepName, Sequence[Column]] = {
    StepName.AGREE: (Column("agreed", "Отдадим", lambda line: line.asked),),
    StepName.PACK: (Column("packed", "Собрано", lambda line: line.copies),),
    StepName.RECEIVE: (
        Column("good", "Исправных", lambda line: line.counts.pending),
        Column("damaged", "Повреждённых", lambda line: 0),
        Column("missing", "Не хватает", lambda line: 0),
    ),
    StepName.SETTLE: (
        Column("kept", "Остались у получателя", lambda line: None),
        Column("sent_back", "У отдающей стороны", lambda line: None),
        Column("lost", "Утрачены", lambda line: None),
    ),
    StepName.RETURN: (Column("back", "Вернулось", lambda line: line.counts.outstanding),),
    StepName.REPLACE: (Column("replaced", "Заменено", lambda line: 0),),
}
CONCERNED: Mapping[StepName, Callable[[TransferLine], bool]] = {
    StepName.RECEIVE: lambda line: line.counts.pending > 0,
    StepName.SETTLE: lambda line: line.counts.disputed > 0,
    StepName.RETURN: lambda line: line.counts.outstanding > 0,
    StepName.REPLACE: lambda line: line.counts.outstanding > 0,
    StepName.PACK: lambda line: line.copies > 0,
}
"""Lines that a step asks about; where nothing is said, all of them."""
BASES: Mapping[StepName, type[Form]] = {
    StepName.AGREE: AgreeForm,
    StepName.RECEIVE: ReceiveForm,
    StepName.DECLINE: DeclineForm,
    StepName.WITHDRAW: RemarkForm,
    StepName.STOP: RemarkForm,
    StepName.PROLONG: ProlongForm,
}


@dataclass(frozen=True)
class StepForm:
    """A step on offer with the form it is taken by, and the lines it asks about."""

    name: StepName
    form: Form
    lines: Sequence[TransferLine]
    columns: Sequence[Column]
    failed: bool = False


def _step_form(transfer: Transfer, step: Step, *, submitted: bool = False) -> StepForm:
    """Build the form of a step: its own fields and, for each line it is about, a number per column."""
    name = step.name
    concerned = CONCERNED.get(name)
    columns = COLUMNS.get(name, ())
    lines = [line for line in transfer.lines if concerned is None or concerned(line)] if columns else []
    fields: dict[str, Any] = {}
    for line in lines:
        for column in columns:
            fields[f"{column.name}_{line.id}"] = CopiesField(
                f"{_(column.label)}: {line.edition.textbook.title}", default=column.default(line)
            )
        if name is StepName.SETTLE:
            fields[f"bearer_{line.id}"] = SelectField(
                f"{_('Кто отвечает')}: {line.edition.textbook.title}",
                choices=_choices(rules.BEARER_NAMES, list(Bearer), "–"),
            )
    new_class: Callable[..., Any] = type
    made = new_class("StepFields", (BASES.get(name, Form),), fields)
    form: Form = made(prefix=name.value) if submitted else made(formdata=None, prefix=name.value)
    if name is StepName.DECLINE:
        reasons = rules.DECLINE_REASONS[step.party]
        form["reason"].choices = _choices(rules.DECLINE_NAMES, reasons, _("выберите"))
    return StepForm(name, form, lines, columns, submitted)


def _choices(names: Mapping[Any, str], values: Sequence[Any], nothing: str | None) -> list[SelectChoice]:
    """Return the choices of a field for members of an enumeration, after ``nothing`` where it is given."""
    first = [] if nothing is None else [SelectChoice("", nothing)]
    return first + [SelectChoice(value.value, _(names[value])) for value in values]


def _numbers(form: Form, lines: Sequence[TransferLine], column: str) -> dict[int, int]:
    return {line.id: form[f"{column}_{line.id}"].data or 0 for line in lines}


@bp.get("/transfers/<int:transfer_id>")
def show(transfer_id: int) -> Response:
    """Show one transfer: where it stands, where its copies are, what can be done next, its history."""
    by = access.current()
    return _show(services.visible(transfer_id, by=by), by=by)


def _show(transfer: Transfer, *, by: User, failed: StepForm | None = None) -> Response:
    steps = services.menu(transfer, by=by)
    main = rules.next_step(steps)
    forms = {
        step.name: failed if failed and failed.name is step.name else _step_form(transfer, step)
        for step in steps
    }
    verdicts = catalog.verdicts({line.edition.textbook_id for line in transfer.lines}, _today())
    return page(
        "transfers/show.html",
        "step",
        status=422 if failed else 200,
        transfer=transfer,
        main=forms.pop(main) if main else None,
        others=list(forms.values()),
        waits=rules.waited_for(transfer.state),
        verdicts=verdicts,
        stages=rules.progress(transfer.kind, transfer.state),
        overdue=rules.is_overdue(transfer.state, transfer.due_back, _today()),
        history=_history(transfer),
        owners=_owners(transfer),
        deliveries=services.deliveries(transfer),
        disputed=rules.was_disputed(line.counts for line in transfer.lines),
        bearers=rules.BEARER_NAMES,
        previous=_previous(transfer, by=by),
        notes=_notes(transfer),
        floor_asked=transfer.giver.kind is HolderKind.FUND,
        rules=rules,
        StepName=StepName,
    )


def _previous(transfer: Transfer, *, by: User) -> int | None:
    """Return the refused transfer that this one stands for; its taker sees it, its new giver does not."""
    if transfer.previous_id is None:
        return None
    try:
        return services.visible(transfer.previous_id, by=by).id
    except NotFound:
        return None


@dataclass(frozen=True)
class Event:
    """An entry of the history, ready to be read."""

    at: Any
    who: str
    what: str


def _history(transfer: Transfer) -> list[Event]:
    entries = journal.history(services.SUBJECT, transfer.id)
    ids = {entry.by_id for entry in entries if entry.by_id}
    names = {
        user.id: user.full_name
        for user in db.session.execute(sa.select(User.id, User.full_name).where(User.id.in_(ids)))
    }
    return [
        Event(entry.at, names.get(entry.by_id or 0, _("автоматически")), _(entry.message, **entry.parameters))
        for entry in entries
    ]


def _owners(transfer: Transfer) -> dict[int, Holder]:
    ids = {line.owner_id for line in transfer.lines}
    return {holder.id: holder for holder in db.session.scalars(sa.select(Holder).where(Holder.id.in_(ids)))}


def _take(
    transfer_id: int, name: StepName, work: Callable[[StepForm, int | None, User], object], message: str
) -> Response:
    """Take a step by its form: check whose and which moment it is, then the form, then do the work."""
    by = access.current()
    seen = seen_version()
    opened = services.open_step(transfer_id, name, seen=seen, by=by)[1]
    transfer = services.visible(transfer_id, by=by)
    step = _step_form(transfer, opened, submitted=True)
    if not step.form.validate():
        return _show(transfer, by=by, failed=step)
    try:
        work(step, seen, by)
    except Invalid as error:
        step.form.refuse(error)
        return _show(services.visible(transfer_id, by=by), by=by, failed=step)
    return done(came_from(url_for("transfers.show", transfer_id=transfer_id)), message)


@bp.post("/transfers/<int:transfer_id>/agree")
def agree(transfer_id: int) -> Response:
    """The giver agrees."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        services.agree(
            transfer_id,
            _numbers(step.form, step.lines, "agreed"),
            seen=seen,
            by=by,
            clock=clock(),
            floor_exception=step.form["floor_exception"].data or "",
        )

    return _take(transfer_id, StepName.AGREE, work, _("Согласие записано. Книги обещаны этой передаче."))


@bp.post("/transfers/<int:transfer_id>/accept")
def accept(transfer_id: int) -> Response:
    """The taker accepts."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        services.accept(transfer_id, seen=seen, by=by, clock=clock())

    return _take(
        transfer_id, StepName.ACCEPT, work, _("Согласие записано. Теперь передачу утвердит методист.")
    )


@bp.post("/transfers/<int:transfer_id>/approve")
def approve(transfer_id: int) -> Response:
    """The education office approves one transfer."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        services.approve(transfer_id, seen=seen, by=by, clock=clock())

    return _take(transfer_id, StepName.APPROVE, work, _("Передача утверждена, номер акта присвоен."))


@bp.post("/transfers/<int:transfer_id>/pack")
def pack(transfer_id: int) -> Response:
    """The giver has picked the books."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        services.pack(transfer_id, _numbers(step.form, step.lines, "packed"), seen=seen, by=by, clock=clock())

    return _take(transfer_id, StepName.PACK, work, _("Записано: книги собраны."))


@bp.post("/transfers/<int:transfer_id>/ship")
def ship(transfer_id: int) -> Response:
    """The books leave."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        services.ship(transfer_id, seen=seen, by=by, clock=clock())

    return _take(transfer_id, StepName.SHIP, work, _("Записано: книги в пути. Получателю отправлено письмо."))


@bp.post("/transfers/<int:transfer_id>/receive")
def receive(transfer_id: int) -> Response:
    """The taker counts what arrived."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        arrivals = {
            line.id: Arrival(
                good=step.form[f"good_{line.id}"].data or 0,
                damaged=step.form[f"damaged_{line.id}"].data or 0,
                missing=step.form[f"missing_{line.id}"].data or 0,
            )
            for line in step.lines
        }
        services.receive(
            transfer_id, arrivals, seen=seen, by=by, clock=clock(), note=step.form["note"].data or ""
        )

    return _take(transfer_id, StepName.RECEIVE, work, _("Приём записан."))


@bp.post("/transfers/<int:transfer_id>/settle")
def settle(transfer_id: int) -> Response:
    """The methodist decides a dispute."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        decisions = {}
        for line in step.lines:
            bearer = step.form[f"bearer_{line.id}"].data
            decisions[line.id] = Decision(
                kept=step.form[f"kept_{line.id}"].data or 0,
                sent_back=step.form[f"sent_back_{line.id}"].data or 0,
                lost=step.form[f"lost_{line.id}"].data or 0,
                bearer=Bearer(bearer) if bearer else None,
            )
        services.settle(transfer_id, decisions, seen=seen, by=by, clock=clock())

    return _take(transfer_id, StepName.SETTLE, work, _("Решение записано."))


@bp.post("/transfers/<int:transfer_id>/stop")
def stop(transfer_id: int) -> Response:
    """The books on the road go back."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        services.stop(transfer_id, remark=step.form["remark"].data or "", seen=seen, by=by, clock=clock())

    return _take(transfer_id, StepName.STOP, work, _("Записано: книги вернулись с дороги."))


@bp.post("/transfers/<int:transfer_id>/decline")
def decline(transfer_id: int) -> Response:
    """A party refuses."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        reason = step.form["reason"].data
        if reason not in {member.value for member in DeclineReason}:
            raise Invalid("Выберите причину из списка.", field="reason")
        services.decline(
            transfer_id,
            reason=DeclineReason(reason),
            remark=step.form["remark"].data or "",
            seen=seen,
            by=by,
            clock=clock(),
        )

    return _take(transfer_id, StepName.DECLINE, work, _("Передача отклонена."))


@bp.post("/transfers/<int:transfer_id>/withdraw")
def withdraw(transfer_id: int) -> Response:
    """A party takes it back."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        services.withdraw(transfer_id, remark=step.form["remark"].data or "", seen=seen, by=by, clock=clock())

    return _take(transfer_id, StepName.WITHDRAW, work, _("Передача отозвана."))


@bp.post("/transfers/<int:transfer_id>/prolong")
def prolong(transfer_id: int) -> Response:
    """The giver leaves a loan for longer."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        services.prolong(transfer_id, due_back=step.form["due_back"].data, seen=seen, by=by, clock=clock())

    return _take(transfer_id, StepName.PROLONG, work, _("Срок возврата продлён."))


@bp.post("/transfers/<int:transfer_id>/return")
def hand_back(transfer_id: int) -> Response:
    """Lent copies came back."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        services.hand_back(
            transfer_id, _numbers(step.form, step.lines, "back"), seen=seen, by=by, clock=clock()
        )

    return _take(transfer_id, StepName.RETURN, work, _("Возврат записан."))


@bp.post("/transfers/<int:transfer_id>/replace")
def replace(transfer_id: int) -> Response:
    """Lost copies of a loan were replaced."""

    def work(step: StepForm, seen: int | None, by: User) -> None:
        services.replace(
            transfer_id, _numbers(step.form, step.lines, "replaced"), seen=seen, by=by, clock=clock()
        )

    return _take(transfer_id, StepName.REPLACE, work, _("Замена записана."))


# --- Papers ---------------------------------------------------------------------------------------------


@bp.get("/transfers/<int:transfer_id>/act")
def act(transfer_id: int) -> Response:
    """The act of handover for two signatures, with the sheet for the accountants."""
    transfer = services.visible(transfer_id, by=access.current())
    if transfer.act_number is None:
        raise WrongMoment("Акт можно напечатать после утверждения передачи методистом.")
    return page(
        "transfers/act.html",
        transfer=transfer,
        owners=_owners(transfer),
        approved_on=services.local_day(transfer.approved_at, transfer.giver.district.timezone)
        if transfer.approved_at
        else None,
        lines=[line for line in transfer.lines if line.copies],
        conditions=CONDITION_NAMES,
        rules=rules,
    )


@bp.get("/transfers/<int:transfer_id>/discrepancy")
def discrepancy(transfer_id: int) -> Response:
    """The act of what arrived otherwise than it was sent."""
    transfer = services.visible(transfer_id, by=access.current())
    lines = [line for line in transfer.lines if line.damaged or line.missing]
    if not lines:
        raise WrongMoment("Расхождений по этой передаче не записано.")
    return page(
        "transfers/discrepancy.html",
        transfer=transfer,
        lines=lines,
        deliveries=services.deliveries(transfer),
        rules=rules,
    )


# --- Asking directly ------------------------------------------------------------------------------------


class AskForm(Form):
    """How many copies of one book are asked for, and for which school."""

    taker = SelectField(_l("Для кого"))
    kind = RadioField(_l("Как"), [Filled()], validate_choice=True)
    copies = CopiesField(_l("Сколько экземпляров"), [Filled()])
    due_back = RussianDateField(_l("Вернём до"), [Optional()])
    note = TextAreaField(_l("Примечание для отдающей стороны"), [Length(max=500)])


@dataclass(frozen=True)
class Asked:
    """What is asked for: a school's offer, or an edition at a storage place of the fund."""

    giver: Holder
    edition: Edition
    free: int
    kinds: Sequence[Kind]
    offer: Offer | None
    due_back: date | None


def _asked(by: User) -> Asked:
    offer_id, fund_id, edition_id = (
        asked_number(request.args, name) for name in ("offer", "fund", "edition")
    )
    if offer_id is not None:
        offer = db.session.get(Offer, offer_id)
        if offer is None or offer.district_id != by.district_id:
            raise NotFound
        if not offer.can_be_asked_for:
            raise WrongMoment("Этот излишек уже разобрали или сняли с доски. Посмотрите другие предложения.")
        return Asked(offer.holder, offer.edition, offer.free, [Kind(offer.kind.value)], offer, offer.due_back)
    if fund_id is None or edition_id is None:
        raise NotFound
    fund = access.holder_of_district(by, fund_id)
    edition = db.session.get(Edition, edition_id)
    if fund.kind is not HolderKind.FUND or edition is None:
        raise NotFound
    free = sum(copies for _owner, copies in services.fund_free(fund, edition))
    return Asked(fund, edition, free, [Kind.LOAN, Kind.PERMANENT], None, None)


@bp.route("/transfers/ask", methods=["GET", "POST"])
def ask() -> Response:
    """Ask a school for what it offers, or the fund for what it has, without waiting for the matching."""
    by = access.current()
    asked = _asked(by)
    takers = [holder for holder in access.acting_for(by, Action.ASK) if holder.id != asked.giver.id]
    if not takers:
        raise Forbidden(access.FORBIDDEN)
    form = AskForm(copies=asked.free or None, kind=asked.kinds[0].value, due_back=asked.due_back)
    form.taker.choices = [SelectChoice(str(holder.id), holder.short_name) for holder in takers]
    form.kind.choices = _choices(rules.KIND_NAMES, asked.kinds, None)
    if not form.is_submitted():
        return _ask_page(form, asked, takers)
    if len(takers) == 1:
        form.taker.data = str(takers[0].id)
    if len(asked.kinds) == 1:
        form.kind.data = asked.kinds[0].value
    if not form.validate():
        return _ask_page(form, asked, takers, status=422)
    taker = next(holder for holder in takers if str(holder.id) == form.taker.data)
    try:
        transfer = _propose(form, asked, taker, by=by)
    except Invalid as error:
        form.refuse(error)
        return _ask_page(form, _asked(by), takers, status=422)
    return done(
        url_for("transfers.show", transfer_id=transfer.id),
        _("Просьба отправлена. Когда отдающая сторона ответит, передача появится в «Ждёт меня»."),
    )


def _propose(form: AskForm, asked: Asked, taker: Holder, *, by: User) -> Transfer:
    if asked.offer is not None:
        return services.ask_school(
            asked.offer.id,
            taker=taker,
            copies=form.copies.data,
            note=form.note.data or "",
            by=by,
            clock=clock(),
        )
    return services.ask_fund(
        asked.giver,
        asked.edition,
        taker=taker,
        kind=Kind(form.kind.data),
        copies=form.copies.data,
        due_back=form.due_back.data,
        note=form.note.data or "",
        by=by,
        clock=clock(),
    )


def _ask_page(form: AskForm, asked: Asked, takers: Sequence[Holder], *, status: int = 200) -> Response:
    textbook = asked.edition.textbook
    return page(
        "transfers/ask.html",
        "form",
        status=status,
        form=form,
        asked=asked,
        takers=takers,
        verdict=catalog.verdicts([textbook.id], _today())[textbook.id],
        rules=rules,
        action=with_arguments(),
    )
