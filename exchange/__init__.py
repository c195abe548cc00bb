"""Взаимообмен: the portal with which the schools of a district exchange textbooks."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask
from flask_babel import Babel
from flask_migrate import Migrate
from flask_wtf.csrf import CSRFProtect
from htmx_flask import Htmx
from jinja2 import StrictUndefined
from werkzeug.middleware.proxy_fix import ProxyFix

from exchange import runs
from exchange.approved import views as approved
from exchange.catalog import views as catalog
from exchange.classes import views as classes
from exchange.cli import init_cli
from exchange.clock import Clock, SystemClock
from exchange.config import Settings
from exchange.counting import views as counting
from exchange.db import db, init_db
from exchange.disposals import views as disposals
from exchange.home import views as home
from exchange.intake import views as intake
from exchange.matching import views as matching
from exchange.postings import views as postings
from exchange.provision import views as provision
from exchange.reports import views as reports
from exchange.reserve import views as reserve
from exchange.schools import views as people
from exchange.stock import views as stock
from exchange.transfers import views as transfers
from exchange.web import display, pages, unit

ROOT = Path(__file__).resolve().parent.parent
MEGABYTE = 1024 * 1024


def create_app(settings: Settings | None = None, clock: Clock | None = None) -> unit.Portal:
    """Build the portal: the only place where its parts are wired together."""
    if settings is None:
        settings = Settings.from_environ(os.environ, instance=ROOT / "instance")
    app = unit.Portal(__name__, template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static"))
    app.config.update(
        SECRET_KEY=settings.resolved_secret_key(),
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.cookie_secure,
        MAX_CONTENT_LENGTH=settings.upload_megabytes * MEGABYTE,
        MAX_FORM_MEMORY_SIZE=MEGABYTE,
        MAX_FORM_PARTS=5000,
        SEND_FILE_MAX_AGE_DEFAULT=365 * 24 * 3600,
        # A page left open over lunch must still be able to send its form.
        WTF_CSRF_TIME_LIMIT=None,
        BABEL_DEFAULT_LOCALE="ru",
        BABEL_TRANSLATION_DIRECTORIES=str(ROOT / "exchange" / "translations"),
    )
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    if settings.proxies:
        count = settings.proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, count, count, count)  # type: ignore[method-assign]
    app.extensions["settings"] = settings
    app.extensions["clock"] = clock or SystemClock()

    if settings.resolved_database_url().startswith("sqlite"):
        settings.instance.mkdir(parents=True, exist_ok=True)
    init_db(app, settings.resolved_database_url())
    Migrate(app, db, directory=str(ROOT / "exchange" / "migrations"), render_as_batch=True)
    Htmx(app)
    Babel(app, locale_selector=people.chosen_language)
    runs.init_runs(app, settings.executor)

    # In this order: a repeated form gets its first answer before anything else is asked of it.
    CSRFProtect(app)
    app.before_request(pages.refuse_nul)
    app.before_request(unit.check_action_key)
    people.init_sign_in(app)
    pages.init_pages(app)
    display.init_display(app)
    home.init_navigation(app)
    catalog.init_catalog(app)
    transfers.init_transfers(app)
    matching.init_matching(app)
    intake.init_intake(app)
    home.init_book_panels(app)
    features = (
        home,
        people,
        catalog,
        classes,
        approved,
        stock,
        disposals,
        counting,
        intake,
        postings,
        provision,
        transfers,
        matching,
        reserve,
        reports,
    )
    for feature in features:
        app.register_blueprint(feature.bp)
    app.register_blueprint(catalog.lists_bp)
    init_cli(app)
    return app
