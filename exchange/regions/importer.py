"""Reads a regional provision report: titles with stock, pupils and need, grouped by district and publisher.

Such reports are printed from a pivot table: headings of a district, a school or a publisher stand in rows of
their own, and the figures may stand in other columns than their headings, because hidden columns were dropped
from the rows but not from the header. So the header tells the order of the figures, and the figures
themselves tell where they are: (stock − to be written off) / pupils must give the «К» beside them, whether
that is a ratio or a percentage.

What a heading means is known from the tables of librarians; the district and the school are added here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import BinaryIO

from exchange import sheets
from exchange.catalog.importer import clean, clean_publishers, text_of
from exchange.catalog.rules import fold
from exchange.errors import Invalid
from exchange.intake.importer import (
    NEED,
    PUPILS,
    RATIO,
    SUBJECTS,
    header_at,
    heading_of,
    is_numbering,
    is_publisher,
    texts_of,
)
from exchange.intake.rules import Role
from exchange.regions.rules import Holding, Report, with_grades
from exchange.sheets import Value, number_of

HEADER_WITHIN = 30

NOT_A_REPORT = (
    "В файле «%(file)s» не нашлась таблица обеспеченности: нужны столбцы с названием учебника, наличием "
    "и числом учащихся."
)

_PLACES = (
    ("district", re.compile(r"район|муниципал|территори|округ|\bм[ор]\b")),
    ("school", re.compile(r"образовательн\w+ (?:организац|учрежден)|общеобраз|школ|\bо[оу]\b|учрежден")),
)
"""What names a holder; asked only of headings that are no figures: «Наличие в школьной библиотеке»."""
_ROLES = {
    Role.TITLE: "title",
    Role.AUTHORS: "authors",
    Role.SUBJECT: "subject",
    Role.GRADES: "grades",
    Role.PUBLISHER: "publisher",
    Role.COPIES: "stock",
    Role.WORN: "to_write_off",
    PUPILS: "pupils",
    RATIO: "ratio",
    NEED: "need",
}
_FIGURES = ("stock", "pupils", "to_write_off", "ratio", "need")
_TOTAL = re.compile(
    r"^(?:средн\w+|всего|итог\w*|необходимое финанс|с учетом|по (?:району|школе)\b)"
    r"|^общ(?:ий|ее|ая) (?:итог|кол|сум)"
    r"|\bитого?$|\bвсего$"
)
_SCHOOL = re.compile(
    r"\b(?:сош|оош|нош|школа\w*|гимнази\w+|лице\w+|м[бка]?оу|кадетск\w+|интернат\w*|колледж\w*)\b"
)
_DISTRICT = re.compile(r"район|округ\b|^г\.|\bгород\b|\bзато\b|\bм[ор]$|^м[ор]\b")
_REGION = re.compile(r"\b(?:край|область|республика|округ|город|москва|петербург)\b")
_GRADE = re.compile(r"(1[01]|[1-9])(?:\s*[-–]\s*(1[01]|[1-9]))?\s*-?(?:й|е)?\s*класс(?:ы|а)?")
_NOBODY = {"нет", "не указан", "не указано", "-", "–", "false", ""}
_ELECTRONIC = re.compile(r"\s*[-–—]?\s*эфу\b", re.IGNORECASE)
_NOISE = re.compile(r"/?\s*(?:не )?включен\w* в (?:фп|фпу|федеральн\w+ перечень)\b\.?", re.IGNORECASE)


_SUMMARY = re.compile(r"свод|итог|всего")
_CLOSE = 0.0051
"""By how much a «К» of two digits may miss the figures."""


@dataclass(frozen=True)
class _Table:
    """A sheet with a report: its rows, where they begin, the column of each role, the sheet's name."""

    rows: Sequence[sheets.Row]
    first: int
    columns: Mapping[str, int]
    name: str


