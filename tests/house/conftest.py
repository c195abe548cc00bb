"""One furnished world for all checks of routes and pages; whatever a check changes is taken back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import flask_migrate
import pytest
import sqlalchemy as sa
from flask import url_for
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from exchange import create_app
from exchange.clock import FrozenClock
from exchange.config import Settings
from exchange.db import db, unit_of_work
from exchange.matching.models import PlanLine, Wish
from exchange.runs import Run
from exchange.schools import services as schools
from exchange.schools.models import User
from exchange.schools.rules import Role
from exchange.web.unit import Portal
from tests import factories
from tests.conftest import START
from tests.factories import World
from tests.house.source import ROOT
from tests.house.table import ANONYMOUS, Parameters, Route
from tests.house.things import THINGS, Variants, set_scene

FEDERAL_LIST = ROOT / "exchange" / "demo" / "federal_list_858.csv"
WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


@dataclass
class House:
    """The running portal with its characters and objects."""

    app: Portal
    people: Mapping[str, str]
    """Session id of each character."""
    things: Mapping[str, Variants]
    file: Path
    template: Path
    names: frozenset[str] = field(init=False, default=frozenset())
    """Names and logins of the characters, which are data and not words of the interface."""
    writes: list[str] = field(default_factory=list)

    def client(self, character: str) -> FlaskClient:
        client = self.app.test_client()
        if character != ANONYMOUS:
            with client.session_transaction() as session:
                session["_user_id"] = self.people[character]
                session["_fresh"] = True
        return client

    def cookie(self, character: str) -> str:
        """Return the session cookie of a character, for a browser."""
        serializer = self.app.session_interface.get_signing_serializer(self.app)  # type: ignore[attr-defined]
        return str(serializer.dumps({"_user_id": self.people[character], "_fresh": True}))

    def variants(self, route: Route) -> Variants:
        return self.things[route.thing] if route.thing else {"own": {}}

    def ask(
        self, route: Route, character: str, parameters: Parameters, *, htmx: bool = False
    ) -> TestResponse:
        with self.app.test_request_context():
            address = url_for(route.endpoint, **parameters, **route.query)
        self.writes.clear()
        headers = {"HX-Request": "true"} if htmx else {}
        client = self.client(character)
        if route.method == "GET":
            return client.get(address, headers=headers)
        form = route.form(parameters) if callable(route.form) else route.form
        return client.open(address, method=route.method, data=dict(form), headers=headers)

    def restore(self) -> None:
        """Take back everything that was changed."""
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()
        for suffix in ("-wal", "-shm"):
            self.file.with_name(self.file.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self.template, self.file)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    file, template = folder / "exchange.sqlite3", folder / "template.sqlite3"
    clock = FrozenClock(START)
    settings = Settings(
        instance=folder, database_url=f"sqlite:///{file}", secret_key="tests", executor="inline"
    )
    app = create_app(settings, clock)
    app.testing = True
    app.config["WTF_CSRF_ENABLED"] = False
    with app.app_context():
        flask_migrate.upgrade()
        world = factories.make_world(clock)
        characters = _characters(world, clock)
        scene = set_scene(world, clock)
        things = {name: make(scene) for name, make in THINGS.items()}
        people = {name: user.get_id() for name, user in characters.items()}
    house = House(app, people, things, file, template)
    things.update(_made_by_pages(house))
    with app.app_context():
        users = db.session.scalars(sa.select(User)).all()
        house.names = frozenset({user.login for user in users} | {user.full_name for user in users})
        db.session.remove()
        with db.engine.connect() as connection:
            connection.connection.dbapi_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.engine.dispose()
        shutil.copyfile(file, template)
        sa.event.listen(db.engine, "before_cursor_execute", _note_writes(house))
    yield house
    with app.app_context():
        db.engine.dispose()


def _made_by_pages(house: House) -> Mapping[str, Variants]:
    """Make the objects that begin with a page: a plan, and a federal list that waits to be loaded."""
    things: dict[str, dict[str, Parameters]] = {
        name: {}
        for name in (
            "plan",
            "plan pair",
            "plan run",
            "plan line",
            "plan swap",
            "line of plan",
            "wish of line",
            "wish",
            "line in plan",
            "school in plan",
            "list check",
        )
    }
    for variant, character in (("own", "methodist"), ("abroad", "outsider")):
        client = house.client(character)
        replaced_id, run_id = (int(client.post("/plans").location.rpartition("/")[2]) for _ in range(2))
        with FEDERAL_LIST.open("rb") as file:
            answer = client.post(
                "/lists/import",
                data={"file": (file, "list.csv"), "order": "1", "in_force_from": "01.09.2020"},
            )
        things["plan run"][variant] = {"run_id": run_id}
        things["list check"][variant] = {"run_id": int(answer.location.rpartition("/")[2])}
        with house.app.app_context():
            replaced, plan_id = (
                db.session.get_one(Run, each).result["plan_id"] for each in (replaced_id, run_id)
            )
            line = db.session.scalars(
                sa.select(PlanLine).where(PlanLine.plan_id == plan_id).order_by(PlanLine.id)
            ).first()
            assert line is not None
            things["plan"][variant] = {"plan_id": plan_id}
            things["plan swap"][variant] = {"plan_id": plan_id, "school_id": 1}
            things["plan pair"][variant] = {"one": replaced, "other": plan_id}
            things["plan line"][variant] = {"line_id": line.id, "mark": "lock"}
            things["line of plan"][variant] = {"line_id": line.id}
            things["line in plan"][variant] = {"plan_id": plan_id, "line_id": line.id}
            things["school in plan"][variant] = {"plan_id": plan_id, "holder_id": line.taker_id}
            things["wish of line"][variant] = {"line_id": line.id, "kind": "forbid"}
            address = f"/plans/lines/{line.id}/prefer"
        client.post(address)
        with house.app.app_context():
            wish = db.session.scalars(sa.select(Wish.id).order_by(Wish.id.desc())).first()
            things["wish"][variant] = {"wish_id": wish}
    return things


def _note_writes(house: House) -> Callable[..., None]:
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.lstrip().upper().startswith(WRITES):
            house.writes.append(statement)

    return note


def _characters(world: World, clock: FrozenClock) -> Mapping[str, User]:
    def person(login: str, role: Role) -> User:
        return schools.make_user(
            district_id=world.district.id,
            login=login,
            full_name=f"{login.title()} Тестовый",
            password_hash=factories.PASSWORD_HASH,
            role=role,
            school_id=world.donor_school.id,
            clock=clock,
        )

    with unit_of_work():
        deputy = person("own-deputy", Role.DEPUTY)
        bookkeeper = person("own-bookkeeper", Role.ACCOUNTANT)
    return {
        "librarian": world.donor,
        "director": world.donor_director,
        "deputy": deputy,
        "bookkeeper": bookkeeper,
        "accountant": world.accountant,
        "head": world.head,
        "administrator": world.administrator,
        "methodist": world.methodist,
        "stranger": world.stranger,
        "outsider": world.outsider,
    }
