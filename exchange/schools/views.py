"""Pages of people: sign-in, the own account, invitations, the district's people, schools and roads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from itertools import groupby
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import Blueprint, Flask, Response, current_app, flash, g, request, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import LoginManager, current_user, login_user, logout_user
from wtforms import HiddenField, PasswordField, RadioField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import EqualTo, Length

from exchange import journal
from exchange.clock import Clock
from exchange.config import Settings
from exchange.db import db, in_unit
from exchange.errors import Invalid
from exchange.schools import access, services
from exchange.schools.models import District, Holder, Invitation, User
from exchange.schools.rules import (
    MIN_PASSWORD,
    ROLE_NAMES,
    Action,
    HolderKind,
    Role,
    fold_name,
)
from exchange.web.export import export
from exchange.web.forms import Filled, Form, KilometresField, RussianDateField
from exchange.web.pages import came_from, done, page, sign_in_first, wants_fragment
from exchange.web.subjects import SUBJECTS, title_of, url_of
from exchange.web.unit import outside_unit

bp = Blueprint("people", __name__)
SLIPS = "slips"
"""Key of the session under which the codes of slips wait to be printed."""
ROWS = 50
"""Rows of a page of a list."""
LONGEST_EXPORT = 20_000
LARGEST_MATRIX = 20
"""With more places than this the distances are shown by place only."""
Row = TypeVar("Row")
View = TypeVar("View", bound=Callable[..., Any])


def public(view: View) -> View:
    """Mark a view that a stranger may open; every other view asks to sign in."""
    view.public = True  # type: ignore[attr-defined]
    return view


def clock() -> Clock:
    """Return the application's clock."""
    result: Clock = current_app.extensions["clock"]
    return result


def settings() -> Settings:
    """Return the application's settings."""
    result: Settings = current_app.extensions["settings"]
    return result


def init_sign_in(app: Flask) -> None:
    """Attach Flask-Login and close every view that is not marked public."""
    manager = LoginManager()
    manager.session_protection = None
    manager.user_loader(services.user_by_session)
    manager.init_app(app)

    @app.before_request
    def ask_to_sign_in() -> Response | None:
        view = current_app.view_functions.get(request.endpoint or "")
        if request.endpoint in {None, "static"} or getattr(view, "public", False):
            return None
        return None if current_user.is_authenticated else sign_in_first()


class SignInForm(Form):
    """Login and password."""

    login = StringField(_l("Логин"), [Filled()])
    password = PasswordField(_l("Пароль"), [Filled()])


@bp.route("/sign-in", methods=["GET", "POST"])
@public
@outside_unit
def sign_in() -> Response:
    """Sign in; the password is compared outside the write transaction because that is slow on purpose."""
    if current_user.is_authenticated:
        return done(came_from(url_for("home.index")))
    form = SignInForm()
    if not form.validate_on_submit():
        return page("people/sign_in.html", "form", form=form, status=422 if form.is_submitted() else 200)
    attempt = in_unit(lambda: services.begin_try(form.login.data, clock=clock()))
    if attempt is None:
        form.form_errors.append(_("Слишком много попыток. Подождите четверть часа и попробуйте снова."))
        return page("people/sign_in.html", "form", form=form, status=429)
    matches = services.password_matches(attempt.password_hash, form.password.data)
    user = in_unit(lambda: services.finish_sign_in(attempt, clock=clock())) if matches else None
    if user is None:
        form.form_errors.append(_("Логин или пароль не подходит. Проверьте раскладку клавиатуры."))
        return page("people/sign_in.html", "form", form=form, status=422)
    login_user(user)
    return done(came_from(url_for("home.index")))


@bp.post("/sign-out")
@public
def sign_out() -> Response:
    """End this session."""
    session.pop(SLIPS, None)
    logout_user()
    return done(url_for("people.sign_in"), _("Вы вышли."))


@bp.post("/language")
@public
def set_language() -> Response:
    """Change the language of the interface, for this person or, before sign-in, for this visit."""
    language = request.form.get("language", "ru")
    if current_user.is_authenticated:
        services.set_language(language, by=access.current())
    session["language"] = language if language in {"ru", "en"} else "ru"
    return done(came_from(url_for("home.index")))


