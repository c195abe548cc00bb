"""From a surplus in one school to books counted in another, each person at their own browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from exchange.reserve import services as reserve
from exchange.web.unit import Portal
from tests.browser import demo
from tests.browser.demo import People
from tests.browser.hands import find_book, go_to, history, on_shelf, told, waiting_for, waiting_row

BOOK = "Информатика"
AUTHOR = "Босова А.Ю."
WORDS = "7 класс информатика босова базовый"
"""Nobody of the demo district holds this book, so that what becomes of it is known to the copy."""
YEAR = 2022
GIVER, TAKER = "Балахтинская № 1", "Красненская"


@pytest.mark.parametrize("javascript", [True, False], ids=["js", "nojs"])
def test_a_surplus_becomes_books_on_another_shelf(
    district: Portal, people: People, *, javascript: bool
) -> None:
    giver = people.open("bal1", javascript=javascript)
    giver_director = people.open("bal1-dir", javascript=javascript)
    taker = people.open("kra", javascript=javascript)
    methodist = people.open("metod", javascript=javascript)
    for page in (giver, giver_director, taker, methodist):
        page.goto("/")

    count_and_offer(giver, counted=12, offered=10)
    request(taker, copies=8)
    giver_director.reload()
    before = waiting_for(giver_director)
    match_and_publish(methodist, copies=8, seen_before_by=giver_director, javascript=javascript)

    giver_director.reload()
    after = waiting_for(giver_director)
    assert after > before, "the director hears of the proposal"
    row = waiting_row(giver_director, BOOK)
    expect(row).to_contain_text(f"{GIVER} → {TAKER}")
    row.get_by_role("link", name="Согласиться отдать").click()
    expect(giver_director.get_by_text("Просили")).to_be_visible()
    giver_director.get_by_role("textbox", name=f"Отдадим: {BOOK}").fill("6")
    giver_director.get_by_role("button", name="Согласиться отдать").click()
    told(giver_director, "Согласие записано")
    assert waiting_for(giver_director) == after - 1
    expect(about_shelf(giver)).to_contain_text("обещано 6")
    check_request(taker, matched=6, still=2)

    accept(taker)
    approve(methodist)
    pack_and_ship(giver)
    receive_short(taker)
    settle(methodist)

    expect(on_shelf(giver, BOOK, YEAR)).to_have_value("6")
    expect(on_shelf(taker, BOOK, YEAR)).to_have_value("4")
    read_the_history(taker)
    read_the_act(taker)
    assert demo.asked(district, reserve.audit) == []


def count_and_offer(page: Page, *, counted: int, offered: int) -> None:
    find_book(page, WORDS, AUTHOR).get_by_role("link", name="На мою полку").click()
    page.get_by_label("Год издания").fill(str(YEAR))
    page.get_by_label("Экземпляров").fill(str(counted))
    page.get_by_role("button", name="Поставить на полку").click()
    expect(on_shelf(page, BOOK, YEAR)).to_have_value(str(counted))
    page.get_by_role("link", name="Отдать").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Отдать излишек")
    page.get_by_label(f"{YEAR}").fill(str(offered))
    page.get_by_label("насовсем").check()
    page.get_by_role("button", name="Разместить").click()
    told(page, "Излиш")
    go_to(page, "Излишки")
    expect(page.locator("main tbody tr").filter(has_text=BOOK)).to_contain_text(str(offered))


def request(page: Page, *, copies: int) -> None:
    find_book(page, WORDS, AUTHOR).get_by_role("link", name="Запросить").click()
    page.get_by_label("Сколько экземпляров").fill(str(copies))
    page.get_by_role("button", name="Разместить заявку").click()
    told(page, "аявка")
    go_to(page, "Доска")
    page.get_by_label("Найти").fill("босова информатика")
    page.get_by_role("button", name="Показать").click()
    row = page.locator("main tbody tr").filter(has_text=BOOK)
    expect(row).to_have_count(1)
    expect(row).to_contain_text(GIVER)
    expect(row).to_contain_text("10 экз.")
    expect(row).to_contain_text(f"{TAKER} (вы)")


def match_and_publish(page: Page, *, copies: int, seen_before_by: Page, javascript: bool) -> None:
    before = waiting_for(seen_before_by)
    go_to(page, "Подбор")
    page.get_by_role("button", name="Подобрать").click()
    wait_for_the_plan(page, javascript=javascript)
    expect(page.get_by_role("heading", level=1)).to_contain_text("План №")
    trip = page.locator("tbody").filter(has_text=f"{GIVER} → {TAKER}")
    line = trip.get_by_role("row").filter(has_text=BOOK)
    expect(line.get_by_role("cell", name=str(copies), exact=True)).to_be_visible()
    seen_before_by.reload()
    assert waiting_for(seen_before_by) == before, "a draft is nobody's business but the methodist's"
    page.get_by_role("button", name="Опубликовать").click()
    expect(page.get_by_text("опубликован").first).to_be_visible()


def wait_for_the_plan(page: Page, *, javascript: bool) -> None:
    """The page itself goes on to the plan; without JavaScript one asks whether it is ready."""
    plan = page.get_by_role("heading", level=1, name="План №")
    if javascript:
        expect(plan).to_be_visible(timeout=30_000)
        return
    for _attempt in range(60):
        if plan.is_visible():
            return
        page.get_by_role("link", name="Проверить, готово ли").click()
        page.wait_for_timeout(300)
    raise AssertionError("the plan is not ready after many attempts")


def about_shelf(page: Page) -> Locator:
    """Return what the shelf says of the book."""
    on_shelf(page, BOOK, YEAR)
    return page.locator("tbody.book")


def check_request(page: Page, *, matched: int, still: int) -> None:
    go_to(page, "Заявки")
    row = page.locator("main tbody tr").filter(has_text=BOOK)
    expect(row.get_by_role("cell").nth(2)).to_have_text(str(matched))
    expect(row.get_by_role("cell").nth(3)).to_have_text(str(still))


def accept(page: Page) -> None:
    row = waiting_row(page, BOOK)
    before = waiting_for(page)
    row.get_by_role("button", name="Согласиться принять").click()
    told(page, "Согласие записано. Теперь передачу утвердит методист.")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ждёт меня")
    assert waiting_for(page) == before - 1


def approve(page: Page) -> None:
    row = waiting_row(page, BOOK)
    before = waiting_for(page)
    row.get_by_role("link", name=f"{GIVER} → {TAKER}").click()
    page.get_by_role("button", name="Утвердить").click()
    told(page, "Передача утверждена, номер акта присвоен.")
    assert waiting_for(page) == before - 1
    expect(page.get_by_role("link", name="Акт №")).to_be_visible()


def pack_and_ship(page: Page) -> None:
    row = waiting_row(page, BOOK)
    before = waiting_for(page)
    row.get_by_role("link", name="Книги собраны").click()
    expect(page.get_by_role("textbox", name=f"Собрано: {BOOK}")).to_have_value("6")
    page.get_by_role("button", name="Книги собраны").click()
    told(page, "Записано: книги собраны.")
    assert waiting_for(page) == before, "packed books wait to be sent by the same person"
    page.get_by_role("button", name="Отправить").click()
    told(page, "книги в пути")
    assert waiting_for(page) == before - 1
    expect(on_shelf(page, BOOK, YEAR)).to_have_value("6")


def receive_short(page: Page) -> None:
    row = waiting_row(page, BOOK)
    before = waiting_for(page)
    row.get_by_role("link", name="Принять книги").click()
    expect(page.get_by_role("textbox", name=f"Исправных: {BOOK}")).to_have_value("6")
    page.get_by_role("textbox", name=f"Повреждённых: {BOOK}").fill("1")
    page.get_by_role("textbox", name=f"Не хватает: {BOOK}").fill("2")
    page.get_by_role("button", name="Принять книги").click()
    expect(page.locator("#errors")).to_be_visible()
    expect(page.get_by_role("textbox", name=f"Не хватает: {BOOK}")).to_have_value("2")
    page.get_by_role("textbox", name=f"Исправных: {BOOK}").fill("3")
    page.get_by_label("Примечание").fill("Одна пачка подмокла")
    page.get_by_role("button", name="Принять книги").click()
    told(page, "Приём записан.")
    expect(page.locator(".page-head")).to_contain_text("расхождение")
    assert waiting_for(page) == before - 1


def settle(page: Page) -> None:
    row = waiting_row(page, BOOK)
    before = waiting_for(page)
    row.get_by_role("link", name="Решить расхождение").click()
    expect(page.get_by_text("Одна пачка подмокла")).to_be_visible()
    page.get_by_role("textbox", name=f"Остались у получателя: {BOOK}").fill("1")
    page.get_by_role("textbox", name=f"У отдающей стороны: {BOOK}").fill("0")
    page.get_by_role("textbox", name=f"Утрачены: {BOOK}").fill("2")
    page.get_by_role("combobox", name=f"Кто отвечает: {BOOK}").select_option("принимающая сторона")
    page.get_by_role("button", name="Решить расхождение").click()
    told(page, "Решение записано.")
    expect(page.locator(".page-head")).to_contain_text("завершена")
    assert waiting_for(page) == before - 1


def read_the_history(page: Page) -> None:
    go_to(page, "Передачи")
    page.locator("main tbody tr").filter(has_text=BOOK).get_by_role("link").first.click()
    text = history(page)
    for event in (
        f"Передача предложена: {GIVER} → {TAKER}, 8 экз.",
        "Томов Игорь Сергеевич\nОтдающая сторона согласна: 6 экз. из 8",
        "Главина Тамара Ильинична\nПринимающая сторона согласна",
        "Учебникова Людмила Сергеевна\nУтверждена, акт №",
        "Листова Вера Павловна\nКниги собраны: 6 экз.",
        "Отправлено 6 экз.",
        "Принято: исправных 3, повреждённых 1, не хватает 2",
    ):
        assert event in text
    cells = page.locator("main table").last.locator("tbody tr").first
    expect(cells).to_contain_text("Утрату несёт: принимающая сторона")


def read_the_act(page: Page) -> None:
    page.get_by_role("link", name="Акт №").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Акт приёма-передачи №")
    act = page.locator("article.paper").first
    expect(act).to_contain_text("МБОУ «Балахтинская СОШ № 1»")
    expect(act).to_contain_text("МБОУ «Красненская ООШ»")
    expect(act.get_by_role("row", name="Итого")).to_contain_text("6")
    page.go_back()
    page.get_by_role("link", name="Акт о расхождениях").click()
    expect(page.locator("article.paper")).to_contain_text("утрачено 2; утрату несёт: принимающая сторона")
