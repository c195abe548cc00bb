"""Dates, numbers and plurals as Russian readers expect them."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

NBSP = "\u00a0"


def format_date(value: date | None) -> str:
    """Return дд.мм.гггг, or a dash."""
    return f"{value:%d.%m.%Y}" if value else "–"


def format_moment(value: datetime | None, zone: str) -> str:
    """Return дд.мм.гггг чч:мм in the IANA time zone ``zone``, or a dash."""
    return f"{value.astimezone(ZoneInfo(zone)):%d.%m.%Y %H:%M}" if value else "–"


def format_number(value: float | None, digits: int = 0) -> str:
    """Return «1 234», «1 234,5» or «−3», or a dash."""
    if value is None:
        return "–"
    return f"{value:,.{digits}f}".replace(",", NBSP).replace(".", ",").replace("-", "−")


def format_percent(value: float | None) -> str:
    """Return «97 %» for 0.97; never «100 %» for less than all, or a dash."""
    if value is None:
        return "–"
    percent = int(value * 100 + 1e-9) if 0.99 < value < 1 else round(value * 100)
    return f"{percent}{NBSP}%"
