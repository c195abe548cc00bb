"""Reads a regional provision report: titles with stock, pupils and need, grouped by district and publisher.

Such reports are printed from a pivot table: headings of a district, a school or a publisher stand in rows of
their own, and the figures may stand in other columns than their headings, because hidden columns were dropped
from the rows but not from the header. So the header tells the order of the figures, and the figures
themselves tell where they are: (stock − to be written off) / pupils must give the «К» beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import BinaryIO

from exchange import sheets
from exchange.catalog.importer import clean, clean_publishers, text_of
from exchange.catalog.rules import fold
from exchange.errors import Invalid
from exchange.regions.rules import Holding, Report, with_grades
from exchange.sheets import Value

HEADER_WITHIN = 30

NOT_A_REPORT = (
    "В файле «%(file)s» не нашлась таблица обеспеченности: нужны столбцы с названием учебника, наличием "
    "и числом учащихся."
)

_ROLES = (
    ("district", re.compile(r"^(?:район|муниципалитет|муниципальн\w+ (?:район|образован)|округ)")),
    ("school", re.compile(r"образовательн\w+ (?:организац|учрежден)|^школа|^оу\b|^оо\b")),
    ("publisher", re.compile(r"издательств")),
    (
        "title",
        re.compile(r"(?:назван|наименован)\w* (?:учебник|издан|книг)|^учебник$|^(?:назван|наименован)\w*$"),
    ),
    ("authors", re.compile(r"автор")),
    ("subject", re.compile(r"предмет")),
    ("grades", re.compile(r"^класс")),
    ("to_write_off", re.compile(r"списан")),
    ("ratio", re.compile(r"коэффициент|^к$|\(к\)")),
    ("need", re.compile(r"потребност|необходимо учебник|недоста")),
    ("pupils", re.compile(r"уча?щи\w*ся|ученик|обучающ|контингент")),
    ("money", re.compile(r"сумм|финанс|стоимост|цена")),
    ("stock", re.compile(r"налич|имеется|фонд|состоит")),
)
"""What a heading is about, the first that fits: «Цена» before «Наличие учебников», «учащихся» after both."""
_FIGURES = ("stock", "pupils", "to_write_off", "ratio", "need")
_TOTAL = re.compile(r"^(?:средний|всего|итого|необходимое финанс|с учетом)")
_SCHOOL = re.compile(
    r"\b(?:сош|оош|нош|школа\w*|гимнази\w+|лице\w+|м[бка]?оу|кадетск\w+|интернат\w*|колледж\w*)\b"
)
_DISTRICT = re.compile(r"район|округ|^г\.|\bгород\b|\bзато\b")
_REGION = re.compile(r"\b(?:край|область|республика|округ|город|москва|петербург)\b")
_NOBODY = {"нет", "не указан", "не указано", "-", "–", "false", ""}
_ELECTRONIC = re.compile(r"\s*[-–—]?\s*эфу\b", re.IGNORECASE)
_NOISE = re.compile(r"/?\s*(?:не )?включен\w* в (?:фп|фпу|федеральн\w+ перечень)\b\.?", re.IGNORECASE)


def read_report(source: BinaryIO, file: str) -> Report:
    """Return what the report says, from the first sheet that holds one; ``Invalid`` where there is none."""
    for sheet in sheets.read(source, file):
        header = _header(sheet.rows)
        if header is not None:
            return _read(sheet.rows, *header, file=file)
    raise Invalid(NOT_A_REPORT, file=file)


def _text(value: Value) -> str:
    return clean(text_of(value))


def _header(rows: Sequence[sheets.Row]) -> tuple[int, dict[str, int]] | None:
    """Return where the header stands among the rows, and the column of each role."""
    best: tuple[int, dict[str, int]] | None = None
    for index, (_, cells) in enumerate(rows[:HEADER_WITHIN]):
        columns: dict[str, int] = {}
        for column, cell in enumerate(cells):
            words = fold(_text(cell)) if isinstance(cell, str) else ""
            role = next((role for role, pattern in _ROLES if words and pattern.search(words)), None)
            if role:
                columns.setdefault(role, column)
        complete = {"title", "stock", "pupils"} <= columns.keys()
        if complete and (best is None or len(columns) > len(best[1])):
            best = index, columns
    return best


def _read(rows: Sequence[sheets.Row], header: int, columns: Mapping[str, int], *, file: str) -> Report:
    above = [cell for _, cells in rows[:header] for cell in cells if cell not in (None, "")]
    body = rows[header + 1 :]
    shift = _shift(body, columns)
    figures = {role: columns[role] + shift for role in _FIGURES if role in columns}
    found: list[Holding] = []
    left_aside: list[int] = []
    headings = totals = 0
    context = {"district": "", "school": "", "publisher": ""}
    after_heading = False
    for index, (number, cells) in enumerate(body):
        texts = [(column, _text(cell)) for column, cell in enumerate(cells) if _words(cell)]
        numbers = {role: _number(cells, column) for role, column in figures.items()}
        if any(_TOTAL.match(fold(text)) for _, text in texts):
            totals += 1
        elif len(texts) == 1 and all(value is None for value in numbers.values()):
            before_heading = index + 1 < len(body) and _is_single_text(body[index + 1][1])
            _note_heading(texts[0][1], context, after_heading, before_heading)
            headings += 1
            after_heading = True
            continue
        elif texts and numbers.get("stock") is not None and numbers.get("pupils") is not None:
            found.append(_holding(number, cells, texts, numbers, columns, context))
        elif texts or any(value is not None for value in numbers.values()):
            left_aside.append(number)
        after_heading = False
    day, region = _day_and_region(above)
    return Report(file, day, region, with_grades(found), headings, totals, tuple(left_aside))


def _words(cell: Value) -> bool:
    return isinstance(cell, str) and re.search(r"[^\W\d_]", cell) is not None


def _number(cells: Sequence[Value], column: int) -> float | None:
    if not 0 <= column < len(cells):
        return None
    cell = cells[column]
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return float(cell)
    if isinstance(cell, str):
        text = re.sub(r"\s", "", cell).replace(",", ".")
        return float(text) if re.fullmatch(r"-?\d{1,9}(\.\d{1,6})?", text) else None
    return None


def _shift(body: Sequence[sheets.Row], columns: Mapping[str, int]) -> int:
    """Return by how many columns the figures stand beside their headings: where the most rows agree.

    A row agrees when its «К» follows from the figures before it, or, in a report without «К», when both the
    stock and the pupils are there.
    """

    def agreeing(shift: int) -> int:
        count = 0
        for _, cells in body:
            figure = {role: _number(cells, columns[role] + shift) for role in _FIGURES if role in columns}
            stock, pupils = figure.get("stock"), figure.get("pupils")
            if stock is None or pupils is None or stock < 0 or pupils < 0:
                continue
            ratio = figure.get("ratio")
            if "ratio" not in columns:
                count += 1
            elif ratio is not None and pupils:
                count += abs((stock - (figure.get("to_write_off") or 0)) / pupils - ratio) <= 0.0051
        return count

    width = max((len(cells) for _, cells in body), default=0)
    shifts = sorted(range(-max(columns.values()), width), key=abs)
    return max(shifts, key=lambda shift: (agreeing(shift), -abs(shift)), default=0)


def _is_single_text(cells: Sequence[Value]) -> bool:
    filled = [cell for cell in cells if cell not in (None, "")]
    return len(filled) == 1 and _words(filled[0])


def _note_heading(text: str, context: dict[str, str], after_heading: bool, before_heading: bool) -> None:
    """Take a heading into account: a district closes the school and the publisher, a school the publisher.

    A heading above another one («Чита», «Дрофа») is of a place, whatever it is called; the last one, right
    above the titles, is of their publisher.
    """
    folded = fold(text)
    if folded in _NOBODY:
        # «нет»: the report does not know the district, or the school of the district just named.
        context.update(dict.fromkeys(("school", "publisher") if after_heading else context, ""))
    elif _SCHOOL.search(folded):
        context.update(school=text, publisher="")
    elif (_DISTRICT.search(folded) or before_heading) and not _is_publisher(text):
        context.update(district=text, school="", publisher="")
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
    context: Mapping[str, str],
) -> Holding:
    def named(role: str) -> str:
        column = columns.get(role)
        return _text(cells[column]) if column is not None and column < len(cells) and cells[column] else ""

    by_column = dict(texts)
    # A flat table has the title under its heading; a grouped one has a single text, wherever it stands.
    flat = len(texts) > 1 and columns["title"] in by_column
    title = by_column[columns["title"]] if flat else texts[0][1]
    told = {role: named(role) if flat else "" for role in ("district", "school", "publisher")}
    publisher = told["publisher"] or context["publisher"]
    whole = {role: _whole(value) for role, value in numbers.items()}
    return Holding(
        row=number,
        district=_somebody(told["district"]) or context["district"],
        school=_somebody(told["school"]) or context["school"],
        publisher=_ELECTRONIC.sub("", publisher).strip(),
        title=_NOISE.sub("", title).strip(" ./"),
        authors=named("authors") if flat else "",
        subject=named("subject") if flat else "",
        grades=named("grades") if flat else "",
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
