"""Writes movements, keeps balances and promises, and checks that the books agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from exchange.clock import Clock
from exchange.db import db, insert_if_absent, insert_missing
from exchange.errors import Invalid
from exchange.ledger.models import Balance, Movement, MovementLine
from exchange.ledger.rules import Line, MovementKind, net
from exchange.schools.models import Holder, User
from exchange.schools.rules import HolderKind

NOT_ENOUGH = "Свободных экземпляров не хватает: нужно %(needed)s, свободно %(free)s. Уменьшите количество."


def post(
    kind: MovementKind,
    lines: Iterable[Line],
    *,
    by: User,
    clock: Clock,
    district_id: int,
    transfer_id: int | None = None,
    document: str = "",
    reason: str = "",
) -> Movement:
    """Write one movement and bring the balances up to date.

    Raises ``Invalid`` when an account would fall below what is promised from it (or below zero).
    """
    netted = net(lines)
    movement = Movement(
        district_id=district_id,
        at=clock.now(),
        kind=kind,
        by_id=by.id,
        transfer_id=transfer_id,
        document=document,
        reason=reason,
    )
    movement.lines = [
        MovementLine(
            edition_id=line.edition_id, owner_id=line.owner_id, holder_id=line.holder_id, copies=line.copies
        )
        for line in netted
    ]
    db.session.add(movement)
    db.session.flush()
    sources = _sources(district_id)
    _change_all(_accounts([line for line in netted if line.holder_id not in sources]))
    return movement


def promise(lines: Iterable[Line]) -> None:
    """Promise ``copies`` of each account; a negative number frees a promise.

    One conditional UPDATE per account, in ascending id: two people cannot promise the same copy.
    Raises ``Invalid`` when fewer are free.
    """
    for balance_id, line in _accounts(list(lines)):
        result = db.session.execute(
            sa.update(Balance)
            .where(
                Balance.id == balance_id,
                Balance.copies - Balance.promised >= line.copies,
                Balance.promised + line.copies >= 0,
            )
            .values(promised=Balance.promised + line.copies)
            .execution_options(synchronize_session=False)
        )
        if not result.rowcount:  # type: ignore[attr-defined]
            _refuse(balance_id, line.copies)


def free_copies(*, owner_id: int, holder_id: int, edition_id: int) -> int:
    """Return how many copies of the account are neither promised nor gone."""
    return (
        db.session.scalar(
            sa.select(Balance.copies - Balance.promised).where(
                Balance.owner_id == owner_id,
                Balance.holder_id == holder_id,
                Balance.edition_id == edition_id,
            )
        )
        or 0
    )


def locked(*, owner_id: int, holder_id: int, edition_id: int) -> tuple[int, int]:
    """Return the copies and the promised copies of an account; nobody changes them until the unit ends."""
    ((balance_id, _),) = _accounts([Line(edition_id, owner_id, holder_id, 0)])
    copies, promised = db.session.execute(
        sa.select(Balance.copies, Balance.promised).where(Balance.id == balance_id).with_for_update()
    ).one()
    return copies, promised


def locked_shelf(holder_id: int, edition_ids: sa.Select[int]) -> None:
    """Lock the accounts of a holder's own copies of many editions until the unit ends; make those missing.

    Nobody counts, promises or sends these copies meanwhile. Rows are taken in ascending id, as everywhere.
    """
    own = (Balance.owner_id == holder_id, Balance.holder_id == holder_id)
    missing = edition_ids.except_(sa.select(Balance.edition_id).where(*own))
    account = {"owner_id": holder_id, "holder_id": holder_id, "copies": 0, "promised": 0}
    insert_missing(
        Balance, [{**account, "edition_id": edition_id} for edition_id in db.session.scalars(missing)]
    )
    db.session.execute(
        sa.select(Balance.id)
        .where(*own, Balance.edition_id.in_(edition_ids))
        .order_by(Balance.id)
        .with_for_update()
    ).all()


def technical(district_id: int, kind: HolderKind) -> int:
    """Return the id of the district's technical account (transit, disputed, source, written off)."""
    return db.session.scalars(
        sa.select(Holder.id).where(Holder.district_id == district_id, Holder.kind == kind)
    ).one()


@dataclass(frozen=True)
class Difference:
    """An account whose balance is not the sum of its movements."""

    owner_id: int
    holder_id: int
    edition_id: int
    balance: int
    ledger: int


