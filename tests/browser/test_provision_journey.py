"""From the provision to the board: what is missing is asked for, what is spare is offered."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.demo import People
from tests.browser.hands import told

LIBRARIAN = "che"
SCHOOL = "Черёмушкинская"


def number_in(text: str) -> int:
    found = re.search(r"\d+", text)
    assert found
    return int(found[0])


def open_postings(page: Page, section: str) -> int:
    """Return how many of my open surpluses or requests the portal counts."""
    page.goto(f"/{section}?state=open")
    total = page.locator("main .meta").filter(has_text="Всего")
    return number_in(total.inner_text()) if total.count() else 0


@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without scripts"])
def test_all_proposals_are_posted_and_stand_on_the_board(people: People, javascript: bool) -> None:
    page = people.open(LIBRARIAN, javascript=javascript)
    requests, offers = open_postings(page, "requests"), open_postings(page, "offers")
    page.goto("/provision")
    page.get_by_role("link", name="Что запросить и что предложить").click()
    asks = page.locator("tr[id^=proposal-ask-]")
    gives = page.locator("tr[id^=proposal-give-]")
    missing, spare = asks.count(), gives.count()
    assert missing
    assert spare

    # One of them with one tap; another one is put off.
    first = asks.first
    expect(first).to_contain_text("Похоже, не хватает")
    expect(first).to_contain_text("учеников")
    first.get_by_role("button", name="Запросить").click()
    told(page, "Сделано: 1 предложение.")
    expect(asks).to_have_count(missing - 1)
    gives.first.get_by_role("button", name="Не сейчас").click()
    told(page, "Отложено, пока не изменятся полка или контингент.")
    expect(gives).to_have_count(spare - 1)
    expect(page.locator("#list")).to_contain_text("1 предложение отложено")

    # The rest at once.
    page.get_by_role("button", name="Сделать всё").click()
    expect(page.locator("#list")).to_contain_text("Объявления сходятся с полкой и контингентом")
    assert open_postings(page, "requests") == requests + missing
    assert open_postings(page, "offers") >= offers + spare - 1
    page.goto("/board?side=need")
    expect(page.locator("main")).to_contain_text(SCHOOL)
