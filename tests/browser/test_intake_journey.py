"""From the school's own spreadsheet to its shelf, and back again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import sticking_out, violations
from tests.browser.demo import People
from tests.browser.hands import bring, on_shelf, told, wait_until_read
from tests.intake_world import workbook

FUND = workbook(
    [
        ["Учебный фонд школы на 20.11.2026"],
        ["№", "Автор, название", "Класс", "Год изд.", "Кол-во, экз.", "К списанию"],
        [1, "Атанасян Л.С., Бутузов В.Ф. Геометрия. 7-9 классы", "7-9", 2023, "31 шт.", 2],
        [2, "Моро М.И., Волкова С.И. Математика", 1, 2023, 27],
        [3, "Алгебра", 8, 2023, 20],
        [4, "Атлас. География", 7, 2023, 15],
        [5, "Моро М.И. Математика. Комплект", 2, 2023, "много"],
        [None, "Итого", None, None, 93],
    ]
)


def see(page: Page, word: str, rows: int) -> None:
    """See how many rows ended so."""
    outcomes = page.get_by_role("group", name="Строки файла")
    expect(outcomes.get_by_role("link", name=f"{word} {rows}", exact=True)).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_from_the_file_to_the_shelf_and_back(people: People, tmp_path: Path, javascript: bool) -> None:
    page = people.open("che", javascript=javascript)
    bring(page, tmp_path / "наш фонд.xlsx", FUND)
    wait_until_read(page, javascript=javascript)
    see(page, "Распознано", 1)
    see(page, "Подтвердите", 2)
    see(page, "Не учебник", 1)
    see(page, "Ошибка", 1)

    maths = page.locator("table.intake tbody tr").filter(has_text="Моро")
    maths.get_by_role("button", name=re.compile("Комплекты")).click()
    told(page, "Записано")
    algebra = page.locator("table.intake tbody tr").filter(has_text="строка 5")
    expect(algebra).to_contain_text("Какая")
    algebra.get_by_role("button", name=re.compile("Это она")).first.click()
    told(page, "Записано")
    see(page, "Распознано", 3)
    page.get_by_role("group", name="Строки файла").get_by_role("link", name=re.compile("^Ошибка")).click()
    expect(page.get_by_text("«много» – не количество")).to_be_visible()
    page.get_by_label("Сколько экземпляров?").fill("26")
    page.get_by_role("button", name="Записать", exact=True).click()
    see(page, "Распознано", 4)

    page.get_by_role("link", name="Что изменится на полке").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Что изменится на полке")
    expect(page.locator("table.grid tbody tr").filter(has_text="Геометрия")).to_contain_text("31")
    page.get_by_role("button", name="Записать на полку").click()
    told(page, "Файл записан на полку")
    expect(page.get_by_role("link", name="Что запросить и что предложить")).to_be_visible()
    address = page.url
    geometry = on_shelf(page, "Геометрия", 2023)
    expect(geometry).to_have_value("31")

    page.goto(address)
    page.get_by_text("Отменить загрузку…").click()
    page.get_by_role("button", name="Отменить загрузку").click()
    told(page, "Загрузка отменена")


@pytest.mark.parametrize("width", [1280, 360])
def test_the_review_is_sound_to_look_at(people: People, tmp_path: Path, width: int) -> None:
    page = people.open("che", width=width)
    bring(page, tmp_path / "наш фонд.xlsx", FUND)
    wait_until_read(page, javascript=True)
    for show in ("to_confirm", "error", "all"):
        page.goto(page.url.split("?")[0] + f"?show={show}")
        assert violations(page) == []
        assert sticking_out(page) == []
    page.locator("details.columns summary").first.click()
    assert violations(page) == []
    page.get_by_role("link", name="Что изменится на полке").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Что изменится")
    assert violations(page) == []
    assert sticking_out(page) == []
