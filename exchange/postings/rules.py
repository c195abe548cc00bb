"""What may be posted, for how long, and in which words."""

from __future__ import annotations

from enum import StrEnum


class OfferKind(StrEnum):
    """How a school is ready to part with its surplus."""

    PERMANENT = "permanent"
    LOAN = "loan"


OFFER_KIND_NAMES = {OfferKind.PERMANENT: "насовсем", OfferKind.LOAN: "на время"}


class PostingState(StrEnum):
    """Whether a surplus or a request can still be answered."""

    OPEN = "open"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class ShortageReason(StrEnum):
    """Why books are missing: a closed list."""

    MORE_PUPILS = "more_pupils"
    LOST = "lost"
    DEFECTIVE = "defective"
    NEW_PROGRAMME = "new_programme"
    OTHER = "other"


SHORTAGE_NAMES = {
    ShortageReason.MORE_PUPILS: "увеличение контингента",
    ShortageReason.LOST: "утрата",
    ShortageReason.DEFECTIVE: "дефектность",
    ShortageReason.NEW_PROGRAMME: "смена программы или УМК",
    ShortageReason.OTHER: "иное",
}

EXPIRY_WARNING_DAYS = 7
"""Days before the end of a posting at which its school is reminded."""
