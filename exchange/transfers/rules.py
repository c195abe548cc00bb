"""What a transfer is and which steps it may take."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """A loan changes the holder only; a permanent transfer changes the owner too."""

    LOAN = "loan"
    PERMANENT = "permanent"
