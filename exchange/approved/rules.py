"""When an approved list may be changed, signed and approved, and which textbook a class uses."""

from __future__ import annotations

from enum import StrEnum


class ListState(StrEnum):
    """Where an approved list stands between the librarian, the deputy and the director."""

    DRAFT = "draft"
    CHECKED = "checked"
    APPROVED = "approved"


LIST_STATE_NAMES = {
    ListState.DRAFT: "черновик",
    ListState.CHECKED: "проверен завучем",
    ListState.APPROVED: "утверждён директором",
}
