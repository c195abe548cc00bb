"""The methodist loads the real workbook of the federal list."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.demo import People
from tests.browser.hands import go_to
from tests.house.source import ROOT

SHARED = Path(os.environ.get("EXCHANGE_SHARED", ROOT.parent / "shared"))
WORKBOOK = SHARED / "fpu" / "order_858_edition_119.xlsx"
READING = 90_000
"""Milliseconds that reading or writing two thousand rows may take on a busy machine."""


@pytest.mark.skipif(not WORKBOOK.exists(), reason=f"there is no {WORKBOOK}: EXCHANGE_SHARED names its folder")
def test_the_real_workbook_is_checked_loaded_and_changes_nothing_twice(people: People) -> None:
    page = people.open("metod")
    page.goto("/")
    go_to(page, "Каталог")
    in_all = found(page)
    upload(page)
    expect(page.get_by_text("Пока ничего не изменено.")).to_be_visible(timeout=READING)
    assert tally(page, "новых") > 1000
    go_to(page, "Каталог")
    assert found(page) == in_all, "a check changes nothing"
    page.go_back()
    page.get_by_role("button", name="Загрузить", exact=True).click()
    expect(page.get_by_text("Перечень загружен.")).to_be_visible(timeout=READING)
    page.get_by_role("link", name="Открыть каталог").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Каталог учебников")
    assert found(page) > in_all + 1000

    upload(page)
    expect(page.get_by_text("Загрузка ничего не изменит")).to_be_visible(timeout=READING)
    assert (tally(page, "новых"), tally(page, "изменённых"), tally(page, "выбывших")) == (0, 0, 0)


def upload(page: Page) -> None:
    go_to(page, "Федеральный перечень")
    page.get_by_role("link", name="Загрузить перечень").click()
    page.get_by_label("Файл").set_input_files(WORKBOOK)
    page.get_by_label("Номер приказа").fill("858")
    page.get_by_label("Редакция").fill("119")
    page.get_by_label("Действует с").fill("01.09.2023")
    page.get_by_role("button", name="Проверить файл").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Проверка файла")


def tally(page: Page, word: str) -> int:
    figure = page.locator(".tallies li").filter(has_text=word).locator(".figure")
    return int("".join(filter(str.isdigit, figure.inner_text())))


def found(page: Page) -> int:
    """Return how many books the catalogue has in all."""
    return int("".join(filter(str.isdigit, page.locator("#list [role=status]").inner_text())))