def chosen_language() -> str:
    """Return the language of this visit: the person's, else the session's, else Russian."""
    user: User | None = g.get("_login_user")
    if user is not None and user.is_authenticated:
        return user.language
    return str(session.get("language", "ru"))


# --- The own account ---------------------------------------------------------------------------------


class AccountForm(Form):
    """The person's own name and address."""

    full_name = StringField(_l("Фамилия, имя, отчество"), [Filled()])
    email = StringField(_l("Электронная почта"), default="")


class PasswordForm(Form):
    """The present password and a new one, twice."""

    old = PasswordField(_l("Нынешний пароль"), [Filled()])
    password = PasswordField(_l("Новый пароль"), [Filled()])
    again = PasswordField(
        _l("Новый пароль ещё раз"), [Filled(), EqualTo("password", _l("Пароли не совпали."))]
    )


def _account(block: str, *, form: AccountForm, passwords: PasswordForm, status: int = 200) -> Response:
    by = access.current()
    return page(
        "people/account.html",
        block,
        status=status,
        form=form,
        passwords=passwords,
        roles=_roles_of(by),
        least=MIN_PASSWORD,
    )


def _roles_of(user: User) -> list[tuple[int, str, str]]:
    """Return the person's roles: id, name, place."""
    return [
        (m.id, _(ROLE_NAMES[m.role]), m.school.short_name if m.school else user.district.name)
        for m in user.memberships
    ]


@bp.get("/account")
def account() -> Response:
    """Show the person's own account."""
    return _account("contacts", form=AccountForm(obj=access.current()), passwords=PasswordForm())


@bp.post("/account")
def save_account() -> Response:
    """Change the own name and address."""
    form = AccountForm()
    if form.validate():
        try:
            services.set_contacts(
                full_name=form.full_name.data, email=form.email.data, by=access.current(), clock=clock()
            )
        except Invalid as error:
            form.refuse(error)
        else:
            return done(url_for(".account"), _("Сохранено."))
    return _account("contacts", form=form, passwords=PasswordForm(), status=422)


@bp.post("/account/password")
@outside_unit
def change_password() -> Response:
    """Change the own password; other devices are signed out."""
    form = PasswordForm()
    login = access.current().login
    if form.validate():
        try:
            _try_new_password(form, login)
        except Invalid as error:
            form.refuse(error)
        else:
            return done(url_for(".account"), _("Пароль изменён. На других устройствах нужно войти заново."))
    return _account("password", form=AccountForm(None, obj=access.current()), passwords=form, status=422)


def _try_new_password(form: PasswordForm, login: str) -> None:
    attempt = in_unit(lambda: services.begin_try(login, clock=clock()))
    if attempt is None:
        raise Invalid("Слишком много попыток. Подождите четверть часа и попробуйте снова.", field="old")
    if not services.password_matches(attempt.password_hash, form.old.data):
        raise Invalid("Нынешний пароль не подходит.", field="old")
    password_hash = services.hash_password(form.password.data)
    by = access.current()

    def work() -> None:
        services.forget_tries(login)
        services.set_password(password_hash, by=by, clock=clock())

    in_unit(work)
    login_user(by)


@bp.post("/account/sign-out-everywhere")
def sign_out_everywhere() -> Response:
    """End all sessions of the person, this one too."""
    services.sign_out_everywhere(by=access.current(), clock=clock())
    session.pop(SLIPS, None)
    logout_user()
    return done(url_for(".sign_in"), _("Вы вышли на всех устройствах."))


# --- A slip becomes an account -----------------------------------------------------------------------


class CodeForm(Form):
    """The code of a slip."""

    code = StringField(_l("Код с талона"), [Filled()])


class NewPasswordForm(Form):
    """A slip that renews a password."""

    code = HiddenField()
    password = PasswordField(_l("Пароль"), [Filled()])
    again = PasswordField(_l("Пароль ещё раз"), [Filled(), EqualTo("password", _l("Пароли не совпали."))])


class NewAccountForm(NewPasswordForm):
    """A slip that makes an account."""

    full_name = StringField(_l("Фамилия, имя, отчество"), [Filled()])
    email = StringField(_l("Электронная почта"), default="")
    login = StringField(_l("Логин"), [Filled()])


