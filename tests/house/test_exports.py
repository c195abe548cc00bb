"""Every list that can be taken home as a file: the same rows for the same people, safe in Excel."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from html import unescape
from urllib.parse import unquote, urlsplit

import pytest
from openpyxl import load_workbook
from openpyxl.utils.cell import range_boundaries
from openpyxl.worksheet.worksheet import Worksheet
from werkzeug.test import TestResponse

from tests.house.conftest import House
from tests.house.table import ROUTES, SIGNED_IN, Parameters, Route
from tests.house.test_routes import expected

PAGES = [route for route in ROUTES if route.method == "GET" and route.page and not route.public]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
LINK = re.compile(r'href="([^"]*)"')
NOT_IN_SHEET_NAME = re.compile(r"[\[\]:*?/\\]")
NOT_IN_FILE_NAME = re.compile(r'[<>:"/\\|?*]')
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
NUMBER = re.compile(r"-?\d+(,\d+)?")
LISTS = frozenset({
    "approved.index", "approved.show", "catalog.index", "matching.routes", "matching.show",
    "people.directory", "people.events", "people.roads", "people.schools", "postings.board",
    "postings.offers", "postings.requests", "reports.consolidated", "reports.missing", "reports.surplus",
    "reserve.books", "reserve.index", "reserve.report", "reserve.title", "stock.history", "stock.shelf",
    "transfers.index", "transfers.waiting",
})  # fmt: skip
"""Lists that must have files, so that none loses them unseen. Others may have them too."""


def offers_files(page: TestResponse) -> bool:
    """Say whether a page has a link to itself as a workbook."""
    links = [urlsplit(unescape(link)) for link in LINK.findall(page.text)]
    return any(link.path == page.request.path and "format=xlsx" in link.query for link in links)


def has_files(house: House, route: Route) -> bool:
    return any(
        expected(route, who, variant) == "in" and offers_files(house.ask(route, who, parameters))
        for variant, parameters in house.variants(route).items()
        for who in SIGNED_IN
    )


def of_file(parameters: Parameters, format_: str) -> Parameters:
    return {**parameters, "format": format_}


def rows_found(house: House, route: Route, who: str, parameters: Parameters) -> int:
    """Return how many rows the file has when somebody looked for what is not there."""
    answer = house.ask(route, who, {**parameters, "format": "csv", "q": "нетакойкниги"})
    return len(answer.data.decode("utf-8-sig").splitlines()) - 1


def problems_of_sheet(sheet: Worksheet) -> list[str]:
    """Return what would annoy or endanger somebody who opens the sheet."""
    found = []
    first_column, header, last_column, last_row = range_boundaries(sheet.auto_filter.ref)
    if NOT_IN_SHEET_NAME.search(sheet.title) or not 0 < len(sheet.title) <= 31:
        found.append(f"name {sheet.title!r}")
    if sheet.freeze_panes != f"A{header + 1}":
        found.append(f"the header is in row {header}, frozen is {sheet.freeze_panes}")
    if sheet.print_title_rows != f"${header}:${header}":
        found.append(f"repeated when printed: {sheet.print_title_rows}")
    _, top, _, bottom = range_boundaries(sheet.print_area.rpartition("!")[2].replace("$", ""))
    if (top, bottom) != (1, sheet.max_row) or last_row > sheet.max_row:
        found.append(f"printed: {sheet.print_area} of {sheet.max_row} rows")
    if sheet.page_setup.orientation != "landscape" or not sheet.sheet_properties.pageSetUpPr.fitToPage:
        found.append("does not fit the paper")
    if "&P" not in (sheet.oddFooter.right.text or ""):
        found.append("no page numbers")
    for index in range(first_column, last_column + 1):
        heading = sheet.cell(header, index)
        if not heading.value:
            found.append(f"column {heading.column_letter} has no heading")
        if sheet.column_dimensions[heading.column_letter].width < 6:
            found.append(f"column {heading.column_letter} is too narrow")
    for row in sheet.iter_rows():
        for cell in row:
            if cell.data_type in {"f", "e"}:
                found.append(f"{cell.coordinate} is a formula or an error: {cell.value!r}")
            if isinstance(cell.value, str) and re.fullmatch(r"\d\d\.\d\d\.\d{4}|\d{4}-\d\d-\d\d", cell.value):
                found.append(f"{cell.coordinate} is a date as text: {cell.value}")
    return found


def words(page: str) -> str:
    """Return what is read on a page, in one line, with the values of its controls."""
    values = " ".join(re.findall(r'(?:value|title|aria-label)="([^"]*)"', page))
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", f"{page} {values}")).split()).casefold()


def is_seen(row: Sequence[object], page: str) -> bool:
    """Say whether a page shows what a row of its file is about: one of the texts of the row."""
    texts = [" ".join(cell.casefold().split()) for cell in row if isinstance(cell, str) and len(cell) > 2]
    return not texts or any(text in page for text in texts)


def test_no_list_has_lost_its_files(house: House) -> None:
    with_files = {route.endpoint for route in PAGES if has_files(house, route)}
    assert sorted(LISTS - with_files) == []


@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.endpoint)
def test_the_files_of_a_list(house: House, route: Route) -> None:
    found = []
    for variant, parameters in house.variants(route).items():
        for who in SIGNED_IN:
            page = house.ask(route, who, parameters)
            if not offers_files(page):
                # Refused as a page, refused as a file.
                if page.status_code in {403, 404}:
                    answer = house.ask(route, who, of_file(parameters, "xlsx"))
                    if answer.status_code != page.status_code:
                        found.append(f"{who}, {variant}: the page {page.status}, the file {answer.status}")
                continue
            workbook = house.ask(route, who, of_file(parameters, "xlsx"))
            if (workbook.status_code, workbook.mimetype) != (200, XLSX):
                found.append(f"{who}, {variant}: {workbook.status} {workbook.mimetype}")
                continue
            name = unquote(workbook.headers["Content-Disposition"].rpartition("''")[2])
            if NOT_IN_FILE_NAME.search(name) or not name.endswith(".xlsx"):
                found.append(f"{who}, {variant}: file name {name!r}")
            book = load_workbook(io.BytesIO(workbook.data))
            sheet = book.active
            found += [f"{who}, {variant}: {problem}" for problem in problems_of_sheet(sheet)]
            text = house.ask(route, who, of_file(parameters, "csv")).data.decode("utf-8-sig")
            lines = list(csv.reader(io.StringIO(text), delimiter=";"))
            found += [
                f"{who}, {variant}: {cell!r} in the CSV is a formula"
                for line in lines[1:]
                for cell in line
                if cell.startswith(FORMULA_STARTS) and not NUMBER.fullmatch(cell)
            ]
            _, header, _, last_row = range_boundaries(sheet.auto_filter.ref)
            read = words(page.text)
            rows = list(sheet.iter_rows(min_row=header + 1, max_row=last_row, values_only=True))
            # A page shows the beginning of a long list.
            found += [
                f"{who}, {variant}: not on the page: {row}" for row in rows[:20] if not is_seen(row, read)
            ]
            # The total stands under the rows in both.
            if not last_row - header <= len(lines) - 1 <= last_row - header + 1:
                found.append(f"{who}, {variant}: {len(lines) - 1} rows in the CSV, not {last_row - header}")
            if 'name="q"' in page.text and (rest := rows_found(house, route, who, parameters)):
                found.append(f"{who}, {variant}: the search finds nothing, the file has {rest} rows")
            if lines[0] != [str(cell.value) for cell in sheet[header]]:
                found.append(f"{who}, {variant}: other columns in the CSV")
    assert not found, "\n".join(found[:20])


def test_the_comparison_with_the_page_can_fail() -> None:
    page = words("<tr><td>Дающая&nbsp;СОШ</td><td><input value='x' title=\"Физика\"></td></tr>")
    assert is_seen(["Дающая СОШ", 5], page)
    assert is_seen([5, None, "Физика"], page)
    assert not is_seen(["Секрет другой школы", 5], page)
