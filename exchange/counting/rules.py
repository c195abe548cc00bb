"""When a shelf may be counted, and what a count differs by from the books."""

from __future__ import annotations

from enum import StrEnum


class CampaignState(StrEnum):
    """Whether a district counts."""

    OPEN = "open"
    CLOSED = "closed"


CAMPAIGN_STATE_NAMES = {CampaignState.OPEN: "идёт", CampaignState.CLOSED: "закончена"}


class SheetState(StrEnum):
    """How far a school has come."""

    COUNTING = "counting"
    CONFIRMED = "confirmed"


SHEET_STATE_NAMES = {SheetState.COUNTING: "считает", SheetState.CONFIRMED: "подтверждено"}
