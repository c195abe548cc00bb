"""A school's list of textbooks: from the class groups to the signed paper, with and without JavaScript."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from exchange.clock import FrozenClock
from exchange.db import unit_of_work
from exchange.schools import services as schools
from exchange.schools.models import User
from exchange.schools.rules import Role
from tests.browser.conftest import BrowserPage, sticking_out, violations
from tests.browser.hands import told
from tests.factories import PASSWORD_HASH, World, make_textbook, put_on_shelf

WIDTH = {True: 1280, False: 360}


def fill(page: Page, grade: int, slot: int, letter: str, pupils: str) -> None:
    page.locator(f"#letter-{grade}-{slot}").fill(letter)
    page.locator(f"#pupils-{grade}-{slot}").fill(pupils)


@pytest.mark.parametrize("javascript", [True, False], ids=["js", "no-js"])
def test_from_class_groups_to_the_signed_list(
    world: World, clock: FrozenClock, browser_page: BrowserPage, javascript: bool
) -> None:
    book = make_textbook("Физика", subject="Физика", grades=(8, 8), authors="Перышкин И.М.")
    other = make_textbook("Физика", subject="Физика", grades=(8, 8), authors="Кабардин О.Ф.")
    biology = make_textbook("Биология", subject="Биология", grades=(8, 8), authors="Пасечник В.В.")
    for each in (book, biology):
        put_on_shelf(world.recipient_school, each, 40, by=world.recipient, clock=clock)
    deputy = browser_page(world.deputy, javascript=javascript, width=WIDTH[javascript])

    deputy.goto("/classes")
    deputy.get_by_text("Взять из таблицы…").click()
    deputy.get_by_label("Или вставьте из Excel").fill("8А\t21\n8Б\t19\n9\t18")
    deputy.get_by_role("button", name="Прочитать").click()
    expect(deputy.locator("#pupils-8-1")).to_have_value("19")
    fill(deputy, 8, 2, "в", "12")
    if javascript:
        expect(deputy.locator("tr[data-grade='8'] [data-total]")).to_have_text("52")
    deputy.get_by_role("button", name="Записать").click()
    told(deputy, "Контингент на 2026/27 записан.")
    deputy.get_by_role("link", name="2027/28").click()
    deputy.get_by_role("link", name="Перевести классы из прошлого года").click()
    expect(deputy.locator("#letter-9-2")).to_have_value("В")
    expect(deputy.locator("#pupils-10-0")).to_have_value("")

    deputy.goto("/approved")
    assert sticking_out(deputy) == []
    deputy.get_by_role("button", name="Принять: Физика, 8").click()
    told(deputy, "В перечень внесён 1 учебник.")
    expect(deputy.locator("#grade-8")).to_be_in_viewport()
    expect(deputy.get_by_role("button", name="Принять: Биология, 8")).to_be_visible()
    deputy.locator("tr.gap").first.get_by_role("link", name="Химия").click()
    expect(deputy.locator("#line")).to_contain_text("Ничего не найдено")
    deputy.get_by_label("Автор, название, предмет").fill("кабардин")
    deputy.get_by_role("button", name="Найти").click()
    deputy.get_by_label("Какие классы").select_option("В")
    deputy.get_by_label("Сколько учеников").fill("13")
    pick = deputy.get_by_role("button", name=re.compile("Выбрать: Физика, Кабардин"))
    pick.click()
    expect(deputy.locator("#errors")).to_contain_text("только 12")
    deputy.get_by_label("Сколько учеников").fill("")
    pick.click()
    told(deputy, "В перечень внесено")
    row = deputy.locator("table.plan-of-books tbody tr").filter(has_text="Перышкин")
    expect(row).to_contain_text("8А, 8Б")
    expect(row).to_contain_text("40")
    deputy.get_by_role("button", name="Проверено").click()
    told(deputy, "передан директору")
    expect(deputy.get_by_role("link", name="Изменить")).to_have_count(0)

    director = browser_page(world.recipient_director, javascript=javascript, width=WIDTH[javascript])
    director.goto("/approved")
    director.get_by_role("button", name="Утвердить").click()
    told(director, "Перечень утверждён.")
    director.get_by_role("link", name="Напечатать").click()
    paper = director.locator("article.paper")
    for words in ("УТВЕРЖДАЮ", "2026/27 учебном году", other.authors, book.authors, "8В"):
        expect(paper).to_contain_text(words)
    director.emulate_media(media="print")
    expect(director.locator("header.site")).to_be_hidden()
    director.emulate_media(media="screen")
    assert sticking_out(director) == []
    if javascript:
        assert violations(director) == []
        deputy.goto("/classes")
        assert violations(deputy) == []


def test_a_list_comes_back_with_its_reason(
    world: World, clock: FrozenClock, browser_page: BrowserPage
) -> None:
    book = make_textbook("Физика", subject="Физика", grades=(8, 8))
    with unit_of_work():
        second: User = schools.make_user(
            district_id=world.district.id,
            login="second-deputy",
            full_name="Второй Завуч",
            password_hash=PASSWORD_HASH,
            role=Role.DEPUTY,
            school_id=world.recipient_school.id,
            clock=clock,
        )
    deputy, other = browser_page(world.deputy), browser_page(second)
    deputy.goto("/approved/add?grade=8&course=Физика")
    deputy.get_by_role("button", name=re.compile(f"Выбрать: {book.title}")).click()
    told(deputy, "В перечень внесено")
    other.goto("/approved")
    deputy.get_by_role("button", name="Проверено").click()
    told(deputy, "передан директору")
    other.get_by_role("button", name="Проверено").click()
    told(other, "Пока страница была открыта, перечень изменили")
    deputy.get_by_text("Вернуть в черновик…").click()
    deputy.get_by_role("button", name="Вернуть в черновик").click()
    expect(deputy.locator("#errors")).to_be_visible()
    deputy.get_by_label("Что нужно изменить").fill("Химия выбрана другая")
    deputy.get_by_role("button", name="Вернуть в черновик").click()
    told(deputy, "Перечень снова черновик")
    deputy.get_by_text("История перечня").click()
    expect(deputy.locator("ol.history")).to_contain_text("Химия выбрана другая")
