"""By keyboard: a way past the menu, a focus one sees, and a focus that no answer takes away."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.demo import People
from tests.browser.hands import go_to, told, waiting_row


def focus_is_kept(page: Page) -> None:
    """See that the focus is on something, and that it is the page's own."""
    page.wait_for_function("() => document.activeElement !== document.body")


def outline_of_focus(page: Page) -> str:
    return str(
        page.evaluate(
            """() => {
        const style = getComputedStyle(document.activeElement);
        return style.outlineStyle === "none" ? "" : style.outlineWidth;
    }"""
        )
    )


@pytest.mark.parametrize("path", ["/", "/catalog", "/waiting", "/transfers"])
def test_the_first_tab_leads_past_the_menu(people: People, path: str) -> None:
    page = people.open("metod")
    page.goto(path)
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="К содержанию")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.closest('main') !== null")


def test_everything_the_tab_key_reaches_shows_its_focus(people: People) -> None:
    page = people.open("kra")
    page.goto("/catalog")
    seen = 0
    for _step in range(40):
        page.keyboard.press("Tab")
        assert outline_of_focus(page) not in ("", "0px"), page.evaluate(
            "() => document.activeElement.outerHTML.slice(0, 200)"
        )
        seen += 1
    assert seen == 40


def test_after_an_answer_the_focus_is_on_the_next_row(people: People) -> None:
    page = people.open("pri")
    page.goto("/provision/proposals")
    rows = page.locator("tr[id^=proposal-ask-]")
    first, second = (str(rows.nth(at).get_attribute("id")) for at in (2, 3))
    page.locator(f"#{first}").get_by_role("button", name="Не сейчас").press("Enter")
    expect(page.locator(f"#{first}")).to_have_count(0)
    expect(page.locator(f"#{second}").get_by_role("button", name="Не сейчас")).to_be_focused()
    expect(page.locator(f"#{second}")).to_be_in_viewport()


def test_searching_keeps_the_focus(people: People) -> None:
    page = people.open("kra")
    page.goto("/")
    go_to(page, "Каталог")
    search = page.get_by_label("Автор, название, предмет, класс")
    search.focus()
    page.keyboard.type("канакина 2 класс", delay=20)
    expect(page.locator("#list tbody tr")).to_have_count(2)
    expect(search).to_be_focused()
    expect(search).to_have_value("канакина 2 класс")
    page.keyboard.press("Tab")
    page.get_by_label("Класс", exact=True).select_option("3")
    expect(page.locator("#list")).to_contain_text("Ничего не нашлось")
    focus_is_kept(page)


def test_a_refused_form_sends_the_focus_to_what_is_wrong(people: People) -> None:
    page = people.open("kra")
    page.goto("/")
    go_to(page, "Фонд")
    page.locator("tbody tr").filter(has_text="Габриелян").get_by_role("link", name="Попросить").click()
    page.get_by_label("Сколько экземпляров").fill("0")
    page.get_by_role("button", name="Попросить").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#errors")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Сколько экземпляров")).to_be_focused()


def test_marking_a_line_of_a_plan_keeps_the_focus(people: People) -> None:
    page = people.open("metod")
    page.goto("/")
    go_to(page, "Подбор")
    page.get_by_role("button", name="Подобрать").click()
    expect(page.get_by_role("heading", level=1, name="План №")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Закрепить").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("закреплено").first).to_be_visible()
    focus_is_kept(page)


def test_a_step_that_is_refused_keeps_the_focus(people: People) -> None:
    page = people.open("metod")
    page.goto("/")
    waiting_row(page, "География").get_by_role("link", name="Решить расхождение").click()
    page.get_by_role("button", name="Решить расхождение").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#errors")).to_be_focused()
    page.get_by_role("textbox", name="Остались у получателя: География").fill("1")
    page.get_by_role("textbox", name="У отдающей стороны: География").fill("2")
    page.get_by_role("textbox", name="Утрачены: География").fill("0")
    page.keyboard.press("Enter")
    told(page, "Решение записано.")
