"""At the shelf: counting by keyboard alone, a surplus and a request in few movements of the hand."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.demo import People
from tests.browser.hands import go_to, told


class Hand:
    """Counts what a person does."""

    def __init__(self) -> None:
        self.movements = 0

    def click(self, target: Locator) -> None:
        self.movements += 1
        target.click()

    def type(self, target: Locator, text: str) -> None:
        self.movements += 1
        target.fill(text)


def focused(page: Page) -> str:
    """Return the id of what has the focus."""
    return str(page.evaluate("() => document.activeElement.id || document.activeElement.tagName"))


def test_counting_needs_no_mouse(people: People) -> None:
    page = people.open("kra")
    page.goto("/")
    go_to(page, "Полка")
    fields = page.locator("[data-count]")
    names = [fields.nth(index).get_attribute("id") for index in range(4)]
    before = [fields.nth(index).input_value() for index in range(4)]
    fields.first.click()
    for index, name in enumerate(names[:3]):
        assert focused(page) == name
        page.keyboard.type(str(int(before[index]) + 1))
        page.keyboard.press("Enter")
        page.wait_for_function("name => document.activeElement.id === name", arg=names[index + 1])
    assert [fields.nth(index).input_value() for index in range(3)] == [str(int(n) + 1) for n in before[:3]]

    page.keyboard.type("много")
    page.keyboard.press("Enter")
    wrong = page.locator(f"[id='{names[3]}']")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(wrong).to_have_value("много")
    expect(wrong).to_be_focused()
    page.reload()
    assert [fields.nth(index).input_value() for index in range(4)] == [
        *(str(int(n) + 1) for n in before[:3]),
        before[3],
    ]


def test_counting_works_with_a_button_too(people: People) -> None:
    page = people.open("kra", javascript=False)
    page.goto("/")
    go_to(page, "Полка")
    field = page.locator("[data-count]").first
    field.fill("9")
    page.locator("tbody.book").first.get_by_role("button", name="Записать").click()
    expect(page.locator("[data-count]").first).to_have_value("9")
    page.locator("tbody.book").first.get_by_role("link", name="Списать").first.click()
    expect(page.locator("main table").last).to_contain_text("Главина Тамара Ильинична")


@pytest.mark.parametrize("start", ["Полка", "Каталог"])
def test_a_surplus_takes_four_movements_at_most(people: People, start: str) -> None:
    page = people.open("bal1")
    page.goto("/")
    go_to(page, start)
    page.get_by_role("searchbox").fill("канакина русский язык 2 класс")
    page.locator("form.filters").get_by_role("button").click()
    row = page.locator("#list tbody").filter(has_text="Канакина").last
    hand = Hand()
    hand.click(row.get_by_role("link", name=re.compile("^Отдать")))
    first = page.locator("form.stacked input.copies").first
    for field in page.locator("form.stacked input.copies").all():
        hand.type(field, "2")
    expect(first).to_have_value("2")
    hand.click(page.get_by_role("button", name="Разместить"))
    told(page, "Излиш")
    assert hand.movements <= 4


def test_a_request_takes_two_movements(people: People) -> None:
    page = people.open("kra")
    page.goto("/")
    go_to(page, "Каталог")
    page.get_by_role("searchbox").fill("ваулина английский 6 класс")
    page.get_by_role("button", name="Найти").click()
    expect(page.locator("#list tbody tr")).to_have_count(1)
    hand = Hand()
    hand.click(page.get_by_role("link", name="Запросить"))
    expect(page.get_by_label("Сколько экземпляров")).not_to_have_value("")
    hand.click(page.get_by_role("button", name="Разместить заявку"))
    told(page, "аявка")
    assert hand.movements <= 2
