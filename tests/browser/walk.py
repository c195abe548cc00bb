"""Walks the portal along its links, as one person after another, to find an example of every page."""

from __future__ import annotations

import re
from collections import deque
from html import unescape
from urllib.parse import parse_qs, urlsplit

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException

LINK = re.compile(r'<a\b[^>]*?\bhref="([^"#]*)')
STATE = re.compile(r'<p class="lead">.*?<span class="chip[^>]*>([^<]*)</span>', re.S)
EDITABLE = re.compile("_version|data-count")
FILES = frozenset({"xlsx", "csv"})
LARGEST = 400
"""Pages that are read for one person at most: more means that two pages differ where they should not."""

Found = dict[str, str]
"""Address of the first example of each page, by its name."""


def client_of(app: Flask, user_id: str) -> FlaskClient:
    """Return a client on which a person is signed in."""
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = user_id
        session["_fresh"] = True
    return client


def walk(app: Flask, client: FlaskClient) -> Found:
    """Return an example of every page that links lead to from the first screen.

    Pages are told apart by endpoint and names of the arguments; transfers also by their state.
    """
    found: Found = {}
    seen = {"/"}
    ahead = deque(["/"])
    looked_at: dict[str, int] = {}
    while ahead:
        address = ahead.popleft()
        endpoint = endpoint_of(app, address)
        kind = f"{endpoint} {sorted(_arguments(address))}"
        # Of transfers the walk looks at many, to find each state; of anything else one tells enough.
        if looked_at.get(kind, 0) >= (60 if endpoint == "transfers.show" else 1):
            continue
        looked_at[kind] = looked_at.get(kind, 0) + 1
        assert sum(looked_at.values()) < LARGEST
        answer = client.get(address, follow_redirects=True)
        assert answer.status_code == 200, f"a link leads to {answer.status}: {address}"
        if answer.mimetype != "text/html":
            continue
        text = answer.text
        name = endpoint
        if endpoint == "transfers.show" and (state := STATE.search(text)):
            name = f"{endpoint}: {state[1]}"
        elif (
            endpoint in ("stock.shelf", "stock.history")
            and "_version" not in text
            and "data-count" not in text
        ):
            name = f"{endpoint}: только чтение"
        found.setdefault(name, address)
        for link in LINK.findall(text):
            target = unescape(link)
            if not target.startswith("/") or target.startswith("/static/") or target in seen:
                continue
            if FILES & {value for values in parse_qs(urlsplit(target).query).values() for value in values}:
                continue
            seen.add(target)
            ahead.append(target)
    return found


def endpoint_of(app: Flask, address: str) -> str:
    """Return the name of the view behind an address."""
    try:
        return str(app.url_map.bind("localhost").match(urlsplit(address).path)[0])
    except HTTPException:
        raise AssertionError(f"a link leads nowhere: {address}") from None


def _arguments(address: str) -> set[str]:
    return set(parse_qs(urlsplit(address).query))
