"""A shelf counted with the thumb: from the campaign to the printed write-off act."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from exchange.ledger import services as ledger
from exchange.web.unit import Portal
from tests.browser import demo
from tests.browser.conftest import NARROW, sticking_out, violations
from tests.browser.demo import People
from tests.browser.hands import told

THUMB = 44
"""Pixels that a thumb hits (WCAG 2.5.5)."""


def open_campaign(people: People) -> Page:
    methodist = people.open("metod")
    methodist.goto("/counting")
    methodist.get_by_text("Закончить кампанию…").click()
    methodist.get_by_role("button", name="Закончить кампанию").click()
    told(methodist, "Кампания закончена")
    methodist.get_by_role("link", name="Открыть кампанию").click()
    methodist.get_by_role("button", name="Открыть кампанию").click()
    told(methodist, "Кампания открыта")
    return methodist


def begin(page: Page) -> None:
    page.goto("/counting")
    page.get_by_role("button", name=re.compile("^Начать пересчёт")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Пересчёт")


def key(card: Locator, name: str) -> Locator:
    return card.get_by_role("button", name=re.compile(f"^{name}"))


def number(card: Locator) -> Locator:
    return card.get_by_role("textbox")


def state(card: Locator) -> Locator:
    return card.locator(".state")


def booked(card: Locator) -> int:
    return int(re.search(r"по учёту (\d+)", state(card).inner_text())[1])


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no script"])
def test_from_the_campaign_to_the_act(district: Portal, people: People, javascript: bool) -> None:
    methodist = open_campaign(people)
    page = people.open("kra", javascript=javascript, width=NARROW)
    begin(page)
    page.get_by_role("link", name=re.compile("^Биология")).click()
    cards = page.locator("form.count")
    first, second, third = (page.locator(f"#{cards.nth(i).get_attribute('id')}") for i in range(3))
    expect(page.locator("#progress")).to_contain_text("Посчитано 0 из")

    # As in the books; one fewer; two more.
    key(first, "Как по учёту").click()
    expect(state(first)).to_contain_text("✓ как по учёту")
    there = booked(second)
    key(second, "Как по учёту").click()
    expect(state(second)).to_contain_text("✓ как по учёту")
    key(second, "Минус один").click()
    expect(state(second)).to_contain_text("не хватает 1")
    expect(number(second)).to_have_value(str(there - 1))
    number(third).fill(str(booked(third) + 1))
    key(third, "Плюс один").click()
    expect(state(third)).to_contain_text("лишних 2")
    expect(page.locator("#progress")).to_contain_text("Посчитано 3 из")
    expect(page.locator("#progress")).to_contain_text("2 расхождения")
    page.reload()
    expect(number(second)).to_have_value(str(there - 1))
    assert sticking_out(page) == []

    page.locator("#progress").get_by_role("link").click()
    page.get_by_role("radio", name=re.compile("^утрата")).first.check()
    if not javascript:
        page.get_by_role("button", name="Записать решения").click()
    expect(page.locator("#confirm-title + ul")).to_contain_text("уйдёт 1 экземпляр")
    expect(page.locator("#confirm-title + ul")).to_contain_text("Не посчитано")
    page.get_by_text("Подтвердить пересчёт…").click()
    page.get_by_role("button", name="Подтвердить пересчёт").click()
    told(page, "Недостачи – в черновике акта")
    page.get_by_role("link", name="Открыть акт").click()

    expect(page.locator("#lines")).to_contain_text("1 экземпляр")
    assert sticking_out(page) == []
    page.get_by_label("Номер акта").fill("7")
    page.get_by_label("Комиссия").fill("Петрова П. П., завуч\nСидорова С. С.")
    page.get_by_text("Провести акт…").click()
    page.get_by_role("button", name="Провести акт").click()
    told(page, "Акт проведён")
    page.get_by_role("link", name="Печать акта").click()
    paper = page.locator("article.paper").first
    for words in ("УТВЕРЖДАЮ", "Акт № 7", "Петрова П. П., завуч", "утрата"):
        expect(paper).to_contain_text(words)
    assert demo.asked(district, ledger.verify) == []

    methodist.goto("/counting")
    row = methodist.locator("tbody tr").filter(has_text="Красненская")
    expect(row).to_contain_text("подтверждено")
    expect(methodist.locator("svg.chart")).to_be_visible()


def test_the_thumb_is_faster_than_the_line(people: People) -> None:
    """Twelve taps while every answer takes a second: twelve are counted, none is lost or counted twice."""
    open_campaign(people)
    page = people.open("kra", width=NARROW)
    begin(page)
    page.get_by_role("link", name="Вся полка списком").click()
    name = page.locator("form.count").first.get_attribute("id")
    card = page.locator(f"#{name}")
    for button in card.get_by_role("button").all()[1:]:
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= THUMB
    sent: list[str] = []

    def slowly(route: Route) -> None:
        sent.append(route.request.post_data or "")
        time.sleep(0.7)
        route.continue_()

    page.route("**/books/*", slowly)
    for tap in range(12):
        key(card, "Плюс один").click()
        if tap in (3, 7):
            page.wait_for_timeout(900)
    expect(card).not_to_have_class(re.compile("sending"))
    expect(number(card)).to_have_value("12")
    assert "записано: 12" in card.inner_text()
    # One request at a time, each of a whole number: fewer than taps.
    assert 1 <= len(sent) < 12
    page.unroute("**/books/*")
    page.reload()
    expect(number(card)).to_have_value("12")


def test_an_answer_that_was_lost_is_asked_for_again(people: People) -> None:
    """The line breaks after the server has written: the same number goes again and is not counted twice."""
    open_campaign(people)
    page = people.open("kra", width=NARROW)
    begin(page)
    page.get_by_role("link", name="Вся полка списком").click()
    name = page.locator("form.count").first.get_attribute("id")
    card = page.locator(f"#{name}")
    lost: list[str] = []

    def lose_the_first(route: Route) -> None:
        answer = route.fetch()
        if lost:
            route.fulfill(response=answer)
        else:
            lost.append(answer.text())
            route.abort("aborted")

    page.route("**/books/*", lose_the_first)
    key(card, "Плюс один").click()
    page.wait_for_timeout(900)
    assert "записано: 1" in lost[0]
    key(card, "Плюс один").click()
    expect(card.get_by_role("status")).to_have_text("записано: 2", timeout=15_000)
    expect(number(card)).to_have_value("2")


def test_two_people_count_one_shelf(people: People) -> None:
    open_campaign(people)
    page = people.open("kra", width=NARROW)
    begin(page)
    page.get_by_role("link", name="По одной").or_(page.get_by_role("link", name="Вся полка списком")).click()
    other = people.open("kra", width=NARROW)
    other.goto(page.url)
    name = page.locator("form.count").first.get_attribute("id")
    mine, theirs = page.locator(f"#{name}"), other.locator(f"#{name}")
    key(mine, "Как по учёту").click()
    expect(state(mine)).to_contain_text("✓ как по учёту")
    key(theirs, "Плюс один").click()
    expect(theirs.get_by_role("alert")).to_contain_text("уже другое число")
    expect(number(theirs)).to_have_value(str(booked(mine)))
    key(theirs, "Плюс один").click()
    expect(state(theirs)).to_contain_text("лишних 1")
    # What others have counted comes by itself before long.
    expect(number(mine)).to_have_value(str(booked(mine) + 1), timeout=30_000)
    assert violations(page) == []
