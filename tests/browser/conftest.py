"""A live server on a database of its own, and people who look at it in Chromium.

``REQUIRE_BROWSER=1`` turns a missing Chromium from a skip into a failure. ``browser_page(user)`` gives a
page of a signed-in person; whatever the page says on its console as an error fails the test at its end.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from waitress import create_server, wasyncore

from exchange.db import db
from exchange.schools.models import User
from exchange.web.unit import Portal
from tests.browser import chromium, demo
from tests.browser.demo import Complaints, People, Signed

AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text(encoding="utf-8")
WIDE, NARROW = 1280, 360


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium.find()
    if path is None:
        message = f"NOT TESTED IN A BROWSER: no Chromium; {chromium.HOW}"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=as_root)
        yield browser
        browser.close()


@contextmanager
def running(app: Portal) -> Iterator[str]:
    """Serve ``app`` in a thread of this process; yield its address."""
    server = create_server(app, host="127.0.0.1", port=0, threads=4)
    stopped = threading.Event()

    def answer() -> None:
        while not stopped.is_set():
            wasyncore.loop(timeout=0.1, map=server._map, count=1)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.task_dispatcher.shutdown(timeout=5)
        stopped.set()
        thread.join()
        wasyncore.close_all(server._map)


@pytest.fixture
def live(app: Portal) -> Iterator[str]:
    """Address of the portal, with all its guards on."""
    app.testing = False
    app.config["WTF_CSRF_ENABLED"] = True
    with running(app) as address:
        yield address
        db.session.rollback()


@dataclass(frozen=True)
class Violation:
    """Something an automatic check found."""

    rule: str
    target: str
    why: str


def violations(page: Page) -> list[Violation]:
    """Return what axe finds on the page (WCAG A, AA and best practices)."""
    page.evaluate(AXE)
    result: dict[str, Any] = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        Violation(found["id"], str(node["target"]), node.get("failureSummary", ""))
        for found in result["violations"]
        for node in found["nodes"]
    ]


def sticking_out(page: Page) -> list[str]:
    """Return what makes the page wider than its window: nothing, where it is not."""
    found: list[str] = page.evaluate("""() => {
        const width = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= width) return [];
        const right = node => {
            const range = document.createRange();
            range.selectNodeContents(node);
            return Math.max(0, ...[...range.getClientRects()].map(box => box.right));
        };
        const wide = [...document.body.querySelectorAll("*")]
            .filter(each => Math.max(each.getBoundingClientRect().right, right(each)) > width + 1)
            .map(each => each.outerHTML.slice(0, 120));
        return ["wider by " + (document.documentElement.scrollWidth - width) + " px", ...wide.slice(-5)];
    }""")
    return found


BrowserPage = Callable[..., Page]


@pytest.fixture
def browser_page(browser: Browser, app: Portal, live: str) -> Iterator[BrowserPage]:
    """Return ``browser_page(user=None, *, javascript=True, width=1280)``."""
    complaints = Complaints([])
    contexts = []

    def open_page(user: User | None = None, *, javascript: bool = True, width: int = WIDE) -> Page:
        context = browser.new_context(
            base_url=live,
            java_script_enabled=javascript,
            viewport={"width": width, "height": 900},
            locale="ru-RU",
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        if user is not None:
            context.add_cookies([{"name": "session", "value": session_of(app, user), "url": live}])
        page = context.new_page()
        complaints.listen_to(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints.heard == []


def session_of(app: Portal, user: User) -> str:
    """Return the session cookie of a signed-in person."""
    serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    return str(serializer.dumps({"_user_id": user.get_id(), "_fresh": True}))


# --- the demo district ---


@pytest.fixture(scope="session")
def season(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo district's database, played once for all processes that run the tests."""
    folder = tmp_path_factory.getbasetemp()
    return demo.play_once(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)


@pytest.fixture(scope="session")
def signed(browser: Browser) -> Signed:
    return Signed(browser)


@pytest.fixture
def district(season: Path, tmp_path: Path) -> Iterator[Portal]:
    """A portal on a copy of the demo district of its own."""
    app = demo.portal_on(season, tmp_path)
    yield app
    demo.close(app)


@pytest.fixture
def people(browser: Browser, signed: Signed, district: Portal) -> Iterator[People]:
    """The people of the demo district at their browsers."""
    with running(district) as address, demo.at_their_browsers(browser, signed, address) as people:
        yield people