@bp.get("/invitation")
@public
def invitation() -> Response:
    """Ask for the code of a slip and, when it is good, for what the account needs."""
    form = CodeForm(request.args)
    if not form.code.data:
        return page("people/code.html", "form", form=form)
    try:
        slip = services.open_invitation(form.code.data, clock=clock())
    except Invalid as error:
        form.refuse(error)
        return page("people/code.html", "form", form=form, status=422)
    new: NewPasswordForm = (
        NewAccountForm(None, code=form.code.data, full_name=slip.full_name)
        if slip.user_id is None
        else NewPasswordForm(None, code=form.code.data)
    )
    return _invited(slip, new)


@bp.post("/invitation")
@public
@outside_unit
def accept_invitation() -> Response:
    """Make the account or renew the password, once; the password is hashed outside the write transaction."""
    code = request.form.get("code", "")
    try:
        slip = services.open_invitation(code, clock=clock())
    except Invalid as error:
        asked = CodeForm()
        asked.refuse(error)
        return page("people/code.html", "form", form=asked, status=422)
    form: NewPasswordForm = NewAccountForm() if slip.user_id is None else NewPasswordForm()
    if not form.validate():
        return _invited(slip, form, status=422)
    try:
        password_hash = services.hash_password(form.password.data)
        user = in_unit(lambda: _use_slip(form, password_hash))
    except Invalid as error:
        form.refuse(error)
        return _invited(slip, form, status=422)
    session.pop(SLIPS, None)
    login_user(user)
    return done(url_for("home.index"), _("Добро пожаловать, %(name)s!", name=user.full_name))


def _use_slip(form: NewPasswordForm, password_hash: str) -> User:
    if isinstance(form, NewAccountForm):
        return services.accept_invitation(
            form.code.data,
            login=form.login.data,
            full_name=form.full_name.data,
            email=form.email.data,
            password_hash=password_hash,
            clock=clock(),
        )
    return services.renew_password(form.code.data, password_hash=password_hash, clock=clock())


def _invited(slip: Invitation, form: NewPasswordForm, *, status: int = 200) -> Response:
    owner = db.session.get(User, slip.user_id) if slip.user_id is not None else None
    return page(
        "people/invitation.html",
        "form",
        status=status,
        form=form,
        login=owner.login if owner else None,
        name=slip.full_name,
        role=_(ROLE_NAMES[slip.role]),
        place=slip.school.name if slip.school else db.session.get_one(District, slip.district_id).office,
        least=MIN_PASSWORD,
    )


# --- The people of the district ----------------------------------------------------------------------


class PeopleFilter(Form):
    """Which people are shown."""

    q = StringField(_l("Имя, логин или школа"), default="")
    state = SelectField(
        _l("Учётные записи"),
        choices=[
            SelectChoice("active", _l("действующие")),
            SelectChoice("closed", _l("отключённые")),
            SelectChoice("", _l("все")),
        ],
        default="active",
    )


@bp.get("/people")
def directory() -> Response:
    """Show the people of the district by school, and the slips that wait to be used."""
    by = access.current()
    form = PeopleFilter(request.args if request.args else None)
    rows = services.people(
        by=by,
        words=form.q.data,
        active={"active": True, "closed": False}.get(form.state.data),
    )
    if format_ := request.args.get("format"):
        zone = ZoneInfo(by.district.timezone)
        return export(
            format_,
            _("Люди района"),
            [_("Место"), _("Роль"), _("Имя"), _("Логин"), _("Почта"), _("Действует"), _("Последний вход")],
            [
                (
                    row.place or by.district.name,
                    _(ROLE_NAMES[row.role]),
                    row.full_name,
                    row.login,
                    row.email,
                    _("да") if row.active else _("нет"),
                    row.last_sign_in.astimezone(zone) if row.last_sign_in else None,
                )
                for row in rows
            ],
        )
    shown, number, count = paged(rows)
    return page(
        "people/directory.html",
        "list",
        form=form,
        groups=[(place, list(members)) for place, members in groupby(shown, lambda row: row.place)],
        role_names=ROLE_NAMES,
        number=number,
        count=count,
        slips=_slips_shown(by),
        without_librarian=len(services.schools_without_librarian(by.district_id, clock=clock())),
    )


