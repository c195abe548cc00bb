"""Numbers as people type them into tables."""

from __future__ import annotations

import re
from datetime import date

from exchange.sheets.grid import Value

MOST = 999_999_999
"""Above this it is a telephone number or an ISBN, not a count."""

_COUNT = re.compile(
    r"'?\s*(?:~|≈|около|примерно|ок\.)?\s*"
    r"([0-9]{1,3}(?:[\s'’][0-9]{3})+|[0-9]{1,12})(?:[.,]0+)?\s*"
    r"(?:шт|штук[аи]?|экз|экземпляр(?:а|ов)?|компл|комплект(?:а|ов)?|кн|книг[аи]?|ученик(?:а|ов)?|чел)?\s*\.?",
    re.IGNORECASE,
)
_YEAR = re.compile(
    r"'?\s*([0-9]{4})(?:[.,]0+)?\s*(?:г\.?|год[аоу]?в?\.?)?\s*(?:изд(?:ания|\.)?|выпуска)?", re.IGNORECASE
)
_DAY = re.compile(
    r"[0-9]{1,2}\.[0-9]{1,2}\.([0-9]{4})(?:\s*г\.?)?|([0-9]{4})-[0-9]{2}-[0-9]{2}", re.IGNORECASE
)
FIRST_YEAR, LAST_YEAR = 1950, 2100


def number_of(value: Value) -> int | None:
    """Return a count of things: «1 251», «12 шт.», «12,0», «~30»; None for anything else.

    A dash or an empty cell is no count, nor is what has a fraction, a sign, a sum or a date in it. An
    estimate counts as the number that is written.
    """
    if isinstance(value, str):
        found = _COUNT.fullmatch(value.strip()) if len(value) <= 60 else None
        value = int(re.sub(r"[^0-9]", "", found[1])) if found else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    return value if isinstance(value, int) and 0 <= value <= MOST else None


def year_of(value: Value) -> int | None:
    """Return the year of an edition: «2018», «2018 г.», 2018.0, a date; None for anything else.

    «2017–2019» is none. A year put into a cell that shows dates comes as a day of 1905 and is understood.
    """
    if isinstance(value, str):
        text = value.strip() if len(value) <= 60 else ""
        found = _YEAR.fullmatch(text) or _DAY.fullmatch(text)
        value = int(next(filter(None, found.groups()))) if found else None
    elif isinstance(value, date):
        serial = (value - date(1899, 12, 30)).days
        value = serial if FIRST_YEAR <= serial <= LAST_YEAR else value.year
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    return value if isinstance(value, int) and FIRST_YEAR <= value <= LAST_YEAR else None
