"""The frame of every page: sign-in, errors, repeats."""

from __future__ import annotations

import pytest

from exchange.clock import FrozenClock
from exchange.schools import services as schools
from exchange.web import pages
from tests.addresses import address
from tests.conftest import SignIn
from tests.factories import World


def test_a_stranger_is_led_to_sign_in(app, world: World) -> None:
    answer = app.test_client().get("/")
    assert answer.status_code == 303
    assert answer.location.startswith("/sign-in")


def test_htmx_without_a_session_is_led_to_sign_in(app, world: World) -> None:
    answer = app.test_client().get("/", headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"].startswith("/sign-in")


def test_sign_in_with_a_password(app, world: World, clock: FrozenClock) -> None:
    from exchange.db import unit_of_work

    with unit_of_work():
        schools.set_password(schools.hash_password("длинный пароль"), by=world.donor, clock=clock)
    client = app.test_client()
    assert client.post("/sign-in", data={"login": "donor", "password": "не тот пароль"}).status_code == 422
    assert client.post("/sign-in", data={"login": " DONOR ", "password": "длинный пароль"}).status_code == 303
    assert client.get("/").status_code == 200


def test_too_many_tries_must_wait(app, world: World, clock: FrozenClock) -> None:
    client = app.test_client()
    for _ in range(5):
        assert client.post("/sign-in", data={"login": "donor", "password": "x"}).status_code == 422
    assert client.post("/sign-in", data={"login": "donor", "password": "x"}).status_code == 429
    clock.advance(minutes=16)
    assert client.post("/sign-in", data={"login": "donor", "password": "x"}).status_code == 422


def test_a_missing_page_is_a_sentence(world: World, sign_in: SignIn) -> None:
    answer = sign_in(world.donor).get("/nowhere")
    assert answer.status_code == 404
    assert "Такой страницы нет" in answer.text


def test_deactivation_ends_the_session(app, world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    from exchange.db import unit_of_work

    client = sign_in(world.donor)
    assert client.get("/").status_code == 200
    with unit_of_work():
        schools.set_active(world.donor.id, False, by=world.methodist, clock=clock)
    assert client.get("/").status_code == 303


@pytest.mark.parametrize(
    "back",
    [
        "//elsewhere.example/",
        "/\\elsewhere.example/",
        "/\t/elsewhere.example/",
        "/\t\\elsewhere.example/",
        "/\n/elsewhere.example/",
        "https://elsewhere.example/",
        "javascript:alert(1)",
        "/fine\r\nX-Injected: 1",
    ],
)
def test_the_way_back_never_leads_elsewhere(app, world: World, sign_in: SignIn, back: str) -> None:
    for headers in ({}, {"HX-Request": "true"}):
        answer = sign_in(world.donor).post(
            "/language", data={"language": "ru", "_back": back}, headers=headers
        )
        assert answer.status_code in {204, 303}
        assert (answer.location or answer.headers["HX-Redirect"]) == "/"


def test_the_way_back_is_an_address_of_plain_letters(app, world: World, sign_in: SignIn) -> None:
    answer = sign_in(world.donor).post(
        "/language", data={"language": "ru", "_back": "/board?q=физика"}, headers={"HX-Request": "true"}
    )
    assert answer.headers["HX-Redirect"] == "/board?q=%D1%84%D0%B8%D0%B7%D0%B8%D0%BA%D0%B0"


def test_nothing_is_changed_without_the_token(app, world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    app.config["WTF_CSRF_ENABLED"] = True
    for rule in app.url_map.iter_rules():
        if "POST" not in rule.methods:
            continue
        with app.test_request_context():
            url = address(rule)
        for headers in ({}, {"HX-Request": "true"}):
            assert client.post(url, headers=headers).status_code == 400, url
    # Whose session is gone is led to the sign-in page instead.
    assert app.test_client().post("/offers/1/withdraw").location.startswith("/sign-in?")
    assert app.test_client().post("/sign-in", data={"login": "a", "password": "b"}).status_code == 400


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_errors_of_the_protocol_are_sentences(
    app, world: World, sign_in: SignIn, headers: dict[str, str]
) -> None:
    client = sign_in(world.donor)
    app.config["MAX_CONTENT_LENGTH"] = 1000
    answers = {
        404: client.get("/nowhere", headers=headers),
        405: client.get("/offers/1/withdraw", headers=headers),
        413: client.post("/account", data={"full_name": "a" * 2000}, headers=headers),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert pages.HTTP_MESSAGES[status] in answer.text
        assert answer.headers.get("HX-Retarget") == ("#notices" if headers else None)
