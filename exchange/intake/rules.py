"""What becomes of a school's spreadsheet and of each of its rows."""

from __future__ import annotations

from enum import StrEnum


class IntakeState(StrEnum):
    """Where an import stands."""

    READING = "reading"
    REVIEW = "review"
    APPLIED = "applied"
    UNDONE = "undone"
    DISCARDED = "discarded"
    FAILED = "failed"


INTAKE_STATE_NAMES = {
    IntakeState.READING: "читается",
    IntakeState.REVIEW: "на сверке",
    IntakeState.APPLIED: "записан на полку",
    IntakeState.UNDONE: "отменён",
    IntakeState.DISCARDED: "отложен",
    IntakeState.FAILED: "не прочитан",
}


class Outcome(StrEnum):
    """What became of a row; every row read has exactly one."""

    RECOGNISED = "recognised"
    TO_CONFIRM = "to_confirm"
    NOT_TEXTBOOK = "not_textbook"
    NOT_LISTED = "not_listed"
    ERROR = "error"
    SERVICE = "service"
    """Title rows, headings, totals, blank rows: kept, and shown when asked for."""


OUTCOME_NAMES = {
    Outcome.RECOGNISED: "распознано",
    Outcome.TO_CONFIRM: "подтвердите",
    Outcome.NOT_TEXTBOOK: "не учебник",
    Outcome.NOT_LISTED: "нет в перечне",
    Outcome.ERROR: "ошибка",
    Outcome.SERVICE: "служебная строка",
}
