"""Pages of the catalogue and of the federal lists."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Flask, Response
from flask_babel import gettext as _
from markupsafe import Markup

from exchange.catalog import services
from exchange.catalog.models import Textbook
from exchange.db import db
from exchange.errors import NotFound
from exchange.schools import access
from exchange.schools.views import clock
from exchange.web.pages import page

bp = Blueprint("catalog", __name__)

Panel = Callable[[int], Markup]
"""What a higher feature shows on the page of the textbook with this id."""


def init_catalog(app: Flask) -> None:
    """Make room for the panels that higher features put on a book's page."""
    panels: list[Panel] = []
    app.extensions["book_panels"] = panels


@bp.get("/catalog")
def index() -> Response:
    """Find textbooks."""
    today = clock().today(access.current().district.timezone)
    return page("catalog/index.html", "list", found=services.search(on=today))


@bp.get("/catalog/<int:textbook_id>")
def book(textbook_id: int) -> Response:
    """Show one textbook."""
    textbook = db.session.get(Textbook, textbook_id)
    if textbook is None:
        raise NotFound("Такого учебника нет в каталоге.")
    today = clock().today(access.current().district.timezone)
    verdict = services.verdicts([textbook_id], today)[textbook_id]
    return page("catalog/book.html", textbook=textbook, verdict=verdict)


@bp.get("/lists")
def lists() -> Response:
    """Show the federal lists that are loaded."""
    return page("catalog/lists.html", title=_("Федеральный перечень"))