def _slips_shown(by: User) -> list[dict[str, Any]]:
    return [
        {
            "id": slip.id,
            "name": slip.full_name,
            "role": _(ROLE_NAMES[slip.role]),
            "place": slip.school.short_name if slip.school else by.district.name,
            "expires": slip.expires_at,
            "expired": expired,
            "renews": slip.user_id is not None,
        }
        for slip, expired in services.open_slips(by=by, clock=clock())
    ]


def _all_roles() -> list[SelectChoice]:
    return [SelectChoice(role.value, _(name)) for role, name in ROLE_NAMES.items()]


def _place_choices(by: User) -> list[SelectChoice]:
    return [
        SelectChoice("", _("не школа, а район целиком")),
        *(SelectChoice(str(site.id), site.short_name) for site in _schools_of(by)),
    ]


def _schools_of(by: User) -> list[Holder]:
    return [site for site in services.sites(by.district_id) if site.kind is HolderKind.SCHOOL]


def _chosen_school(value: str | None) -> Holder | None:
    return access.holder_of_district(access.current(), int(value)) if value else None


class RoleForm(Form):
    """One more role of a person."""

    role = SelectField(_l("Роль"), default=Role.LIBRARIAN.value)
    school = SelectField(_l("Где"), default="")


class InviteForm(RoleForm):
    """Whom to invite."""

    full_name = StringField(_l("Фамилия, имя, отчество"), default="")
    former = RadioField(
        _l("В школе уже есть человек с этой ролью"),
        choices=[
            SelectChoice("leave", _l("Он больше не работает: отключить сразу")),
            SelectChoice("stay", _l("Останутся оба")),
        ],
        validate_choice=False,
    )


@bp.get("/people/<int:user_id>")
def person(user_id: int) -> Response:
    """Show one person: roles, access, what they did last."""
    by = access.current()
    access.require(by, Action.MANAGE_PEOPLE)
    return _person(services.person_of_district(user_id, by=by))


def _person(user: User, form: RoleForm | None = None, status: int = 200) -> Response:
    by = access.current()
    if form is None:
        form = RoleForm(None, role=Role.LIBRARIAN.value, school=str(user.school.id) if user.school else "")
    form.role.choices = _all_roles()
    form.school.choices = _place_choices(by)
    return page(
        "people/person.html",
        "person",
        status=status,
        user=user,
        roles=_roles_of(user),
        form=form,
        own=user.id == by.id,
        waiting=services.letters_waiting(user),
        history=journal.history("user_account", user.id)[::-1][:20],
    )


@bp.post("/people/<int:user_id>/roles")
def add_role(user_id: int) -> Response:
    """Give a person one more role."""
    by = access.current()
    access.require(by, Action.MANAGE_PEOPLE)
    user = services.person_of_district(user_id, by=by)
    form = RoleForm()
    form.role.choices = _all_roles()
    form.school.choices = _place_choices(by)
    if form.validate():
        try:
            services.add_role(
                user_id,
                role=Role(form.role.data),
                school=_chosen_school(form.school.data),
                by=by,
                clock=clock(),
            )
        except Invalid as error:
            form.refuse(error)
        else:
            return done(url_for(".person", user_id=user_id), _("Роль добавлена."))
    return _person(user, form, 422)


@bp.post("/people/roles/<int:membership_id>/remove")
def remove_role(membership_id: int) -> Response:
    """Take a role from a person."""
    user = services.remove_role(membership_id, by=access.current(), clock=clock())
    return done(url_for(".person", user_id=user.id), _("Роль снята."))


@bp.post("/people/<int:user_id>/deactivate")
def deactivate(user_id: int) -> Response:
    """Close an account and end its sessions."""
    user = services.set_active(user_id, False, by=access.current(), clock=clock())
    return done(
        url_for(".person", user_id=user_id), _("Учётная запись отключена: %(name)s.", name=user.full_name)
    )


@bp.post("/people/<int:user_id>/activate")
def activate(user_id: int) -> Response:
    """Open a closed account again."""
    user = services.set_active(user_id, True, by=access.current(), clock=clock())
    return done(
        url_for(".person", user_id=user_id), _("Учётная запись включена: %(name)s.", name=user.full_name)
    )


@bp.post("/people/<int:user_id>/password-slip")
def password_slip(user_id: int) -> Response:
    """Print a slip with which the person chooses a new password."""
    slip = services.password_slip(
        user_id, days=settings().invitation_days, by=access.current(), clock=clock()
    )
    return _show_slips([slip])