def verify(district_id: int | None = None) -> list[Difference]:
    """Derive every balance anew from the ledger and return those that differ; repairs nothing.

    Of all districts of the server, or of one.
    """
    nothing = sa.literal(0)
    accounts = (MovementLine.owner_id, MovementLine.holder_id, MovementLine.edition_id)
    both = sa.union_all(
        sa.select(
            Balance.owner_id,
            Balance.holder_id,
            Balance.edition_id,
            Balance.copies.label("balance"),
            nothing.label("ledger"),
        ),
        sa.select(*accounts, nothing, MovementLine.copies),
    ).subquery()
    keys = (both.c.owner_id, both.c.holder_id, both.c.edition_id)
    balance, ledger = sa.func.sum(both.c.balance), sa.func.sum(both.c.ledger)
    query = (
        sa.select(*keys, balance, ledger)
        .join(Holder, Holder.id == both.c.holder_id)
        # No balance is kept of where copies come from.
        .where(Holder.kind != HolderKind.SOURCE)
        .group_by(*keys)
        .having(balance != ledger)
        .order_by(*keys)
    )
    if district_id is not None:
        query = query.where(Holder.district_id == district_id)
    return [
        Difference(owner, holder, edition, balance=int(kept), ledger=int(derived))
        for owner, holder, edition, kept, derived in db.session.execute(query)
    ]


def _sources(district_id: int) -> set[int]:
    return set(
        db.session.scalars(
            sa.select(Holder.id).where(Holder.district_id == district_id, Holder.kind == HolderKind.SOURCE)
        )
    )


def _accounts(lines: list[Line]) -> list[tuple[int, Line]]:
    """Return each line with the id of its balance, in ascending id; make balances that are not there."""
    known = _known_accounts(lines) if len(lines) > MANY else {}
    found: list[tuple[int, Line]] = []
    for line in lines:
        where = sa.select(Balance.id).where(
            Balance.owner_id == line.owner_id,
            Balance.holder_id == line.holder_id,
            Balance.edition_id == line.edition_id,
        )
        account = line.owner_id, line.holder_id, line.edition_id
        balance_id = known.get(account) or db.session.scalar(where)
        if balance_id is None:
            insert_if_absent(
                Balance,
                owner_id=line.owner_id,
                holder_id=line.holder_id,
                edition_id=line.edition_id,
                copies=0,
                promised=0,
            )
            balance_id = db.session.scalars(where).one()
        found.append((balance_id, line))
    return sorted(found, key=lambda pair: pair[0])


MANY = 50
"""Lines from which on a movement is written in a few statements instead of two for each line."""
_AT_ONCE = 500


def _known_accounts(lines: list[Line]) -> dict[tuple[int, int, int], int]:
    """Return the balances there are by owner, holder and edition, for many lines at once."""
    editions: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for line in lines:
        editions[line.owner_id, line.holder_id].append(line.edition_id)
    return {
        (owner_id, holder_id, row.edition_id): row.id
        for (owner_id, holder_id), ids in editions.items()
        for first in range(0, len(ids), _AT_ONCE)
        for row in db.session.execute(
            sa.select(Balance.id, Balance.edition_id).where(
                Balance.owner_id == owner_id,
                Balance.holder_id == holder_id,
                Balance.edition_id.in_(ids[first : first + _AT_ONCE]),
            )
        )
    }


def _change_all(accounts: list[tuple[int, Line]]) -> None:
    """Change the copies of the accounts; they are in ascending id, and so are their rows locked."""
    if len(accounts) > MANY and _changed_at_once(accounts):
        return
    for balance_id, line in accounts:
        _change(balance_id, line.copies)


def _changed_at_once(accounts: list[tuple[int, Line]]) -> bool:
    """Change many accounts by one statement; change none and say so where one of them has too few copies."""
    table = Balance.__table__.c
    by = sa.bindparam("by", type_=sa.Integer)
    statement = (
        sa.update(Balance.__table__)  # type: ignore[arg-type]
        .where(table.id == sa.bindparam("account"), table.copies + by >= table.promised)
        .values(copies=table.copies + by)
    )
    with db.session.begin_nested() as savepoint:
        changed = db.session.connection().execute(
            statement, [{"account": balance_id, "by": line.copies} for balance_id, line in accounts]
        )
        if changed.rowcount == len(accounts):
            return True
        savepoint.rollback()
    return False


def _change(balance_id: int, copies: int) -> None:
    result = db.session.execute(
        sa.update(Balance)
        .where(Balance.id == balance_id, Balance.copies + copies >= Balance.promised)
        .values(copies=Balance.copies + copies)
        .execution_options(synchronize_session=False)
    )
    if not result.rowcount:  # type: ignore[attr-defined]
        _refuse(balance_id, -copies)


def _refuse(balance_id: int, needed: int) -> None:
    free = db.session.scalar(sa.select(Balance.copies - Balance.promised).where(Balance.id == balance_id))
    raise Invalid(NOT_ENOUGH, needed=needed, free=free)
