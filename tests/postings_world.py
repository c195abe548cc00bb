"""Books, shelves and postings for the tests, made by walking the real steps."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from exchange.catalog.models import Edition, FederalList, ListEntry, Textbook
from exchange.clock import FrozenClock
from exchange.db import db
from exchange.ledger import services as ledger
from exchange.ledger.rules import Line, MovementKind
from exchange.postings import services
from exchange.postings.models import Offer, Request
from exchange.postings.rules import OfferKind, ShortageReason
from exchange.schools.models import Holder, User
from exchange.schools.rules import HolderKind
from exchange.stock.rules import Condition
from tests.factories import World

TODAY = date(2026, 9, 14)


def make_textbook(
    title: str = "Физика",
    *,
    parts: int = 1,
    special_needs: bool = False,
    appendix: int = 1,
    until: date | None = None,
) -> Textbook:
    """A book in the list; by default one that may be used and bought."""
    textbook = Textbook(
        identity=title,
        title=f"{title}: 7-й класс: учебник",
        authors="Перышкин И. М.",
        subject_area="Естественно-научные предметы",
        subject=title,
        grade_from=7,
        grade_to=7,
        publisher="Просвещение",
        parts=parts,
        special_needs=special_needs,
        folded=title.casefold(),
        sort_key=title.casefold(),
    )
    db.session.add(textbook)
    federal_list = db.session.scalar(sa.select(FederalList))
    if federal_list is None:
        federal_list = FederalList(
            order_number="858", in_force_from=date(2022, 11, 1), loaded_at=datetime(2026, 8, 1, tzinfo=UTC)
        )
        db.session.add(federal_list)
    db.session.flush()
    db.session.add(
        ListEntry(
            list_id=federal_list.id,
            appendix=appendix,
            number=f"1.{textbook.id}",
            row=textbook.id,
            raw={},
            valid_until=until,
            textbook_id=textbook.id,
        )
    )
    db.session.flush()
    return textbook


def make_edition(textbook: Textbook, *, year: int = 2022, part: int = 1) -> Edition:
    edition = Edition(textbook_id=textbook.id, year=year, part=part)
    db.session.add(edition)
    db.session.flush()
    return edition


def put_on_shelf(holder: Holder, edition: Edition, copies: int, *, by: User, clock: FrozenClock) -> None:
    source = ledger.technical(holder.district_id, HolderKind.SOURCE)
    ledger.post(
        MovementKind.ACQUISITION,
        [
            Line(edition.id, source, source, -copies),
            Line(edition.id, holder.id, holder.id, copies),
        ],
        by=by,
        clock=clock,
        district_id=holder.district_id,
    )


def offer_of(world: World, clock: FrozenClock, edition: Edition, copies: int = 5, **changes: object) -> Offer:
    values: dict[str, object] = {
        "holder": world.donor_school,
        "edition": edition,
        "copies": copies,
        "kind": OfferKind.PERMANENT,
        "condition": Condition.GOOD,
        "due_back": None,
        "available_from": None,
        "expires_on": TODAY + timedelta(days=60),
        "note": "",
        "by": world.donor,
        "clock": clock,
    }
    return services.post_offer(**{**values, **changes})


def request_of(world: World, clock: FrozenClock, textbook: Textbook, **changes: object) -> Request:
    values: dict[str, object] = {
        "school": world.recipient_school,
        "textbook": textbook,
        "copies_by_part": {1: 4},
        "reason": ShortageReason.MORE_PUPILS,
        "needed_by": None,
        "year_from": None,
        "loan_acceptable": True,
        "expires_on": TODAY + timedelta(days=60),
        "note": "",
        "by": world.recipient,
        "clock": clock,
    }
    return services.post_request(**{**values, **changes})
