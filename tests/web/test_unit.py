"""The request's unit of work: commits on success alone, is retried, answers a repeat as before."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
import sqlalchemy as sa
from flask import Response, flash, make_response, request

from exchange.db import db, sqlite_module
from exchange.errors import Invalid
from exchange.schools.models import SignInFailure
from exchange.schools.views import clock as app_clock
from exchange.schools.views import public
from exchange.web.pages import done
from exchange.web.unit import Portal
from tests.conftest import ENGINE


class SerializationFailure(psycopg.errors.SerializationFailure):
    """What PostgreSQL raises when the whole unit should be tried again."""


@pytest.fixture
def probe(app: Portal) -> Portal:
    """Add a view that writes one row and then does as the form says."""
    failures = {"left": 0}

    @public
    def view() -> Response:
        db.session.add(SignInFailure(login=request.form.get("login", "x"), at=app_clock().now()))
        db.session.flush()
        outcome = request.form.get("outcome")
        flash("заодно", "info")
        if outcome == "refuse":
            raise Invalid("Так нельзя.")
        if outcome == "crash":
            raise RuntimeError("a mistake of the program")
        if outcome == "clash":
            failures["left"] += 1
            if failures["left"] < 3:
                raise sa.exc.OperationalError("select", {}, SerializationFailure())
        if outcome == "page":
            return make_response("<p>страница</p>", 200)
        if outcome == "bad":
            return make_response("<p>исправьте</p>", 422)
        return done("/there", "Записано")

    app.add_url_rule("/probe", "probe", view, methods=["POST"])
    app.testing = False
    return app


def rows() -> int:
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(SignInFailure)) or 0


def test_success_is_stored(probe: Portal) -> None:
    assert probe.test_client().post("/probe").status_code == 303
    assert rows() == 1


@pytest.mark.parametrize(("outcome", "status"), [("refuse", 422), ("bad", 422), ("crash", 500)])
def test_whatever_goes_wrong_stores_nothing(probe: Portal, outcome: str, status: int) -> None:
    assert probe.test_client().post("/probe", data={"outcome": outcome}).status_code == status
    assert rows() == 0


def test_a_serialization_failure_runs_the_whole_unit_again(probe: Portal) -> None:
    answer = probe.test_client().post("/probe", data={"outcome": "clash", "_key": "k"})
    assert answer.status_code == 303
    assert rows() == 1


def test_a_retry_says_everything_once(probe: Portal) -> None:
    client = probe.test_client()
    with client.session_transaction() as session:
        session["_flashes"] = [("info", "раньше")]
    client.post("/probe", data={"outcome": "clash"})
    with client.session_transaction() as session:
        assert [message for _, message in session["_flashes"]] == ["раньше", "заодно", "Записано"]


@pytest.mark.skipif(ENGINE != "sqlite", reason="PostgreSQL has many writers at a time")
@pytest.mark.parametrize("url", ["/probe", "/sign-in"])
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_database_that_stays_locked_is_a_sentence(probe: Portal, url: str, headers: dict[str, str]) -> None:
    @sa.event.listens_for(db.engine, "connect")
    def wait_briefly(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout=50")

    db.session.remove()
    db.engine.dispose()
    other = sqlite_module().connect(db.engine.url.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = probe.test_client().post(url, data={"login": "a", "password": "b"}, headers=headers)
    other.close()
    assert answer.status_code == 503
    assert "Портал сейчас занят" in answer.text


def test_a_repeat_gets_the_first_answer_and_its_notices(probe: Portal) -> None:
    first, second = probe.test_client(), probe.test_client()
    answers = [client.post("/probe", data={"_key": "once"}) for client in (first, second)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[1].location == "/there"
    with second.session_transaction() as session:
        assert [message for _, message in session["_flashes"]] == ["заодно", "Записано"]
    assert rows() == 1


def test_a_repeat_of_a_page_gets_the_page(probe: Portal) -> None:
    client = probe.test_client()
    for _ in range(2):
        answer = client.post("/probe", data={"_key": "once", "outcome": "page"})
        assert (answer.status_code, answer.text) == (200, "<p>страница</p>")
    assert rows() == 1


def test_a_refused_form_can_be_corrected_under_the_same_key(probe: Portal) -> None:
    client = probe.test_client()
    assert client.post("/probe", data={"_key": "once", "outcome": "bad"}).status_code == 422
    assert client.post("/probe", data={"_key": "once"}).status_code == 303


def test_other_values_under_the_same_key_are_refused(probe: Portal) -> None:
    client = probe.test_client()
    client.post("/probe", data={"_key": "once", "login": "a"})
    answer = client.post("/probe", data={"_key": "once", "login": "b"})
    assert answer.status_code == 422
    assert "уже отправлена" in answer.text
    assert rows() == 1
