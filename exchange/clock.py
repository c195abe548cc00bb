"""Time, passed in rather than looked up, so that a season can be played in a second."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...

    def today(self, zone: str) -> date:
        """Return the calendar date in the IANA time zone ``zone``."""
        ...


class SystemClock:
    """The computer's own clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return datetime.now(UTC)

    def today(self, zone: str) -> date:
        """Return the calendar date in the IANA time zone ``zone``."""
        return self.now().astimezone(ZoneInfo(zone)).date()


class FrozenClock:
    """A clock that moves only when told to."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment.astimezone(UTC)

    def now(self) -> datetime:
        """Return the moment the clock was last set to, in UTC."""
        return self._moment

    def today(self, zone: str) -> date:
        """Return the calendar date in the IANA time zone ``zone``."""
        return self._moment.astimezone(ZoneInfo(zone)).date()

    def set(self, moment: datetime) -> None:
        """Move to ``moment`` (aware)."""
        self._moment = moment.astimezone(UTC)

    def advance(self, **delta: float) -> None:
        """Move forward by a ``timedelta(**delta)``."""
        self._moment += timedelta(**delta)
