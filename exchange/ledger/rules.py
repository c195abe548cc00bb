"""What a movement of copies is and when it balances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from exchange.errors import Invalid


class MovementKind(StrEnum):
    """Why copies moved."""

    COUNT = "count"
    ACQUISITION = "acquisition"
    WRITE_OFF = "write_off"
    SHIPMENT = "shipment"
    RECEIPT = "receipt"
    SETTLEMENT = "settlement"
    STOP = "stop"
    RETURN = "return"
    REPLACEMENT = "replacement"
    RELOCATION = "relocation"
    """From one storage place of the fund to another; the owner stays."""
    REVERSAL = "reversal"
    """Undoes an import: its lines with the signs turned round."""


MOVEMENT_NAMES = {
    MovementKind.COUNT: "пересчёт",
    MovementKind.ACQUISITION: "поступление",
    MovementKind.WRITE_OFF: "списание",
    MovementKind.SHIPMENT: "отправка",
    MovementKind.RECEIPT: "приём",
    MovementKind.SETTLEMENT: "решение по расхождению",
    MovementKind.STOP: "возврат с дороги",
    MovementKind.RETURN: "возврат",
    MovementKind.REPLACEMENT: "замена утраченного",
    MovementKind.RELOCATION: "перемещение между складами фонда",
    MovementKind.REVERSAL: "отмена загрузки",
}


class WriteOffReason(StrEnum):
    """The closed list of reasons (order 1077 of 08.10.2012); a transfer is not one of them."""

    OUTDATED = "outdated"
    LOST = "lost"
    WORN = "worn"
    DEFECTIVE = "defective"
    OFF_PROFILE = "off_profile"
    LAST_DATE = "last_date"


WRITE_OFF_NAMES = {
    WriteOffReason.OUTDATED: "устарелость по содержанию",
    WriteOffReason.LOST: "утрата",
    WriteOffReason.WORN: "ветхость",
    WriteOffReason.DEFECTIVE: "дефектность",
    WriteOffReason.OFF_PROFILE: "непрофильность",
    WriteOffReason.LAST_DATE: "истечение предельного срока использования",
}


@dataclass(frozen=True, order=True)
class Line:
    """``copies`` more (or, negative, fewer) of an edition at ``holder_id``, belonging to ``owner_id``."""

    edition_id: int
    owner_id: int
    holder_id: int
    copies: int


def transfer_of_copies(
    edition_id: int, copies: int, *, owner: tuple[int, int], holder: tuple[int, int]
) -> list[Line]:
    """Return the two lines that move ``copies`` from the first owner and holder to the second."""
    return [
        Line(edition_id, owner[0], holder[0], -copies),
        Line(edition_id, owner[1], holder[1], copies),
    ]


def net(lines: Iterable[Line]) -> list[Line]:
    """Check that the lines balance for every edition; add up what falls on the same account.

    Returns one line per account in ascending order, the order in which rows are locked. Raises
    ``Invalid`` when nothing moves and ``ValueError`` (a mistake of the program) when copies would
    appear or vanish.
    """
    accounts: defaultdict[tuple[int, int, int], int] = defaultdict(int)
    editions: defaultdict[int, int] = defaultdict(int)
    for line in lines:
        accounts[line.edition_id, line.owner_id, line.holder_id] += line.copies
        editions[line.edition_id] += line.copies
    if any(editions.values()):
        raise ValueError("a movement must balance for every edition")
    result = [Line(*account, copies) for account, copies in sorted(accounts.items()) if copies]
    if not result:
        raise Invalid("Укажите, сколько экземпляров: сейчас везде ноль.")
    return result
