"""A loan comes home: later, in parts, and with a book that was lost and replaced."""

from __future__ import annotations

from playwright.sync_api import expect

from exchange.reserve import services as reserve
from exchange.web.unit import Portal
from tests.browser import demo
from tests.browser.demo import People
from tests.browser.hands import go_to, history, told, waiting_for, waiting_row

BOOK = "Физика"
"""The demo's loan that should have come back in June: six copies lent to a village school."""
GIVER, TAKER = "Балахтинская № 2", "Красненская"


def test_a_loan_is_prolonged_returned_in_parts_and_replaced(district: Portal, people: People) -> None:
    giver, taker = people.open("bal2"), people.open("kra")
    giver.goto("/")
    taker.goto("/")
    row = waiting_row(taker, BOOK)
    expect(row).to_contain_text("просрочена")
    expect(row).to_contain_text("возврат запишет отдавшая сторона")
    owed = waiting_for(taker)

    go_to(giver, "Передачи")
    giver.get_by_label("С кем").select_option(TAKER)
    loan = giver.locator("main tbody tr").filter(has_text=BOOK).filter(has_text=f"{GIVER} → {TAKER}")
    expect(loan).to_have_count(1)
    loan.get_by_role("link").first.click()

    giver.get_by_text("Продлить срок возврата…").click()
    giver.get_by_label("Новый срок возврата").fill("01.01.2026")
    giver.get_by_role("button", name="Продлить срок возврата").click()
    expect(giver.locator("#errors")).to_be_visible()
    expect(giver.get_by_label("Новый срок возврата")).to_have_value("01.01.2026")
    giver.get_by_label("Новый срок возврата").fill("25.05.2027")
    giver.get_by_role("button", name="Продлить срок возврата").click()
    told(giver, "Срок возврата продлён.")
    expect(giver.locator(".page-head")).to_contain_text("вернуть до 25.05.2027")
    expect(giver.locator(".page-head")).not_to_contain_text("просрочена")
    taker.reload()
    assert waiting_for(taker) == owed - 1

    back = giver.get_by_role("textbox", name=f"Вернулось: {BOOK}")
    expect(back).to_have_value("6")
    back.fill("7")
    giver.get_by_role("button", name="Записать возврат").click()
    expect(giver.locator("#errors")).to_be_visible()
    expect(back).to_have_value("7")
    back.fill("2")
    giver.get_by_role("button", name="Записать возврат").click()
    told(giver, "Возврат записан.")
    expect(giver.locator(".page-head")).to_contain_text("на руках у получателя")
    expect(back).to_have_value("4")

    giver.get_by_text("Записать замену утраченных…").click()
    giver.get_by_role("textbox", name=f"Заменено: {BOOK}").fill("1")
    giver.get_by_role("button", name="Записать замену утраченных").click()
    told(giver, "Замена записана.")
    expect(back).to_have_value("3")
    giver.get_by_role("button", name="Записать возврат").click()
    told(giver, "Возврат записан.")
    expect(giver.locator(".page-head")).to_contain_text("возвращена")
    expect(giver.get_by_role("button", name="Записать возврат")).to_have_count(0)
    for event in ("25.05.2027", "2 экз.", "1 экз.", "3 экз."):
        assert event in history(giver)

    go_to(taker, "Полка")
    taker.get_by_label("Найти на полке").fill("физика перышкин и.м.")
    taker.locator("form.filters").get_by_role("button", name="Показать").click()
    expect(taker.locator("#list")).not_to_contain_text("чужих")
    assert demo.asked(district, reserve.audit) == []
