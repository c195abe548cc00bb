"""Every list exports what is seen: the same filter, the same visibility, in a workbook ready for work."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator

import openpyxl
import pytest
from flask import url_for
from openpyxl.worksheet.worksheet import Worksheet

from tests.house.conftest import House
from tests.house.table import ROUTES, SIGNED_IN, Parameters, Route
from tests.house.test_routes import expected

PAGES = [route for route in ROUTES if route.method == "GET" and route.page and not route.public]
LISTS = frozenset(
    {
        "approved.index", "approved.show", "catalog.index", "matching.show", "people.directory",
        "people.events", "people.roads", "people.schools", "postings.board", "postings.offers",
        "postings.requests", "reports.consolidated", "reports.missing", "reports.surplus", "reserve.books",
        "reserve.index", "reserve.report", "stock.history", "stock.shelf", "transfers.index",
        "transfers.waiting",
    }
)  # fmt: skip
"""Pages on which people look for a download. Others may have one too: it is checked where there is a link."""
COMPARED = 20
"""Rows of a file that are looked for on the page, which shows a part of a long list."""
NONSENSE = "нетничеготакого"
GRAND_TOTALS = frozenset({"Всего", "Итого"})


def links(text: str) -> list[str]:
    """Return where the page offers itself as a workbook."""
    found = re.findall(r'href="([^"]*[?&;]format=xlsx[^"]*)"', text)
    return list(dict.fromkeys(html.unescape(address) for address in found))


def words(text: str) -> str:
    """Return what is read on a page, in one line, with the values of its controls."""
    values = " ".join(re.findall(r'(?:value|title|aria-label)="([^"]*)"', text))
    bare = re.sub(r"<[^>]*>", " ", f"{text} {values}")
    return " ".join(html.unescape(bare).split()).casefold()


def complaints(sheet: Worksheet) -> list[str]:
    """Return what a reader in Excel would miss."""
    found = []
    if not 0 < len(sheet.title) <= 31 or re.search(r"[\[\]:*?/\\]", sheet.title):
        found.append(f"name of the sheet: {sheet.title!r}")
    if not sheet.freeze_panes or not sheet.auto_filter.ref or not sheet.print_title_rows:
        found.append("no frozen header, filter or repeated header")
        return found
    top = int(sheet.freeze_panes[1:]) - 1
    if sheet.auto_filter.ref.partition(":")[0] != f"A{top}" or sheet.print_title_rows != f"${top}:${top}":
        found.append("filter and repeated header are not those of the frozen header")
    if not sheet.print_area or not sheet.sheet_properties.pageSetUpPr.fitToPage:
        found.append("not set up for print")
    if (sheet.page_setup.orientation, int(sheet.page_setup.paperSize or 0)) != ("landscape", 9):
        found.append("not landscape A4")
    if "&P" not in (sheet.oddFooter.right.text or ""):
        found.append("pages have no numbers")
    header = [cell.value for cell in sheet[top]]
    if None in header or len(set(header)) != len(header):
        found.append(f"columns without a name of their own: {header}")
    for cell in sheet[top]:
        if cell.column_letter not in sheet.column_dimensions:
            found.append(f"no width: {cell.coordinate}")
    for row in sheet.iter_rows():
        for cell in row:
            if cell.data_type == "f":
                found.append(f"a formula: {cell.coordinate}")
            if cell.is_date and "YY" not in cell.number_format:
                found.append(f"a date that looks like a number: {cell.coordinate}")
            if isinstance(cell.value, str) and re.search(r"\d{4}-\d\d-\d\d|None|True|False", cell.value):
                found.append(f"a value of the program: {cell.coordinate} {cell.value!r}")
    return found


def body(sheet: Worksheet) -> list[list[object]]:
    """Return the rows of the table, without heading and signatures."""
    first, last = re.findall(r"\d+", sheet.auto_filter.ref)
    rows = sheet.iter_rows(min_row=int(first) + 1, max_row=int(last), values_only=True)
    return [list(row) for row in rows]


def seen(row: list[object], page: str) -> bool:
    """Say whether the page shows what the row is about: one of its longer texts."""
    texts = [str(cell).casefold() for cell in row if isinstance(cell, str) and len(cell) > 2]
    return not texts or any(" ".join(text.split()) in page for text in texts)


def visits(house: House, route: Route) -> Iterator[tuple[str, Parameters]]:
    """Yield each character who gets in, with the objects of each variant."""
    for variant, parameters in house.variants(route).items():
        for character in SIGNED_IN:
            if expected(route, character, variant) == "in":
                yield character, parameters


def workbook(house: House, character: str, address: str) -> Worksheet:
    answer = house.client(character).get(address)
    assert answer.status_code == 200, (character, address)
    return openpyxl.load_workbook(io.BytesIO(answer.data)).worksheets[0]


@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.id)
def test_every_list_exports_what_is_seen(house: House, route: Route) -> None:
    wrong: list[str] = []
    exported = 0
    for character, parameters in visits(house, route):
        page = house.ask(route, character, parameters).text
        read = words(page)
        for address in links(page):
            exported += 1
            sheet = workbook(house, character, address)
            wrong += [f"{character}, {address}: {complaint}" for complaint in complaints(sheet)]
            wrong += [
                f"{character}, {address}: not on the page: {row}"
                for row in body(sheet)[:COMPARED]
                if not seen(row, read) and not GRAND_TOTALS & set(map(str, row))
            ]
            if 'name="q"' in page:
                joint = "&" if "?" in address else "?"
                nothing = workbook(house, character, f"{address}{joint}q={NONSENSE}")
                if len(body(sheet)) and len(body(nothing)) == len(body(sheet)):
                    wrong.append(f"{character}, {address}: the search does not narrow the file")
    assert not wrong, "\n".join(wrong)
    assert exported or route.endpoint not in LISTS, "no download on this list"


@pytest.mark.parametrize(
    "route", [route for route in PAGES if route.endpoint in LISTS], ids=lambda route: route.id
)
def test_no_file_for_whom_there_is_no_page(house: House, route: Route) -> None:
    for variant, parameters in house.variants(route).items():
        for character in SIGNED_IN:
            if expected(route, character, variant) in {"in", "skip"}:
                continue
            with house.app.test_request_context():
                address = url_for(route.endpoint, **parameters, **{**route.query, "format": "xlsx"})
            answer = house.client(character).get(address)
            assert answer.status_code in {403, 404}, (character, variant)


def test_the_checks_can_fail() -> None:
    """A plain workbook is caught with every fault."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["а", "а"])
    sheet.append(["=1+1", "2026-09-01"])
    assert complaints(sheet) == ["no frozen header, filter or repeated header"]
    sheet.freeze_panes, sheet.auto_filter.ref, sheet.print_title_rows = "A2", "A1:B2", "1:1"
    found = " | ".join(complaints(sheet))
    for fault in ("not set up", "landscape", "numbers", "of their own", "width", "formula", "of the program"):
        assert fault in found
    assert not seen(["Секрет другой школы"], "на странице этого нет")