@bp.route("/people/invite", methods=["GET", "POST"])
def invite() -> Response:
    """Make a slip for a new person; where somebody holds the role already, ask whether they leave."""
    by = access.current()
    access.require(by, Action.MANAGE_PEOPLE)
    form = InviteForm() if request.method == "POST" else InviteForm(request.args)
    form.role.choices = _all_roles()
    form.school.choices = _place_choices(by)
    if request.method == "GET":
        return _invite(form, by)
    if not form.validate():
        return _invite(form, by, 422)
    school = _chosen_school(form.school.data)
    role = Role(form.role.data)
    former = services.holding(role, school) if school else []
    if former and form.former.data not in {"leave", "stay"}:
        form.former.errors = [_("Выберите, что с прежней учётной записью.")]
        return _invite(form, by, 422)
    try:
        slip = services.invite(
            role=role,
            school=school,
            full_name=form.full_name.data,
            days=settings().invitation_days,
            by=by,
            clock=clock(),
            former_leave=form.former.data == "leave",
        )
    except Invalid as error:
        form.refuse(error)
        return _invite(form, by, 422)
    return _show_slips([slip])


def _invite(form: InviteForm, by: User, status: int = 200) -> Response:
    known = {str(school.id) for school in _schools_of(by)}
    school = _chosen_school(form.school.data) if form.school.data in known else None
    role = next((role for role in Role if role.value == form.role.data), None)
    return page(
        "people/invite.html",
        "form",
        status=status,
        form=form,
        former=services.holding(role, school) if role and school else [],
    )


@bp.post("/people/invite/librarians")
def invite_librarians() -> Response:
    """Make a sheet of slips for all schools that have no librarian."""
    slips = services.invite_librarians(days=settings().invitation_days, by=access.current(), clock=clock())
    if not slips:
        return done(url_for(".directory"), _("Во всех школах есть библиотекарь или приглашение."))
    return _show_slips(slips)


@bp.post("/people/invitations/<int:invitation_id>/revoke")
def revoke_invitation(invitation_id: int) -> Response:
    """Make a slip worthless."""
    services.revoke_invitation(invitation_id, by=access.current(), clock=clock())
    return done(url_for(".directory"), _("Приглашение отозвано."))


@bp.post("/people/invitations/<int:invitation_id>/renew")
def renew_invitation(invitation_id: int) -> Response:
    """Print a slip anew with another code."""
    slip = services.renew_invitation(
        invitation_id, days=settings().invitation_days, by=access.current(), clock=clock()
    )
    return _show_slips([slip])


def _show_slips(slips: list[tuple[Invitation, str]]) -> Response:
    """Lead to the page to print. The codes travel in the methodist's own session: nothing else keeps them."""
    session[SLIPS] = [(slip.id, code) for slip, code in slips]
    return done(url_for(".slip"))


@bp.get("/people/slip")
def slip() -> Response:
    """Show the slips just made, to be printed."""
    by = access.current()
    access.require(by, Action.MANAGE_PEOPLE)
    codes: dict[int, str] = dict(session.get(SLIPS, []))
    kept = [slip for slip, expired in services.open_slips(by=by, clock=clock()) if slip.id in codes]
    return page(
        "people/slip.html",
        slips=[
            {
                "code": codes[slip.id],
                "name": slip.full_name,
                "role": _(ROLE_NAMES[slip.role]),
                "place": slip.school.name if slip.school else by.district.office,
                "expires": slip.expires_at,
                "renews": slip.user_id is not None,
            }
            for slip in kept
        ],
        address=settings().public_url.rstrip("/") + url_for(".invitation"),
    )


@bp.post("/people/slip/hide")
def hide_slip() -> Response:
    """Forget the codes of the printed slips."""
    session.pop(SLIPS, None)
    return done(url_for(".directory"))


# --- Schools, storage places, roads ------------------------------------------------------------------


class SchoolForm(Form):
    """A school."""

    name = StringField(_l("Полное название"), [Filled(), Length(max=300)])
    short_name = StringField(_l("Краткое название"), [Filled(), Length(max=100)])
    settlement = StringField(_l("Населённый пункт"), [Filled(), Length(max=100)])
    km_to_centre = KilometresField(_l("До районного центра по дороге, км"), [Filled()])
    inn = StringField(_l("ИНН"), default="")
    kpp = StringField(_l("КПП"), default="")


