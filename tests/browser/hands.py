"""What a person does at the portal, by what they read on it."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from exchange.home.views import NAVIGATION

READING = 30_000
"""Milliseconds that reading a small table may take on a busy machine."""


def go_to(page: Page, title: str) -> None:
    """Follow the links of the header to a page: its section first, where it is not open."""
    sections = page.get_by_role("navigation", name="Разделы")
    pages = page.get_by_role("navigation", name="Страницы раздела")
    link = sections.or_(pages).get_by_role("link", name=re.compile(f"^{title}"))
    if not link.count():
        (section,) = (name for name, links in NAVIGATION if title in {each.title for each in links})
        sections.get_by_role("link", name=section).click()
        expect(pages).to_be_visible()
    link.first.click()


def find_book(page: Page, words: str, title: str) -> Locator:
    """Look a book up in the catalogue; return its row."""
    go_to(page, "Каталог")
    page.get_by_label("Автор, название, предмет, класс").fill(words)
    page.get_by_role("button", name="Найти").click()
    expect(page.get_by_role("status").filter(has_text="Найден 1 учебник")).to_be_visible()
    row = page.locator("#list tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(title)
    return row


def waiting_for(page: Page) -> int:
    """Return the number beside «Ждёт меня»; nothing is shown for none."""
    badge = page.locator("#waiting-count")
    return int(badge.inner_text()) if badge.is_visible() else 0


def told(page: Page, words: str) -> None:
    """See a notice above the page."""
    expect(page.locator("#notices")).to_contain_text(words)


def on_shelf(page: Page, title: str, year: int) -> Locator:
    """Look for a book on the person's shelf; return the number of copies of a year."""
    go_to(page, "Полка")
    page.get_by_label("Найти на полке").fill(title)
    page.locator("form.filters").get_by_role("button", name="Показать").click()
    expect(page.locator("tbody.book")).to_have_count(1)
    return page.get_by_role("textbox", name=re.compile(rf"Своих экземпляров: .*, {year}, "))


def waiting_row(page: Page, title: str) -> Locator:
    """Open «Ждёт меня»; return the row about a book."""
    go_to(page, "Ждёт меня")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ждёт меня")
    return page.locator("main tbody tr").filter(has_text=title)


def history(page: Page) -> str:
    """Return the history of the transfer on the page."""
    return page.locator("ol.history").inner_text()


def bring(page: Page, file: Path, content: bytes) -> None:
    """Bring a table of one's own."""
    file.write_bytes(content)
    page.goto("/intake")
    page.get_by_label("Файл с таблицей").set_input_files(file)
    page.get_by_role("button", name="Прочитать").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(file.name)


def wait_until_read(page: Page, *, javascript: bool) -> None:
    """See the table read: the page comes by itself; without JavaScript the person asks for it."""
    ready = page.get_by_role("link", name="Что изменится на полке")
    again = page.get_by_role("link", name="Обновить")
    if not javascript:
        expect(ready.or_(again)).to_be_visible()
        for _try in range(60):
            if ready.is_visible():
                break
            page.wait_for_timeout(300)
            again.click()
    expect(ready).to_be_visible(timeout=READING)
