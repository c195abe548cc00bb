"""The way in, as a browser sees it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from exchange.clock import FrozenClock
from exchange.db import unit_of_work
from exchange.schools import services as schools
from tests.browser.conftest import NARROW, WIDE, BrowserPage, sticking_out, violations
from tests.factories import World

PASSWORD = "длинный пароль"


@pytest.fixture
def world_with_password(world: World, clock: FrozenClock) -> World:
    with unit_of_work():
        schools.set_password(schools.hash_password(PASSWORD), by=world.donor, clock=clock)
    return world


@pytest.mark.parametrize("javascript", [True, False], ids=["js", "nojs"])
def test_sign_in_leads_home(
    world_with_password: World, browser_page: BrowserPage, *, javascript: bool
) -> None:
    page = browser_page(javascript=javascript)
    page.goto("/")
    expect(page.locator("h1")).to_have_text("Вход")
    page.get_by_label("Логин").fill("donor")
    page.get_by_label("Пароль").fill("не тот пароль")
    page.get_by_role("button", name="Войти").click()
    expect(page.locator("#errors")).to_contain_text("Логин или пароль не подходит")
    expect(page.get_by_label("Логин")).to_have_value("donor")
    page.get_by_label("Пароль").fill(PASSWORD)
    page.get_by_role("button", name="Войти").click()
    expect(page).to_have_title(re.compile("^Главная"))


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nobody_is_kept_out(world: World, browser_page: BrowserPage, width: int) -> None:
    page = browser_page(width=width)
    page.goto("/sign-in")
    assert violations(page) == []
    assert sticking_out(page) == []
    page = browser_page(world.donor, width=width)
    page.goto("/")
    expect(page).to_have_title(re.compile("^Главная"))
    assert violations(page) == []
    assert sticking_out(page) == []