class StorageForm(Form):
    """A storage place of the fund."""

    name = StringField(_l("Полное название"), [Filled(), Length(max=300)])
    short_name = StringField(_l("Краткое название"), [Filled(), Length(max=100)])
    located_at = SelectField(_l("Где стоит"), default="")


@bp.get("/schools")
def schools() -> Response:
    """Show the schools of the district, their contact people and the storage places of the fund."""
    by = access.current()
    access.require(by, Action.SEE_DISTRICT)
    people_there = services.contacts(by.district_id)
    words = fold_name(request.args.get("q", "")).split()
    found = [
        site
        for site in services.sites(by.district_id)
        if all(word in fold_name(f"{site.name} {site.short_name} {site.settlement}") for word in words)
    ]
    if format_ := request.args.get("format"):
        return export(
            format_,
            _("Школы района"),
            [_("Школа"), _("Полное название"), _("Пункт"), _("До центра, км"), _("ИНН"), _("КПП"), _("Люди")],
            [
                (
                    site.short_name,
                    site.name,
                    site.settlement,
                    site.km_to_centre,
                    site.inn,
                    site.kpp,
                    "; ".join(
                        f"{contact.full_name} ({_(ROLE_NAMES[contact.role])}) {contact.email}".strip()
                        for contact in people_there.get(site.id, [])
                    ),
                )
                for site in found
            ],
        )
    return page(
        "people/schools.html",
        "list",
        schools=[site for site in found if site.kind is HolderKind.SCHOOL],
        storage=[site for site in found if site.kind is HolderKind.FUND],
        names={site.id: site.short_name for site in services.sites(by.district_id)},
        contacts=people_there,
        role_names=ROLE_NAMES,
        to_invite={site.id for site in services.schools_without_librarian(by.district_id, clock=clock())}
        if access.allowed(by, Action.MANAGE_PEOPLE)
        else set(),
    )


@bp.get("/schools/new")
def new_school() -> Response:
    """Show the form of a new school."""
    access.require(access.current(), Action.EDIT_SCHOOLS)
    return _school_form(SchoolForm(None), None)


@bp.post("/schools/new")
def add_school() -> Response:
    """Add a school."""
    access.require(access.current(), Action.EDIT_SCHOOLS)
    return _save_school(None)


@bp.get("/schools/<int:holder_id>/edit")
def edit_school(holder_id: int) -> Response:
    """Show the form of a school or storage place."""
    by = access.current()
    holder = access.holder_of_district(by, holder_id)
    if holder.kind is HolderKind.FUND:
        access.require(by, Action.KEEP_FUND, holder)
        return _storage_form(
            StorageForm(
                None,
                name=holder.name,
                short_name=holder.short_name,
                located_at=str(holder.located_at_id or ""),
            ),
            holder,
        )
    access.require(by, Action.EDIT_SCHOOLS, holder)
    return _school_form(SchoolForm(None, obj=holder), holder)


@bp.post("/schools/<int:holder_id>/edit")
def save_holder(holder_id: int) -> Response:
    """Change a school or storage place."""
    holder = access.holder_of_district(access.current(), holder_id)
    return _save_storage(holder) if holder.kind is HolderKind.FUND else _save_school(holder)


@bp.get("/schools/storage/new")
def new_storage() -> Response:
    """Show the form of a new storage place of the fund."""
    access.require(access.current(), Action.KEEP_FUND)
    return _storage_form(StorageForm(None), None)


@bp.post("/schools/storage/new")
def add_storage() -> Response:
    """Add a storage place of the fund."""
    return _save_storage(None)


def _school_form(form: SchoolForm, school: Holder | None, status: int = 200) -> Response:
    return page("people/school.html", "form", status=status, form=form, school=school)


def _save_school(school: Holder | None) -> Response:
    access.require(access.current(), Action.EDIT_SCHOOLS, school)
    form = SchoolForm()
    if form.validate():
        try:
            services.save_school(
                school,
                name=" ".join(form.name.data.split()),
                short_name=" ".join(form.short_name.data.split()),
                settlement=form.settlement.data.strip(),
                inn=(form.inn.data or "").strip(),
                kpp=(form.kpp.data or "").strip().upper(),
                km_to_centre=form.km_to_centre.data,
                by=access.current(),
                clock=clock(),
            )
        except Invalid as error:
            form.refuse(error)
        else:
            return done(url_for(".schools"), _("Сохранено: %(name)s.", name=form.short_name.data))
    return _school_form(form, school, 422)


