"""From a file to the board: the table a librarian has, what follows from it, and what others then see."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.demo import People
from tests.browser.hands import bring, go_to, told, wait_until_read
from tests.intake_world import workbook

TITLE = "Математика. Геометрия"
TABLE = workbook(
    [
        ["Что нашлось в шкафу кабинета математики"],
        ["Учебник", "Класс", "Год", "Экз."],
        ["Атанасян Л.С., Бутузов В.Ф. Геометрия. 7-9 классы", "7-9", 2023, 70],
    ]
)


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_from_the_file_to_the_board(people: People, tmp_path: Path, javascript: bool) -> None:
    page = people.open("kra", javascript=javascript)
    bring(page, tmp_path / "кабинет.xlsx", TABLE)
    wait_until_read(page, javascript=javascript)
    page.get_by_role("link", name="Что изменится на полке").click()
    expect(page.locator("table.grid tbody tr").filter(has_text=TITLE)).to_contain_text("70")
    page.get_by_role("button", name="Записать на полку").click()
    told(page, "Файл записан на полку")

    go_to(page, "Обеспеченность")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Обеспеченность")
    page.get_by_role("link", name="Что запросить и что предложить").click()
    proposal = page.locator("tr[id^=proposal-give-]").filter(has_text=TITLE)
    expect(proposal).to_contain_text("Похоже, можно отдать")
    spare = re.search(r"можно отдать (\d+)", proposal.inner_text())
    assert spare
    assert 0 < int(spare[1]) < 70
    proposal.get_by_role("button", name="Предложить").click()
    told(page, "Сделано: 1 предложение.")

    neighbour = people.open("gru", javascript=javascript)
    neighbour.goto("/board")
    neighbour.get_by_label("Найти").fill("геометрия атанасян")
    neighbour.locator("form.filters").get_by_role("button").first.click()
    row = neighbour.locator("main").get_by_text("Красненская").first
    expect(row).to_be_visible()