def read_report(source: BinaryIO, file: str) -> Report:
    """Return what the report says; ``Invalid`` where there is none.

    Several sheets are the districts or schools they are named after; hidden ones and, beside others, the
    summary are left alone.
    """
    tables = []
    for sheet in sheets.read(source, file):
        found = _header(sheet.rows)
        if found is not None and not sheet.hidden:
            tables.append(_Table(sheet.rows, *found, name=sheet.name))
    tables = [table for table in tables if not _SUMMARY.search(fold(table.name))] or tables
    if not tables:
        raise Invalid(NOT_A_REPORT, file=file)
    reports = [_read(table, file=file, several=len(tables) > 1) for table in tables]
    return Report(
        file,
        next((each.day for each in reports if each.day), None),
        next((each.region for each in reports if each.region), ""),
        tuple(holding for each in reports for holding in each.holdings),
        sum(each.headings for each in reports),
        sum(each.totals for each in reports),
        tuple(row for each in reports for row in each.left_aside),
    )


def _text(value: Value) -> str:
    return clean(text_of(value))


def _header(rows: Sequence[sheets.Row]) -> tuple[int, dict[str, int]] | None:
    """Return where the rows below the header begin, and the column of each role."""
    best: tuple[int, dict[str, int]] | None = None
    texts = texts_of(rows[: HEADER_WITHIN + 2])
    for index in range(min(len(texts), HEADER_WITHIN)):
        if sum(1 for text in texts[index][1] if text) < 3:
            continue
        header = header_at(texts, index)
        columns = _columns(header.headings, header.meanings)
        named = "title" in columns or {"authors", "subject"} <= columns.keys()
        complete = named and {"stock", "pupils"} <= columns.keys()
        if complete and (best is None or len(columns) > len(best[1])):
            best = header.last + 1, columns
    return best