def _storage_form(form: StorageForm, place: Holder | None, status: int = 200) -> Response:
    form.located_at.choices = _storage_choices()
    return page("people/storage.html", "form", status=status, form=form, place=place)


def _storage_choices() -> list[SelectChoice]:
    return [
        SelectChoice("", _("в управлении образования")),
        *(SelectChoice(str(school.id), school.short_name) for school in _schools_of(access.current())),
    ]


def _save_storage(place: Holder | None) -> Response:
    access.require(access.current(), Action.KEEP_FUND, place)
    form = StorageForm()
    form.located_at.choices = _storage_choices()
    if form.validate():
        try:
            services.save_storage_place(
                place,
                name=" ".join(form.name.data.split()),
                short_name=" ".join(form.short_name.data.split()),
                located_at=_chosen_school(form.located_at.data),
                by=access.current(),
                clock=clock(),
            )
        except Invalid as error:
            form.refuse(error)
        else:
            return done(url_for(".schools"), _("Сохранено: %(name)s.", name=form.short_name.data))
    return _storage_form(form, place, 422)


class RoadForm(Form):
    """A measured distance; empty means by way of the district centre."""

    km = KilometresField(_l("км"))


def _places(by: User) -> list[Holder]:
    """Return the places roads lead between: a storage place at a school is where the school is."""
    return [site for site in services.sites(by.district_id) if site.located_at_id is None]


@bp.get("/roads")
def roads() -> Response:
    """Show the distances between the schools: measured ones apart from those by way of the centre."""
    by = access.current()
    access.require(by, Action.SEE_DISTRICT)
    places = _places(by)
    km = services.distances(by.district_id)
    measured = services.measured_roads(by.district_id)
    if format_ := request.args.get("format"):
        return export(
            format_,
            _("Расстояния между школами"),
            [_("Откуда"), _("Куда"), _("Километров"), _("Как получено")],
            [
                (
                    one.short_name,
                    other.short_name,
                    km[one.id, other.id],
                    _("измерено") if _pair(one, other) in measured else _("через районный центр"),
                )
                for one in places
                for other in places
                if one.id != other.id
            ],
        )
    return page(
        "people/roads.html",
        places=places,
        km=km,
        measured=measured.keys() | {(high, low) for low, high in measured},
        as_matrix=len(places) <= LARGEST_MATRIX,
    )


def _pair(one: Holder, other: Holder) -> tuple[int, int]:
    return (min(one.id, other.id), max(one.id, other.id))


@bp.get("/roads/<int:holder_id>")
def roads_from(holder_id: int) -> Response:
    """Show how far it is from one school to each other."""
    by = access.current()
    access.require(by, Action.SEE_DISTRICT)
    return _roads_from(access.holder_of_district(by, holder_id))


def _roads_from(one: Holder, other: Holder | None = None, form: RoadForm | None = None) -> Response:
    """Return the page of ``one``; with ``other`` only its row to htmx, with what was typed where refused."""
    by = access.current()
    km = services.distances(by.district_id)
    measured = services.measured_roads(by.district_id)

    def row(place: Holder) -> dict[str, Any]:
        known = measured.get(_pair(one, place))
        typed = form if form is not None and other is not None and place.id == other.id else None
        return {
            "place": place,
            "km": km[one.id, place.id],
            "measured": known is not None,
            "form": typed or RoadForm(None, prefix=f"to{place.id}", km=known),
        }

    rows = sorted(
        (row(place) for place in _places(by) if place.id != one.id),
        key=lambda each: (each["km"], each["place"].short_name),
    )
    return page(
        "people/roads_from.html",
        "road" if other is not None else None,
        status=422 if form is not None else 200,
        one=one,
        rows=rows,
        row=next((each for each in rows if other is not None and each["place"].id == other.id), None),
    )


