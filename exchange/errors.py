"""What can go wrong in the domain, without saying how it is shown.

A message is a Russian msgid with ``%(name)s`` parameters; the web layer translates it and fills it in.
"""

from __future__ import annotations

from collections.abc import Mapping


class DomainError(Exception):
    """A request that the rules refuse; nothing has been stored.

    ``message`` is the msgid, ``parameters`` fill it; ``status`` is the HTTP status of the answer.
    """

    status = 422

    def __init__(self, message: str, /, **parameters: object) -> None:
        super().__init__(message)
        self.message = message
        self.parameters = parameters

    def __str__(self) -> str:
        return self.message % self.parameters if self.parameters else self.message


class Invalid(DomainError):
    """A value that cannot be accepted. ``field`` names the form field it came from, where there is one."""

    def __init__(self, message: str, /, *, field: str | None = None, **parameters: object) -> None:
        super().__init__(message, **parameters)
        self.field = field


class Refusals(Invalid):
    """Several lines of one request refused, each with its own reason; nothing has been stored.

    ``lines``: the refusals by what the caller knows its lines by.
    """

    def __init__(self, lines: Mapping[int, DomainError]) -> None:
        super().__init__("Записать нельзя: исправьте отмеченные строки. Ничего не изменено.")
        self.lines = dict(lines)


class Forbidden(DomainError):
    """The person may see the object but may not do this with it."""

    status = 403


class NotFound(DomainError):
    """There is no such object, or it is another school's private one: the two must look alike."""

    status = 404

    def __init__(
        self, message: str = "Такой страницы нет, или она принадлежит другой школе.", /, **parameters: object
    ) -> None:
        super().__init__(message, **parameters)


class WrongMoment(DomainError):
    """The step is a real one but not possible in the present state."""

    status = 409


class Stale(WrongMoment):
    """Somebody changed the object after the page was opened."""
