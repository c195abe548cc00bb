"""Pages of people: sign-in, the own account, invitations, the district's people, schools and roads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, Flask, Response, current_app, g, request, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import LoginManager, current_user, login_user, logout_user
from wtforms import PasswordField, StringField

from exchange.clock import Clock
from exchange.config import Settings
from exchange.db import db, in_unit
from exchange.schools import access, services
from exchange.schools.models import User
from exchange.web.forms import Filled, Form
from exchange.web.pages import came_from, done, page, sign_in_first
from exchange.web.unit import outside_unit

bp = Blueprint("people", __name__)
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
    if services.too_many_failures(form.login.data, clock=clock()):
        form.form_errors.append(_("Слишком много попыток. Подождите четверть часа и попробуйте снова."))
        return page("people/sign_in.html", "form", form=form, status=429)
    user = services.user_by_login(form.login.data)
    known_hash = user.password_hash if user else None
    db.session.rollback()
    if user is None or not services.password_matches(known_hash, form.password.data):
        in_unit(lambda: services.note_failure(form.login.data, clock=clock()))
        form.form_errors.append(_("Логин или пароль не подходит. Проверьте раскладку клавиатуры."))
        return page("people/sign_in.html", "form", form=form, status=422)
    in_unit(lambda: services.note_sign_in(user, clock=clock()))
    login_user(user)
    return done(came_from(url_for("home.index")))


@bp.post("/sign-out")
@public
def sign_out() -> Response:
    """End this session."""
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
