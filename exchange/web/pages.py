"""Answers: whole pages, fragments, notices, redirects; and what an error looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flask import (
    Flask,
    Response,
    abort,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext
from flask_login import current_user
from flask_wtf.csrf import CSRFError, generate_csrf
from jinja2_fragments.flask import render_block
from markupsafe import Markup
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import IntegerConverter, Map
from werkzeug.urls import iri_to_uri

from exchange.db import db, in_unit_now, is_busy
from exchange.errors import DomainError
from exchange.web.forms import MOST_DIGITS
from exchange.web.unit import new_action_key

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HTTP_MESSAGES = {
    400: "Запрос не понят. Обновите страницу и повторите.",
    403: "У вас нет права на это действие.",
    404: "Такой страницы нет, или она принадлежит другой школе.",
    405: "Так эту страницу открыть нельзя. Вернитесь назад и обновите её.",
    413: "Файл слишком большой.",
    429: "Слишком много попыток. Подождите четверть часа.",
    503: "Портал сейчас занят. Ничего не изменено; повторите через минуту.",
    500: "На сервере ошибка. Ничего не изменено; повторите позже или сообщите методисту.",
}


def wants_fragment() -> bool:
    """Say whether htmx asks for a part of the page (not a boosted visit, not a history restore)."""
    htmx = request.htmx  # type: ignore[attr-defined]
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def page(template: str, block: str | None = None, *, status: int = 200, **context: Any) -> Response:
    """Return the whole page or, to htmx, only ``block`` with notices and counters out of band."""
    if block is not None and wants_fragment():
        html = render_block(template, block, **context) + render_template("_elsewhere.html")
    else:
        html = render_template(template, **context)
    return make_response(html, status)


def done(url: str, message: str | None = None, *, category: str = "success") -> Response:
    """Say that something is done and lead to ``url``."""
    if message:
        flash(message, category)
    if request.htmx:  # type: ignore[attr-defined]
        response = make_response("", 204)
        response.headers["HX-Redirect"] = url
        return response
    return make_response(redirect(url, 303))


def came_from(default: str) -> str:
    """Return the local page named by the form field ``_back``, else ``default``; never another site."""
    target = request.values.get("_back", "")
    # Browsers drop tabs and line ends inside an address and read a backslash as a slash.
    local = target.startswith("/") and target[1:2] not in {"/", "\\"} and target.isprintable()
    return iri_to_uri(target) if local else default


def guards() -> Markup:
    """Return the hidden fields every POST form needs: the CSRF token and a one-time action key."""
    return Markup(
        '<input type="hidden" name="csrf_token" value="{}"><input type="hidden" name="_key" value="{}">'
    ).format(generate_csrf(), new_action_key())


def text_of(error: DomainError) -> str:
    """Return the error's sentence in the reader's language."""
    return str(gettext(error.message, **error.parameters))


def error_answer(status: int, message: str) -> Response:
    """Return an error as a notice (to htmx) or as a page."""
    db.session.rollback()
    if wants_fragment():
        flash(message, "error")
        response = make_response(render_template("_notices.html"), status)
        response.headers["HX-Retarget"] = "#notices"
        response.headers["HX-Reswap"] = "outerHTML"
        return response
    return make_response(render_template("error.html", message=message, status=status), status)


def sign_in_first() -> Response:
    """Lead somebody who is not signed in to the sign-in page and back."""
    back = request.full_path.rstrip("?") if request.method == "GET" else url_for("home.index")
    return done(url_for("people.sign_in", _back=back), gettext("Войдите, чтобы продолжить."), category="info")


class RowNumber(IntegerConverter):
    """A number in an address: one greater than any row's leads nowhere, instead of to the database."""

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=10**MOST_DIGITS - 1)


def refuse_nul() -> None:
    """Refuse the one character that no text has and PostgreSQL does not store."""
    texts = [request.path, *request.args, *request.form, *request.files]
    texts += [text for values in (request.args, request.form) for _, text in values.items(multi=True)]
    texts += [upload.filename or "" for _, upload in request.files.items(multi=True)]
    if any("\0" in text for text in texts):
        abort(400)


def init_pages(app: Flask) -> None:
    """Register the error answers, the security headers and the template globals."""
    app.url_map.converters["int"] = RowNumber

    @app.errorhandler(DomainError)
    def on_domain_error(error: DomainError) -> Response:
        return error_answer(error.status, text_of(error))

    @app.errorhandler(StaleDataError)
    def on_stale(error: StaleDataError) -> Response:
        return error_answer(409, gettext("Пока страница была открыта, это уже изменили. Обновите страницу."))

    @app.errorhandler(OperationalError)
    def on_busy(error: OperationalError) -> Response:
        # Of a view that opens its own units; the others are tried again by whoever opened theirs.
        if in_unit_now() or not is_busy(error):
            raise error
        return error_answer(503, gettext(HTTP_MESSAGES[503]))

    @app.errorhandler(CSRFError)
    def on_csrf(error: CSRFError) -> Response:
        if not current_user.is_authenticated and request.endpoint != "people.sign_in":
            return sign_in_first()
        return error_answer(400, gettext("Страница устарела. Обновите её и отправьте форму ещё раз."))

    @app.errorhandler(HTTPException)
    def on_http(error: HTTPException) -> Response:
        if error.response is not None or error.code is None or error.code < 400:
            return make_response(error.get_response())
        message = HTTP_MESSAGES.get(error.code, HTTP_MESSAGES[400 if error.code < 500 else 500])
        return error_answer(error.code, gettext(message))

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", CSP)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
            response.vary.add("HX-Request")
        return response

    app.add_template_global(guards)
    app.add_template_global(_asset, "asset")


def htmx_config() -> str:
    """Return the htmx settings of DESIGN: no eval, no history cache, error answers are swapped as notices."""
    return json.dumps(
        {
            "allowEval": False,
            "allowScriptTags": False,
            "includeIndicatorStyles": False,
            "selfRequestsOnly": True,
            "historyCacheSize": 0,
            "timeout": 20000,
            "responseHandling": [
                {"code": "204", "swap": False},
                {"code": "[23]..", "swap": True},
                {"code": "400|403|404|405|409|413|422|429|500|503", "swap": True},
                {"code": "...", "swap": False, "error": True},
            ],
        }
    )


def _asset(name: str) -> str:
    """Return the address of a static file with its time of change, so that browsers may keep it."""
    path = Path(current_app.static_folder or "") / name
    return url_for("static", filename=name, v=int(path.stat().st_mtime))
