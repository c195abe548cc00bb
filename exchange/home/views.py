"""The first screen of every role, and the server's own health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from flask import Blueprint, Flask, Response, jsonify, render_template, request, url_for
from flask_babel import gettext as _
from markupsafe import Markup

from exchange.db import OLDEST_SOUND_SQLITE, db, sqlite_module
from exchange.home import services
from exchange.schools import access
from exchange.schools.rules import Action
from exchange.schools.views import public
from exchange.web.pages import page

bp = Blueprint("home", __name__)

NAVIGATION: Sequence[tuple[str, str, Action | None]] = (
    ("home.index", "Главная", None),
    ("transfers.waiting", "Ждёт меня", None),
    ("postings.board", "Доска", None),
    ("stock.index", "Полка", Action.SEE_SHELF),
    ("postings.offers", "Излишки", Action.POST_OFFER),
    ("postings.requests", "Заявки", Action.POST_REQUEST),
    ("matching.index", "Подбор", Action.MATCH),
    ("transfers.index", "Передачи", Action.SEE_TRANSFER),
    ("stock.provision", "Обеспеченность", Action.SEE_SHELF),
    ("catalog.index", "Каталог", None),
    ("lists.index", "Федеральный перечень", Action.LOAD_LIST),
    ("people.schools", "Школы", Action.SEE_DISTRICT),
    ("people.directory", "Люди", Action.MANAGE_PEOPLE),
)
"""Endpoint, title and the action it is for: at any school of the person's, or in the district."""


@dataclass(frozen=True)
class Item:
    """A link of the header. ``count`` is shown beside it where it is not ``None``."""

    title: str
    url: str
    here: bool
    count: int | None


def init_navigation(app: Flask) -> None:
    """Give the templates ``navigation()``, ``may()`` and the person's school."""

    def navigation() -> list[Item]:
        by = access.current()
        return [
            Item(
                title=_(title),
                url=url_for(endpoint),
                here=_is_here(endpoint),
                count=app.extensions["counters"]["waiting"]() if endpoint == "transfers.waiting" else None,
            )
            for endpoint, title, action in NAVIGATION
            if action is None or access.allowed(by, action) or access.allowed(by, action, by.school)
        ]

    app.add_template_global(navigation)
    app.add_template_global(
        lambda action, holder=None: access.allowed(access.current(), Action(action), holder), "may"
    )


def _is_here(endpoint: str) -> bool:
    """Say whether a link of the header is of this page, or of its feature where the page has no link."""
    present = request.endpoint or ""
    if any(present == listed for listed, *_rest in NAVIGATION):
        return present == endpoint
    return endpoint.endswith(".index") and endpoint.partition(".")[0] == present.partition(".")[0]


def init_book_panels(app: Flask) -> None:
    """Show on a book's page what the features above the catalogue know about it."""

    def holders(textbook_id: int) -> Markup:
        shown = services.holdings(textbook_id, by=access.current())
        return Markup(render_template("catalog/_holders.html", shown=shown))

    def postings(textbook_id: int) -> Markup:
        shown = services.postings(textbook_id, by=access.current())
        return Markup(render_template("catalog/_postings.html", shown=shown))

    def journeys(textbook_id: int) -> Markup:
        shown = services.journeys(textbook_id, by=access.current())
        return Markup(render_template("catalog/_journeys.html", journeys=shown))

    app.extensions["book_panels"] += [holders, postings, journeys]


@bp.get("/")
def index() -> Response:
    """Show the four jobs of the portal, those of this person first, and what waits for them."""
    return page("home/index.html")


@bp.get("/healthz")
@public
def healthz() -> Response:
    """Say that the process answers."""
    return jsonify(status="ok")


@bp.get("/readyz")
@public
def readyz() -> Response:
    """Say that the database answers, with a warning where its SQLite is known to be unsound."""
    db.session.execute(sa.text("SELECT 1"))
    warnings = []
    if db.engine.dialect.name == "sqlite" and sqlite_module().sqlite_version_info < OLDEST_SOUND_SQLITE:
        warnings.append("SQLite older than 3.51.3: install pysqlite3")
    return jsonify(status="ok", warnings=warnings)