def _columns(headings: Sequence[str], meanings: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Return the column of each role: of several the surest word, then the first."""
    sure: dict[str, tuple[int, int]] = {}
    for column, (heading, (meaning, strength)) in enumerate(zip(headings, meanings, strict=True)):
        role = _ROLES.get(meaning, "")
        if role not in _FIGURES:
            folded = fold(heading)
            role = next((name for name, words in _PLACES if words.search(folded)), role)
            if heading_of(heading)[0] in {Role.TITLE, Role.AUTHORS} and re.search(
                "учебник|книг|издани", folded
            ):
                role = _ROLES[Role(heading_of(heading)[0])]
        if role and (role not in sure or strength > sure[role][0]):
            sure[role] = strength, column
    return {role: column for role, (_, column) in sure.items()}


def _read(table: _Table, *, file: str, several: bool) -> Report:
    above = [cell for _, cells in table.rows[: table.first] for cell in cells if cell not in (None, "")]
    body = table.rows[table.first :]
    columns = table.columns
    shift = _shift(body, columns)
    figures = {role: columns[role] + shift for role in _FIGURES if role in columns}
    found: list[Holding] = []
    left_aside: list[int] = []
    headings = totals = 0
    context = dict.fromkeys(("district", "school", "publisher", "subject", "grades"), "")
    _note_title(above, context)
    if several and not {"district", "school"} <= columns.keys():
        context["school" if _SCHOOL.search(fold(table.name)) else "district"] = table.name
    percent = _in_per_cent(body, figures)
    after_heading = False
    for index, (number, cells) in enumerate(body):
        texts = [(column, _text(cell)) for column, cell in enumerate(cells) if _words(cell)]
        numbers = {role: _number(cells, column) for role, column in figures.items()}
        if percent and (ratio := numbers.get("ratio")) is not None:
            numbers["ratio"] = ratio / 100
        names = [
            text
            for column, text in texts
            if column not in figures.values() or (number_of(text) is None and "%" not in text)
        ]
        known = [value for value in numbers.values() if value is not None]
        if is_numbering([text for cell in cells if (text := _text(cell))]):
            headings += 1
        elif any(_TOTAL.search(fold(text).strip(" .:")) for text in names):
            totals += 1
        elif len(names) == 1 and (not known or _is_place(names[0])):
            # A place or a publisher with figures of its own: the heading of a group that sums it up.
            before_heading = index + 1 < len(body) and _is_single_text(body[index + 1][1])
            _note_heading(names[0], context, after_heading, before_heading)
            headings += 1
            after_heading = True
            continue
        elif names and (numbers.get("stock") is not None or numbers.get("pupils") is not None):
            holding = _holding(number, cells, texts, numbers, columns, context)
            if holding is None:
                left_aside.append(number)
            else:
                found.append(holding)
        elif names or known:
            left_aside.append(number)
        after_heading = False
    day, region = _day_and_region(above)
    return Report(file, day, region, with_grades(found), headings, totals, tuple(left_aside))


def _note_title(above: Iterable[Value], context: dict[str, str]) -> None:
    """Take in the district or school a report is about, where a cell above the header is just its name."""
    for cell in above:
        text = _text(cell)
        folded = fold(text)
        if len(text) > 80 or re.search(r"обеспечен|сведен|отчет|информац|состоян|фонд", folded):
            continue
        if _SCHOOL.search(folded):
            context["school"] = text
        elif re.search(r"район\b|муниципальный округ|городской округ", folded):
            context["district"] = text


def _is_place(text: str) -> bool:
    """Say whether a text is the name of a district, a school or a publisher, and not a title."""
    folded = fold(_plain_heading(text))
    if re.search(r"класс|\bкл\b|учебник|част[ьи]|\b[а-я]\. ?[а-я]\.", folded):
        return False
    return (
        is_publisher(_ELECTRONIC.sub("", text))
        or _SCHOOL.search(folded) is not None
        or re.search(r"(?:район|округ|\bм[ор])$|^(?:г\.|город |зато |м[ор] )", folded) is not None
    )


def _plain_heading(text: str) -> str:
    return re.sub(r"^\d+(?:\.\d+)*[.)]\s*", "", text)


def _words(cell: Value) -> bool:
    return isinstance(cell, str) and re.search(r"[^\W\d_]|%", cell) is not None


def _number(cells: Sequence[Value], column: int) -> float | None:
    if not 0 <= column < len(cells):
        return None
    cell = cells[column]
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return float(cell)
    if isinstance(cell, str):
        if (count := number_of(cell)) is not None:
            return float(count)
        text = re.sub(r"[\s%]", "", cell).replace(",", ".")
        return float(text) if re.fullmatch(r"-?\d{1,9}(\.\d{1,6})?", text) else None
    return None


def _follows(figure: Mapping[str, float | None], *, times: int) -> bool:
    """Say whether «К», or its percentage where ``times`` is 100, follows from the figures of a row."""
    stock, pupils, ratio = figure.get("stock"), figure.get("pupils"), figure.get("ratio")
    if stock is None or not pupils or ratio is None:
        return False
    return abs((stock - (figure.get("to_write_off") or 0)) / pupils - ratio / times) <= _CLOSE


def _in_per_cent(body: Sequence[sheets.Row], figures: Mapping[str, int]) -> bool:
    rows = [{role: _number(cells, column) for role, column in figures.items()} for _, cells in body]
    return sum(_follows(row, times=100) for row in rows) > sum(_follows(row, times=1) for row in rows)


def _shift(body: Sequence[sheets.Row], columns: Mapping[str, int]) -> int:
    """Return by how many columns the figures stand beside their headings: where the most rows agree.

    A row agrees when its «К» follows from the figures before it, or, in a report without «К», when both the
    stock and the pupils are there. A report whose «К» is counted some other way stands under its headings.
    """
    whole = {role: columns[role] for role in ("stock", "pupils")}

    def there(shift: int) -> int:
        return sum(
            all((_number(cells, column + shift) or -1) >= 0 for column in whole.values()) for _, cells in body
        )

    def agreeing(shift: int) -> int:
        if "ratio" not in columns:
            return there(shift)
        rows = [
            {role: _number(cells, columns[role] + shift) for role in _FIGURES if role in columns}
            for _, cells in body
        ]
        return max(sum(_follows(row, times=times) for row in rows) for times in (1, 100))

    width = max((len(cells) for _, cells in body), default=0)
    shifts = sorted(range(-max(columns.values()), width), key=abs)
    best = max(shifts, key=lambda shift: (agreeing(shift), -abs(shift)), default=0)
    return best if 2 * agreeing(best) >= there(best) else 0


def _is_single_text(cells: Sequence[Value]) -> bool:
    filled = [cell for cell in cells if cell not in (None, "")]
    return len(filled) == 1 and _words(filled[0])


def _note_heading(text: str, context: dict[str, str], after_heading: bool, before_heading: bool) -> None:
    """Take a heading into account: a district closes the school and the publisher, a school the publisher.

    A heading above another one («Чита», «Дрофа») that nothing else is known of is of a place; the last one,
    right above the titles, is of their publisher.
    """
    text = _plain_heading(text)
    folded = fold(text)
    inner = dict.fromkeys(("publisher", "subject", "grades"), "")
    if folded in _NOBODY:
        # «нет»: the report does not know the district, or the school of the district just named.
        context.update(inner, school="")
        if not after_heading:
            context["district"] = ""
    elif _SCHOOL.search(folded):
        context.update(inner, school=text)
    elif _DISTRICT.search(folded) and not _is_publisher(text):
        context.update(inner, district=text, school="")
    elif folded in SUBJECTS:
        context["subject"] = text
    elif found := _GRADE.fullmatch(folded):
        context["grades"] = "-".join(filter(None, found.groups()))
    elif before_heading and not _is_publisher(text):
        context.update(inner, district=text, school="")
    else:
        context["publisher"] = text


def _is_publisher(text: str) -> bool:
    """Say whether a heading names a publisher the federal list knows under a short name."""
    names = clean_publishers(_ELECTRONIC.sub("", text))
    return bool(names) and fold(names[0]) != fold(_ELECTRONIC.sub("", text))


def _holding(
    number: int,
    cells: Sequence[Value],
    texts: Sequence[tuple[int, str]],
    numbers: Mapping[str, float | None],
    columns: Mapping[str, int],
    context: dict[str, str],
) -> Holding | None:
    """Return a title with its figures; None where a row with columns of its own names no title.

    A flat table may name the district and the school once for the rows below.
    """

    def named(role: str) -> str:
        column = columns.get(role)
        return _text(cells[column]) if column is not None and column < len(cells) and cells[column] else ""

    by_column = dict(texts)
    at = columns.get("title", columns.get("authors", -1))
    # A flat table has the title under its heading; a grouped one has a single text, wherever it stands.
    flat = len(texts) > 1 and at in by_column
    if flat:
        for role in ("district", "school"):
            if told := named(role):
                if role == "district" and _somebody(told) != context["district"]:
                    context["school"] = ""
                context[role] = _somebody(told)
    elif numbers.get("stock") is None or numbers.get("pupils") is None:
        # Nothing but the figures tells a title of a grouped table from a remark.
        return None
    elif len(texts) > 1 and any(
        column in by_column for column in (columns.get("district"), columns.get("school"))
    ):
        return None
    title = by_column[at] if flat else texts[0][1]
    publisher = (named("publisher") if flat else "") or context["publisher"]
    whole = {role: _whole(value) for role, value in numbers.items()}
    return Holding(
        row=number,
        district=context["district"],
        school=context["school"],
        publisher=_ELECTRONIC.sub("", publisher).strip(),
        title=_NOISE.sub("", title).strip(" ./"),
        authors=named("authors") if flat and "title" in columns else "",
        subject=(named("subject") if flat else "") or context["subject"],
        grades=(named("grades") if flat else "") or context["grades"],
        stock=whole["stock"] or 0,
        pupils=whole["pupils"] or 0,
        to_write_off=whole.get("to_write_off") or 0,
        stated_ratio=numbers.get("ratio"),
        stated_need=whole.get("need"),
        electronic=_ELECTRONIC.search(publisher) is not None or _ELECTRONIC.search(title) is not None,
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else max(0, round(value))


def _somebody(text: str) -> str:
    return "" if fold(text) in _NOBODY else text


def _day_and_region(above: Iterable[Value]) -> tuple[date | None, str]:
    """Return the day of the report and the region, from the cells above the header."""
    day: date | None = None
    region = ""
    for cell in above:
        if isinstance(cell, date):
            day = day or cell
            continue
        text = _text(cell)
        if found := re.search(r"\b(\d{1,2}\.\d{1,2}\.\d{4})\b", text):
            day = day or _day(found[1])
        if not region and re.search(
            r"\b(?:край|область|республика|округ|город|москва|петербург)\b", fold(text)
        ):
            region = text
    return day, region


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%d.%m.%Y").date()  # noqa: DTZ007
    except ValueError:
        return None
