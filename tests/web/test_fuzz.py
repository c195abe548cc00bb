"""Nasty values in every form and every query: a refusal is fine, an error of the server never is.

The portal is walked from its own pages: each form found there is sent again with hostile values, in all its
fields at once and in each alone. Nothing of this is kept, so that every try meets the same world.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import cycle
from urllib.parse import parse_qsl, urlsplit

import pytest
import sqlalchemy as sa
from flask import url_for
from flask.testing import FlaskClient

from exchange.clock import FrozenClock
from exchange.db import db
from exchange.matching.models import Plan, PlanLine
from exchange.schools import services as schools
from exchange.schools.rules import Role
from exchange.web.unit import Portal
from tests.addresses import address
from tests.conftest import SignIn
from tests.factories import World
from tests.house.source import ROOT
from tests.house.things import THINGS, set_scene

NUL = "a\x00b"
NASTY = (
    "",
    "-1",
    "0",
    "99999",
    "99999999999999999999",
    "9" * 5000,
    "²",
    "NaN",
    "<script>alert(1)</script>",
    "a\r\nX-Injected: 1",
    "%(name)s %s %d {0} {{ 7 * 7 }}",
    "'; DROP TABLE offer; --",
    "01.01.0001",
    "31.12.9999",
    "31.02.2027",
    "ё" * 3000,
    "/\t\\elsewhere.example/",
)
ALL_AT_ONCE = ("0", "99999", "99999999999999999999", "9" * 5000, NUL, "ё" * 3000, "31.12.9999")
TOO_BIG = 99999999999999999999
"""A number in an address that no integer column holds."""
ARGUMENTS = (
    "q", "page", "format", "subject", "grade", "school", "holder", "textbook", "offer", "edition", "fund",
    "state", "since", "until", "first", "last", "kind", "year", "sort", "show", "standing", "group", "_back",
    "code", "publisher", "level",
)  # fmt: skip


@dataclass
class Found:
    """A form of a page: where it goes and what it would send untouched."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class Forms(HTMLParser):
    """Reads the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Found] = []
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Found(values.get("method", "get").upper(), values.get("action", "")))
        if not self.found:
            return
        fields, name = self.found[-1].fields, values.get("name", "")
        if tag == "select":
            self._select = name
            fields.setdefault(name, "")
        elif tag == "option" and self._select and ("selected" in values or not fields[self._select]):
            fields[self._select] = values.get("value", "")
        elif name and tag in {"input", "textarea"} and values.get("type") != "file":
            choice = values.get("type") in {"radio", "checkbox"}
            if name not in fields or "checked" in values or not choice:
                fields[name] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""


@dataclass
class Site:
    """The portal with somebody signed in for each duty, and the addresses there are for them."""

    app: Portal
    clients: Mapping[str, FlaskClient]
    pages: list[str]
    faults: list[str] = field(default_factory=list)

    def ask(self, who: str, method: str, url: str, values: Mapping[str, str], *, htmx: bool = False) -> str:
        """Send one request, note an error of the server, return the page."""
        headers = {"HX-Request": "true"} if htmx else {}
        sent = {"data": values} if method == "POST" else {"query_string": values} if values else {}
        answer = self.clients[who].open(url, method=method, headers=headers, **sent)
        if answer.status_code >= 500:
            shown = {name: text[:20] for name, text in values.items()}
            self.faults.append(f"{who}: {method} {url[:60]} {shown}: {answer.status_code}")
        whole = answer.status_code == 200 and answer.mimetype == "text/html"
        return answer.text if whole else ""

    def forms(self) -> Iterator[tuple[str, str, Found]]:
        """Yield each kind of form once: who sees it, its address, the form."""
        seen = set()
        matcher = self.app.url_map.bind("localhost")
        for who in self.clients:
            for page in self.pages:
                reader = Forms()
                reader.feed(self.ask(who, "GET", page, {}))
                for form in reader.found:
                    url = form.action or page
                    endpoint, _arguments = matcher.match(urlsplit(url).path, method=form.method)
                    # The numbers of rows in the names of fields do not make another form.
                    kind = (
                        form.method,
                        endpoint,
                        frozenset(name.rstrip("0123456789") for name in form.fields),
                    )
                    if kind not in seen:
                        seen.add(kind)
                        yield who, url, form


@pytest.fixture
def site(
    app: Portal,
    world: World,
    clock: FrozenClock,
    sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    """A furnished world; from now on whatever is written is taken back."""
    app.testing = False
    scene = set_scene(world, clock)
    things = [variants["own"] for variants in (make(scene) for make in THINGS.values()) if "own" in variants]
    people = {
        "librarian": world.donor,
        "taker": world.recipient,
        "director": world.donor_director,
        "methodist": world.methodist,
    }
    clients = {name: sign_in(user) for name, user in people.items()}
    clients["methodist"].post("/plans")
    with (ROOT / "exchange" / "demo" / "federal_list_769.csv").open("rb") as file:
        answer = clients["methodist"].post(
            "/lists/import", data={"file": (file, "list.csv"), "order": "1", "in_force_from": "01.09.2020"}
        )
    known = {
        "plan_id": db.session.scalars(sa.select(Plan.id)).one(),
        "line_id": db.session.scalars(sa.select(PlanLine.id)).first(),
        "run_id": int(answer.location.rpartition("/")[2]),
    }
    with app.test_request_context():
        pages = {
            url_for(rule.endpoint, **{name: thing[name] for name in rule.arguments})
            for thing in [*things, known]
            for rule in app.url_map.iter_rules()
            if "GET" in (rule.methods or ()) and rule.endpoint != "static" and rule.arguments <= thing.keys()
        }
        for thing in things:
            pages |= {
                url_for(endpoint, **thing)
                for endpoint, name in (
                    ("stock.history", "edition"),
                    ("transfers.ask", "offer"),
                    ("stock.add", "textbook"),
                    ("postings.new_offer", "textbook"),
                    ("postings.new_request", "textbook"),
                    ("reserve.acquire", "textbook"),
                )
                if name in thing
            }
    found = Site(app, clients, sorted(pages))
    db.session.remove()
    monkeypatch.setattr(db.session, "commit", lambda: (db.session.flush(), db.session.rollback()))
    monkeypatch.setattr(logging.getLogger("exchange"), "disabled", True)
    return found


def test_no_form_breaks_the_portal(site: Site) -> None:
    values = cycle(NASTY)
    tried = 0
    for who, url, form in list(site.forms()):
        names = [name for name in form.fields if name not in {"csrf_token", "_key"}]
        kept = {name: form.fields[name] for name in names}
        # Of a GET form the fields are the query, which must not be asked for twice.
        target = urlsplit(url).path if form.method == "GET" else url
        for number, value in enumerate(ALL_AT_ONCE):
            site.ask(who, form.method, target, dict.fromkeys(names, value), htmx=bool(number % 2))
        for name in names:
            for value in (NUL, next(values), next(values)):
                site.ask(who, form.method, target, {**kept, name: value}, htmx=value == NUL)
        tried += 1
    assert tried > 60
    assert not site.faults, "\n".join(site.faults)


def test_no_query_breaks_the_portal(site: Site) -> None:
    matcher = site.app.url_map.bind("localhost")
    one_of_each = {matcher.match(urlsplit(page).path, method="GET")[0]: page for page in site.pages}
    for page in one_of_each.values():
        path, kept = urlsplit(page).path, dict(parse_qsl(urlsplit(page).query))
        for value in ("0", "99999", str(TOO_BIG), NUL, "31.12.9999"):
            site.ask("methodist", "GET", path, {**kept, **dict.fromkeys(ARGUMENTS, value)})
        values = cycle(NASTY)
        for _round in range(2):
            mixed = {name: next(values) for name in ARGUMENTS}
            site.ask("methodist", "GET", path, {**kept, **mixed})
            site.ask("librarian", "GET", path, {**mixed, **kept})
    assert not site.faults, "\n".join(site.faults)


def test_no_number_in_an_address_breaks_the_portal(site: Site) -> None:
    with site.app.test_request_context():
        for rule in site.app.url_map.iter_rules():
            if not rule.arguments or rule.endpoint == "static":
                continue
            url = address(rule).replace("/1", f"/{TOO_BIG}")
            for method in (rule.methods or set()) & {"GET", "POST"}:
                for who in ("methodist", "librarian"):
                    site.ask(who, method, url, {})
    assert not site.faults, "\n".join(site.faults)


def test_no_door_without_a_form_breaks_the_portal(site: Site, clock: FrozenClock, world: World) -> None:
    """What strangers may send, and buttons that the walk does not meet."""
    anonymous = {**site.clients, "anonymous": site.app.test_client()}
    site.clients = anonymous
    _slip, code = schools.invite(
        role=Role.HEAD, school=None, full_name="", days=3, by=db.session.merge(world.methodist), clock=clock
    )
    for value in (*NASTY, NUL):
        for url, names in (
            ("/sign-in", ("login", "password", "_back", "_key")),
            ("/invitation", ("code", "login", "password", "again", "full_name", "email", "_key")),
            ("/language", ("language", "_back", "_key")),
        ):
            site.ask("anonymous", "POST", url, dict.fromkeys(names, value))
        site.ask("anonymous", "POST", "/invitation", {"code": code, "login": value, "full_name": value})
        site.ask("methodist", "POST", "/transfers/approve", {"id": value})
        site.ask("methodist", "POST", "/people/slip/hide", {"_key": value})
    assert not site.faults, "\n".join(site.faults)
