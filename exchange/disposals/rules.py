"""When a write-off act may be changed and posted."""

from __future__ import annotations

from enum import StrEnum


class ActState(StrEnum):
    """Where a write-off act stands."""

    DRAFT = "draft"
    POSTED = "posted"
    DISCARDED = "discarded"


ACT_STATE_NAMES = {
    ActState.DRAFT: "черновик",
    ActState.POSTED: "проведён",
    ActState.DISCARDED: "отменён",
}
