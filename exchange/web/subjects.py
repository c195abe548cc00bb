"""What the journal's subjects are called, and where their pages are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import url_for
from flask_babel import gettext
from flask_babel import lazy_gettext as _l


@dataclass(frozen=True)
class Subject:
    """A kind of object that events happen to."""

    title: str
    """Plural, for the filter: a lazy text."""
    endpoint: str | None
    """Where the object is seen: its own page, or a list in which it has the id «<subject>-<number>»."""
    argument: str | None = None
    """Argument of the object's own page; ``None``: the endpoint is a list."""


SUBJECTS: Mapping[str, Subject] = {
    "transfer": Subject(_l("Передачи"), "transfers.show", "transfer_id"),
    "offer": Subject(_l("Излишки"), "postings.offers"),
    "request": Subject(_l("Заявки"), "postings.requests"),
    "plan": Subject(_l("Подбор"), "matching.show", "plan_id"),
    "plan_wish": Subject(_l("Пожелания к подбору"), None),
    "federal_list": Subject(_l("Федеральный перечень"), "lists.index"),
    "approved_list": Subject(_l("Перечни учебников"), "approved.show", "list_id"),
    "floor": Subject(_l("Неснижаемые остатки фонда"), "reserve.title", "textbook_id"),
    "write_off_act": Subject(_l("Акты на списание"), "disposals.show", "act_id"),
    "counting_campaign": Subject(_l("Пересчёт фонда"), "counting.index"),
    "count_sheet": Subject(_l("Пересчёт в школах"), "counting.sheet", "sheet_id"),
    "holder": Subject(_l("Школы и полки"), None),
    "user_account": Subject(_l("Люди"), "people.person", "user_id"),
    "invitation": Subject(_l("Приглашения"), None),
    "sign_in": Subject(_l("Входы"), None),
}


def title_of(subject: str) -> str:
    """Return what the kind of object is called."""
    known = SUBJECTS.get(subject)
    return str(known.title) if known else gettext("Прочее")


def url_of(subject: str, subject_id: int, *, external: bool = False) -> str | None:
    """Return the address of the object's page, where there is one."""
    known = SUBJECTS.get(subject)
    if known is None or known.endpoint is None:
        return None
    values: dict[str, Any] = (
        {known.argument: subject_id} if known.argument else {"_anchor": f"{subject}-{subject_id}"}
    )
    return url_for(known.endpoint, _external=external, **values)