@bp.post("/roads/<int:holder_id>/<int:other_id>")
def save_road(holder_id: int, other_id: int) -> Response:
    """Store a measured distance, or return to the way by the centre."""
    by = access.current()
    one = access.holder_of_district(by, holder_id)
    other = access.holder_of_district(by, other_id)
    form = RoadForm(prefix=f"to{other_id}")
    if form.validate():
        try:
            services.set_road(one, other, form.km.data, by=by, clock=clock())
        except Invalid as error:
            form.refuse(error)
        else:
            if not wants_fragment():
                return done(url_for(".roads_from", holder_id=holder_id), _("Расстояние сохранено."))
            flash(_("Расстояние сохранено."), "success")
            return _roads_from(one, other)
    access.require(by, Action.EDIT_ROADS, one)
    return _roads_from(one, other, form)


# --- The journal --------------------------------------------------------------------------------------


class JournalFilter(Form):
    """Which events are shown."""

    subject = SelectField(_l("О чём"), default="")
    who = SelectField(_l("Кто"), default="")
    since = RussianDateField(_l("С даты"))
    until = RussianDateField(_l("По дату"))


@bp.get("/journal")
def events() -> Response:
    """Show what happened in the district, the newest first."""
    by = access.current()
    access.require(by, Action.AUDIT)
    names = services.names(by.district_id)
    form = JournalFilter(request.args)
    form.subject.choices = [
        SelectChoice("", _("всё")),
        *(SelectChoice(key, each.title) for key, each in SUBJECTS.items()),
    ]
    form.who.choices = [
        SelectChoice("", _("все")),
        *(SelectChoice(str(number), name) for number, name in names.items()),
    ]
    valid = form.validate()
    zone = ZoneInfo(by.district.timezone)
    query = journal.events(
        district_id=by.district_id,
        subject=form.subject.data if valid else None,
        by_id=int(form.who.data) if valid and form.who.data else None,
        since=datetime.combine(form.since.data, time(), zone) if form.since.data else None,
        before=datetime.combine(form.until.data + timedelta(days=1), time(), zone)
        if form.until.data
        else None,
    )
    if format_ := request.args.get("format"):
        found = db.session.execute(query.limit(LONGEST_EXPORT))
        return export(
            format_,
            _("Журнал района"),
            [_("Когда"), _("Кто"), _("О чём"), _("Что произошло")],
            [
                (
                    row.at.astimezone(zone),
                    names.get(row.by_id, _("портал")),
                    title_of(row.subject),
                    _told(row),
                )
                for row in found
            ],
        )
    total = db.session.scalar(sa.select(sa.func.count()).select_from(query.order_by(None).subquery())) or 0
    number, count = page_number(total)
    rows = [
        {
            "at": row.at,
            "who": names.get(row.by_id, _("портал")),
            "title": title_of(row.subject),
            "text": _told(row),
            "url": url_of(row.subject, row.subject_id) if _may_open(row.subject, by) else None,
        }
        for row in db.session.execute(query.limit(ROWS).offset((number - 1) * ROWS))
    ]
    return page(
        "people/journal.html",
        "list",
        status=200 if valid else 422,
        form=form,
        rows=rows,
        number=number,
        count=count,
    )


OPENED_BY: Mapping[str, Action] = {
    "transfer": Action.SEE_TRANSFER,
    "plan": Action.MATCH,
    "floor": Action.SEE_SHELF,
    "approved_list": Action.SEE_SHELF,
    "counting_campaign": Action.SEE_SHELF,
    "count_sheet": Action.SEE_SHELF,
    "write_off_act": Action.SEE_SHELF,
}
"""What a reader of the journal must be allowed to do to open the page of a subject; the others are open."""


def _may_open(subject: str, by: User) -> bool:
    return access.allowed(by, OPENED_BY.get(subject, Action.SEE_DISTRICT))


def _told(row: Any) -> str:
    return str(_(row.message, **row.parameters))


def page_number(total: int) -> tuple[int, int]:
    """Return the asked page of a list of ``total`` rows, and how many pages there are."""
    count = max(1, -(-total // ROWS))
    return min(max(request.args.get("page", 1, type=int), 1), count), count


def paged(rows: list[Row]) -> tuple[list[Row], int, int]:
    """Return the asked page of ``rows``, its number and how many pages there are."""
    number, count = page_number(len(rows))
    return rows[(number - 1) * ROWS : number * ROWS], number, count
