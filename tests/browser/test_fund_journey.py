"""A school draws from the reserve fund, and the fund's floor holds until somebody signs for it."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from exchange.reserve import services as reserve
from exchange.web.unit import Portal
from tests.browser import demo
from tests.browser.demo import People
from tests.browser.hands import go_to, told, waiting_for, waiting_row

SCHOOL = "Красненская"


def test_a_school_draws_from_the_fund(district: Portal, people: People) -> None:
    school, methodist = people.open("kra"), people.open("metod")
    school.goto("/")
    methodist.goto("/")
    before = waiting_for(methodist)
    go_to(school, "Фонд")
    row = school.locator("tbody tr").filter(has_text="Габриелян")
    spare = free_copies(row)
    row.get_by_role("link", name="Попросить").click()
    expect(school.get_by_role("heading", level=1)).to_contain_text("ОРФ")
    school.get_by_label("Сколько экземпляров").fill(str(spare + 1))
    school.get_by_role("button", name="Попросить").click()
    expect(school.locator("#errors")).to_be_visible()
    school.get_by_label("Сколько экземпляров").fill("3")
    school.get_by_label("насовсем").check()
    school.get_by_role("button", name="Попросить").click()
    told(school, "Просьба отправлена.")

    methodist.reload()
    assert waiting_for(methodist) == before + 1
    waiting_row(methodist, "Химия").get_by_role("link", name="Согласиться отдать").click()
    methodist.get_by_role("button", name="Согласиться отдать").click()
    told(methodist, "Согласие записано.")
    waiting_row(school, "Химия").get_by_role("button", name="Согласиться принять").click()
    told(school, "Согласие записано.")
    row = waiting_row(methodist, "Химия")
    row.get_by_role("link", name=f"ОРФ → {SCHOOL}").click()
    methodist.get_by_role("button", name="Утвердить").click()
    methodist.get_by_role("button", name="Книги собраны").click()
    methodist.get_by_role("button", name="Отправить").click()
    told(methodist, "книги в пути")
    assert waiting_for(methodist) == before

    waiting_row(school, "Химия").get_by_role("link", name="Принять книги").click()
    school.get_by_role("button", name="Принять книги").click()
    told(school, "Приём записан.")
    expect(school.locator(".page-head")).to_contain_text("завершена")
    go_to(methodist, "Фонд")
    row = methodist.locator("tbody tr").filter(has_text="Габриелян")
    row.get_by_role("link", name="Химия").click()
    free = methodist.locator("dl.figures div").filter(has_text="Свободно").locator("dd")
    expect(free).to_have_text(str(spare - 3))
    expect(methodist.locator("main table").last).to_contain_text(SCHOOL)
    go_to(school, "Полка")
    school.get_by_label("Найти на полке").fill("химия габриелян 8")
    school.locator("form.filters").get_by_role("button", name="Показать").click()
    given = school.locator("tbody.book tr").filter(has_text="2023").get_by_role("textbox")
    expect(given.first).not_to_have_value("0")
    assert demo.asked(district, reserve.audit) == []


def free_copies(row: Locator) -> int:
    """Return how many copies the fund's list calls free."""
    found = re.search(r"2023: (\d+) экз\.", row.inner_text())
    assert found, row.inner_text()
    return int(found[1])


def test_the_floor_holds_until_somebody_signs_for_it(district: Portal, people: People) -> None:
    """Twenty-five copies of each part, a floor of five: the twenty-first needs a reason in words."""
    methodist = people.open("metod")
    methodist.goto("/")
    go_to(methodist, "Фонд")
    row = methodist.locator("tbody tr").filter(has_text="Виленкин")
    row.get_by_role("link", name="Математика").click()
    methodist.get_by_role("link", name="Выдать школе").click()
    methodist.get_by_label("Кому").select_option(SCHOOL)
    methodist.get_by_label("2023, ч. 1").fill("21")
    methodist.get_by_role("button", name="Предложить и обещать").click()
    expect(methodist.locator("#errors")).to_contain_text("остат")
    expect(methodist.get_by_label("2023, ч. 1")).to_have_value("21")
    expect(methodist.get_by_label("Кому").locator("option:checked")).to_have_text(SCHOOL)
    methodist.get_by_label("Почему можно нарушить неснижаемый остаток").fill(
        "Сгорел шкаф, новые придут в мае"
    )
    methodist.get_by_role("button", name="Предложить и обещать").click()
    told(methodist, f"предложена: {SCHOOL}, 21 экз.")
    expect(methodist.locator("main")).to_contain_text("Сгорел шкаф, новые придут в мае")
    assert demo.asked(district, reserve.audit) == []
