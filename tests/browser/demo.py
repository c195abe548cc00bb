"""The demo district for the journeys: its season played once, a portal on a copy of it, people signed in."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import flask_migrate
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, StorageState

from exchange import create_app
from exchange.clock import FrozenClock
from exchange.config import Settings
from exchange.db import db
from exchange.demo import season
from exchange.demo.district import PASSWORD
from exchange.schools import services as schools
from exchange.web.unit import Portal

MOMENT = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
"""Friday noon in Krasnoyarsk, in the middle of a school year."""
EXPECTED_REFUSALS = ("status of 403", "status of 404", "status of 409", "status of 422", "status of 429")
"""Answers that a journey may ask for; the browser notes them on its console."""

GIVEN_UP = ("htmx:sendAbort", "htmx:afterRequest")
"""What htmx says of an answer nobody waits for any more: the person typed on, or left the page."""


def settings_in(folder: Path, executor: str = "threads") -> Settings:
    """Return settings for a portal with its database in ``folder``; all portals share their signatures."""
    return Settings(instance=folder, secret_key="journeys", executor=executor)


def play_once(folder: Path) -> Path:
    """Return the database of the demo district as of ``MOMENT``; played by the first who asks for it."""
    file = folder / "season.sqlite3"
    with (folder / "season.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            _play(folder, file)
    return file


def _play(folder: Path, file: Path) -> None:
    work = folder / "season"
    work.mkdir()
    app = create_app(settings_in(work), FrozenClock(MOMENT))
    with app.app_context():
        flask_migrate.upgrade()
        season.play(MOMENT, schools.hash_password(PASSWORD))
        db.session.remove()
        with db.engine.connect() as connection:
            connection.connection.dbapi_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.engine.dispose()
    (work / "exchange.sqlite3").rename(file)


def portal_on(file: Path, folder: Path, *, executor: str = "threads") -> Portal:
    """Return a portal with all its guards on a copy of the database, its clock standing at ``MOMENT``."""
    shutil.copyfile(file, folder / "exchange.sqlite3")
    return create_app(settings_in(folder, executor), FrozenClock(MOMENT))


def close(app: Portal) -> None:
    """End the work of a portal and let go of its database."""
    app.extensions["run_executor"].shutdown()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@dataclass
class Complaints:
    """What browsers complained about: errors on the console, failed requests, what the CSP refused."""

    heard: list[str]

    def listen_to(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.heard.append(f"{page.url}: {error}"))
        page.on("requestfailed", self._failed)

    def _console(self, message: ConsoleMessage) -> None:
        address = message.location.get("url", "")
        if message.type not in ("error", "warning"):
            return
        if message.text.startswith(GIVEN_UP):
            return
        refused = any(words in message.text for words in EXPECTED_REFUSALS)
        if not refused or "/static/" in address:
            self.heard.append(f"{message.text} ({address})")

    def _failed(self, request: Request) -> None:
        # A page left in the middle of a question, and a file offered for download, are no failures.
        if request.failure != "net::ERR_ABORTED":
            self.heard.append(f"{request.url}: {request.failure}")


class Signed:
    """Storage states of people who came in by the form once; good on every copy of the district."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._states: dict[str, StorageState] = {}

    def state(self, login: str, address: str) -> StorageState:
        """Return what the browser of ``login`` keeps."""
        if login not in self._states:
            context = self._browser.new_context(base_url=address, locale="ru-RU")
            page = context.new_page()
            page.goto("/sign-in")
            page.get_by_label("Логин").fill(login)
            page.get_by_label("Пароль").fill(PASSWORD)
            page.get_by_role("button", name="Войти").click()
            page.get_by_role("button", name="Выйти").wait_for()
            self._states[login] = context.storage_state()
            context.close()
        return self._states[login]


class People:
    """The people at their own browsers."""

    def __init__(self, browser: Browser, signed: Signed, address: str, complaints: Complaints) -> None:
        self.address = address
        self._browser = browser
        self._signed = signed
        self._complaints = complaints
        self._contexts: list[BrowserContext] = []

    def open(self, login: str, *, javascript: bool = True, width: int = 1280) -> Page:
        """Return a fresh browser of ``login``, signed in, on an empty page."""
        context = self._browser.new_context(
            base_url=self.address,
            java_script_enabled=javascript,
            viewport={"width": width, "height": 900},
            locale="ru-RU",
            storage_state=self._signed.state(login, self.address),
        )
        context.set_default_timeout(10_000)
        self._contexts.append(context)
        page = context.new_page()
        self._complaints.listen_to(page)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@contextmanager
def at_their_browsers(browser: Browser, signed: Signed, address: str) -> Iterator[People]:
    """Yield the people; at the end nobody's browser may have complained."""
    complaints = Complaints([])
    people = People(browser, signed, address, complaints)
    try:
        yield people
    finally:
        people.close()
    assert not complaints.heard, "\n".join(complaints.heard)


T = TypeVar("T")


def asked(app: Portal, work: Callable[[], T]) -> T:
    """Look something up in the database of a portal, beside the browsers."""
    with app.app_context():
        try:
            return work()
        finally:
            db.session.remove()
