"""Imports of schools' spreadsheets: reading, answering, writing to the shelf, undoing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm.attributes import flag_modified

from exchange import journal, runs, sheets
from exchange.approved import services as approved
from exchange.catalog.models import Edition, Textbook
from exchange.catalog.rules import SchoolYear
from exchange.catalog.services import BOOK_COLUMNS
from exchange.clock import Clock
from exchange.db import db, in_unit, insert_missing
from exchange.errors import Invalid, NotFound, Stale, WrongMoment
from exchange.intake import importer, rules
from exchange.intake.importer import Columns, ReadRow
from exchange.intake.models import ColumnMemory, Intake, IntakeRow
from exchange.intake.rules import (
    Change,
    Counted,
    EditionKey,
    IntakeState,
    OnShelf,
    Outcome,
    Understood,
    Written,
)
from exchange.ledger import services as ledger
from exchange.ledger.models import Balance, Movement, MovementLine
from exchange.ledger.rules import Line, MovementKind, transfer_of_copies
from exchange.recognition import services as recognition
from exchange.recognition.rules import Answer, Candidate, Kind, Note, Wording, key_of
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action, HolderKind
from exchange.stock.models import ShelfNote
from exchange.stock.rules import MOST_COPIES, Condition
from exchange.stock.services import OPEN

READ = "intake-read"
REREAD = "intake-reread"
PASTED = "Вставленная таблица"
PAGE = 50
QUESTIONS = 25
"""Rows on a page of those that wait for an answer: each brings up to five books to choose from."""
CHUNK = 1_000
"""Rows that are understood between two reports of progress, and inserted at once."""

Progress = Callable[[int, int], None]

_offer = sa.table("offer", *map(sa.column, ("holder_id", "edition_id", "copies", "reserved", "state")))
# Offers belong to a feature above; an import only reads how many copies are offered, as the shelf does.

NOT_READY = "Файл ещё читается. Подождите немного."
NOT_IN_REVIEW = "Этот файл уже %(state)s: ответы в нём больше не меняются."
CHANGED_MEANWHILE = (
    "Пока страница была открыта, в этой загрузке что-то изменили. Посмотрите на неё ещё раз и повторите."
)


# --- bringing a file ---


def start(*, holder: Holder, file: str, pasted: bool = False, by: User, clock: Clock) -> Intake:
    """Write down that a file is to be read; the caller keeps its content and submits ``run_id`` then."""
    _require_count(by, holder)
    run = runs.enter(
        READ,
        district_id=holder.district_id,
        by_id=by.id,
        clock=clock,
        input={"file": file[-200:], "pasted": pasted},
    )
    intake = Intake(
        district_id=holder.district_id,
        holder_id=holder.id,
        by_id=by.id,
        created_at=clock.now(),
        file=file[-200:],
        run_id=run.id,
    )
    db.session.add(intake)
    db.session.flush()
    run.input = {**run.input, "intake": intake.id}
    db.session.flush()
    return intake


def upload_path(folder: Path, run_id: int) -> Path:
    """Return where the content of a file is kept until it has been read."""
    return folder / f"intake-{run_id}"


def clear_uploads(folder: Path, *, clock: Clock) -> None:
    """Remove the content of files whose reading died with the server: nobody will read it any more."""
    kept = {int(number): path for path in folder.glob("intake-*") if (number := path.name[7:]).isdecimal()}
    found = db.session.scalars(sa.select(runs.Run).where(runs.Run.id.in_(kept))) if kept else ()
    for run in found:
        if not run.is_live or runs.lost(run, clock=clock):
            kept[run.id].unlink(missing_ok=True)


def read_upload(run: runs.Run, progress: Progress, *, folder: Path, clock: Clock) -> dict[str, Any]:
    """Read a file, understand its rows and keep them: the work of a run."""
    path, given = upload_path(folder, run.id), dict(run.input)
    intake_id: int = given["intake"]
    with _failing(intake_id, run.id):
        progress(0, 0)
        if not path.exists():
            raise WrongMoment("Загруженного файла больше нет. Выберите его заново.")
        try:
            tables = _tables(path, given["file"], pasted=given["pasted"])
        finally:
            path.unlink(missing_ok=True)
        return _understand(intake_id, run.id, tables, None, progress, clock=clock)


@contextmanager
def _failing(intake_id: int, run_id: int) -> Iterator[None]:
    """Let the import fail with the run that reads it."""
    try:
        yield
    except Exception as error:
        db.session.rollback()
        in_unit(partial(_fail, intake_id, run_id, error))
        raise


@dataclass(frozen=True)
class Table:
    """A sheet, or one of the tables side by side on it: its name, its rows."""

    name: str
    rows: Sequence[sheets.Row]
    hidden: bool = False


def _tables(path: Path, file: str, *, pasted: bool) -> list[Table]:
    if pasted:
        sheet = sheets.pasted(path.read_text("utf-8"), header=importer.header_score)
        return [Table("", rows) for rows in importer.side_by_side(sheet.rows)]
    with path.open("rb") as source:
        return [
            Table(sheet.above[-1] if sheet.above else sheet.name, rows, sheet.hidden)
            for sheet in sheets.read(source, file, header=importer.header_score)
            for rows in importer.side_by_side(sheet.rows)
        ]


def _fail(intake_id: int, run_id: int, error: Exception) -> None:
    intake = _locked(intake_id)
    if not _is_read_by(intake, run_id):
        return
    message = error.message if isinstance(error, Invalid | WrongMoment) else runs.BROKEN
    parameters = error.parameters if isinstance(error, Invalid | WrongMoment) else {}
    intake.state = IntakeState.FAILED
    intake.result = {"message": message, "parameters": dict(parameters)}
    db.session.flush()


def _understand(
    intake_id: int,
    run_id: int,
    tables: Sequence[Table],
    columns: Sequence[Columns] | None,
    progress: Progress,
    *,
    clock: Clock,
) -> dict[str, Any]:
    """Read the rows of ``tables``, ask the recognition what they mean, and store all that in one unit."""
    intake = db.session.get_one(Intake, intake_id)
    holder = db.session.get_one(Holder, intake.holder_id)
    year = intake.columns.get("year")
    if columns is None:
        memory = _memory(holder.id)
        columns = [
            importer.find_columns(table.rows, name=table.name, remembered=memory.get, hidden=table.hidden)
            for table in tables
        ]
    read: list[ReadRow] = []
    for index, (table, each) in enumerate(zip(tables, columns, strict=True)):
        read += importer.read_rows(table.rows, each, sheet=index, most=importer.MOST_ROWS - len(read))
    kept = _decided(intake_id)
    reader = _Reader(holder, today=clock.today(holder.district.timezone), default_year=year)
    db.session.rollback()
    rows: list[dict[str, Any]] = []
    progress(0, len(read))
    for number, row in enumerate(read, start=1):
        if (row.sheet, row.row, row.item) not in kept:
            rows.append({"intake_id": intake_id, **reader.values(row)})
        if number % CHUNK == 0:
            progress(number, len(read))

    def store() -> None:
        found = _locked(intake_id)
        # A reading that was taken for dead may still come to its end.
        if not _is_read_by(found, run_id):
            raise WrongMoment(CHANGED_MEANWHILE)
        db.session.execute(
            sa.delete(IntakeRow).where(IntakeRow.intake_id == intake_id, IntakeRow.by_hand.is_(False))
        )
        for part in _chunks(rows, CHUNK):
            db.session.execute(sa.insert(IntakeRow), part)
        found.columns = {"year": year, "sheets": [_stored(each) for each in columns]}
        found.state = IntakeState.REVIEW
        db.session.flush()

    in_unit(store)
    return {"rows": len(read), "intake": intake_id}


def _is_read_by(intake: Intake, run_id: int) -> bool:
    return intake.state is IntakeState.READING and intake.run_id == run_id


def _chunks(rows: Iterable[dict[str, Any]], size: int) -> Iterable[list[dict[str, Any]]]:
    iterator = iter(rows)
    while part := list(islice(iterator, size)):
        yield part


def _decided(intake_id: int) -> set[tuple[int, int, int]]:
    return {
        (row.sheet, row.row, row.item)
        for row in db.session.execute(
            sa.select(IntakeRow.sheet, IntakeRow.row, IntakeRow.item).where(
                IntakeRow.intake_id == intake_id, IntakeRow.by_hand.is_(True)
            )
        )
    }


def _stored(columns: Columns) -> dict[str, Any]:
    return {**asdict(columns), "digest": columns.digest}


def columns_of(intake: Intake) -> list[Columns]:
    """Return how each sheet of an import is read."""
    return [
        Columns(
            name=each["name"],
            used=each["used"],
            header=tuple(each["header"]),
            headings=tuple(each["headings"]),
            roles=tuple(each["roles"]),
            confidence=each["confidence"],
            samples=tuple(map(tuple, each["samples"])),
            remembered=each["remembered"],
        )
        for each in intake.columns.get("sheets", [])
    ]


def _memory(holder_id: int) -> dict[str, list[str]]:
    return {
        row.headings: row.columns["roles"]
        for row in db.session.execute(
            sa.select(ColumnMemory.headings, ColumnMemory.columns).where(ColumnMemory.holder_id == holder_id)
        )
    }


def _books_at(holder: Holder, year: SchoolYear) -> frozenset[int]:
    """Return the books a place has, and those its approved list of the year names."""
    held = db.session.scalars(
        sa.select(Edition.textbook_id)
        .join(Balance, Balance.edition_id == Edition.id)
        .where(Balance.holder_id == holder.id, Balance.copies > 0)
    )
    listed = approved.users([holder.id], year.start)[holder.id]
    return frozenset(held) | {use.textbook_id for use in listed}


class _Reader:
    """Turns rows of a file into rows of the table; each different wording is recognised once."""

    def __init__(self, holder: Holder, *, today: date, default_year: int | None) -> None:
        self._recogniser = recognition.recogniser()
        self._aliases = recognition.aliases_of(holder)
        self._preferred = _books_at(holder, SchoolYear.of(today))
        self._parts = {
            row.id: row.parts for row in db.session.execute(sa.select(Textbook.id, Textbook.parts))
        }
        self._last_year = today.year + 1
        self._default_year = default_year
        self._answers: dict[Wording, tuple[Answer, str]] = {}

    def values(self, row: ReadRow) -> dict[str, Any]:
        """Return the columns of ``IntakeRow`` for a row."""
        values: dict[str, Any] = {
            "sheet": row.sheet,
            "row": row.row,
            "item": row.item,
            "cells": list(row.cells),
            "wording": {},
            "outcome": Outcome.SERVICE,
            "textbook_id": None,
            "part": None,
            "year": row.year,
            "copies": row.copies,
            "worn": row.worn,
            "candidates": [],
            "remark": {"service": row.service} if row.service else {},
            "by_hand": False,
            "group_key": "",
        }
        if row.wording is None:
            return values
        known = importer.code_of(row.code)
        if known is not None:
            answer, key = self._of_code(known[0], known[2]), f"код {row.code}"
            values["year"] = known[1]
        else:
            answer, key = self._answer(row.wording)
            values["year"] = row.year or answer.year
        if values["year"] is not None and not rules.FIRST_YEAR <= values["year"] <= self._last_year:
            values["year"] = None
        textbook_id = answer.book_id if answer.book_id in self._parts else None
        understood = Understood(
            kind=answer.kind if textbook_id or answer.kind is not Kind.AUTOMATIC else Kind.NOT_LISTED,
            textbook_id=textbook_id,
            parts=self._parts.get(textbook_id or 0, 1),
            part=_fitting(answer.part, self._parts.get(textbook_id or 0)),
            whole_set=answer.whole_set,
            year=values["year"],
            copies=row.copies,
            wrong=row.fault is not None,
            lone=row.lone,
        )
        outcome, questions = rules.settle(understood, default_year=self._default_year)
        values |= {
            "wording": {name: value for name, value in asdict(row.wording).items() if value},
            "outcome": outcome,
            "textbook_id": textbook_id,
            "part": understood.part,
            "candidates": [
                {"id": each.book_id, "score": round(each.score, 4), "difference": _notes(each.difference)}
                for each in answer.candidates
            ],
            "remark": {
                "kind": answer.kind.value,
                "set": answer.whole_set,
                "part": answer.part,
                "asked": answer.question,
                "questions": [question.value for question in questions],
                **({"lone": True} if row.lone else {}),
                **({"reason": _notes([answer.reason])[0]} if answer.reason else {}),
                **(
                    {"fault": {"message": row.fault.message, "parameters": dict(row.fault.parameters)}}
                    if row.fault
                    else {}
                ),
            },
            "group_key": key,
        }
        return values

    def _answer(self, wording: Wording) -> tuple[Answer, str]:
        # The year of printing does not tell books apart; without it equal wordings of several years are one.
        asked = replace(wording, year=None)
        if asked not in self._answers:
            answer = self._recogniser.recognise(asked, preferred=self._preferred, aliases=self._aliases)
            self._answers[asked] = answer, key_of(asked)[:500]
        return self._answers[asked]

    def _of_code(self, textbook_id: int, part: int) -> Answer:
        if textbook_id not in self._parts or not 1 <= part <= self._parts[textbook_id]:
            return Answer(Kind.NOT_LISTED, reason=Note("Такого кода в каталоге нет."))
        return Answer(Kind.AUTOMATIC, (_sure(textbook_id),), 1.0, part=part)


def _sure(textbook_id: int) -> Candidate:
    return Candidate(textbook_id, 1.0)


def _fitting(part: int | None, parts: int | None) -> int | None:
    """Return the part where the book has it; a book in one volume has no parts to name."""
    return part if part is not None and parts is not None and parts > 1 and 1 <= part <= parts else None


def _notes(notes: Iterable[Note]) -> list[dict[str, Any]]:
    return [{"message": note.message, "parameters": dict(note.parameters)} for note in notes]


# --- finding imports and rows ---


def _require_count(by: User, holder: Holder) -> None:
    access.require_private(by, Action.SEE_SHELF, holder)
    access.require(by, Action.COUNT, holder)


def intake_of(intake_id: int, *, by: User) -> Intake:
    """Return an import the person may see, or raise ``NotFound``."""
    intake = db.session.get(Intake, intake_id)
    if intake is None or intake.district_id != by.district_id:
        raise NotFound
    access.require_private(by, Action.SEE_SHELF, intake.holder)
    return intake


def recent(*, by: User, limit: int = PAGE, first: int = 0) -> tuple[Sequence[Any], int]:
    """Return the imports of the places whose shelf the person may see, the newest first, and how many."""
    query = (
        sa.select(
            Intake.id,
            Intake.file,
            Intake.state,
            Intake.created_at,
            Intake.applied_at,
            Intake.result,
            Holder.short_name.label("holder"),
            User.full_name.label("by"),
            sa.func.count().over().label("total"),
        )
        .join(Holder, Holder.id == Intake.holder_id)
        .join(User, User.id == Intake.by_id)
        .where(Intake.holder_id.in_(access.where_allowed(by, Action.SEE_SHELF)))
        .order_by(Intake.id.desc())
        .limit(limit)
        .offset(first)
    )
    rows = db.session.execute(query).all()
    return rows, rows[0].total if rows else 0


def waiting_rows(intake_ids: Collection[int]) -> dict[int, int]:
    """Return, by import, how many rows still have to be confirmed."""
    rows = db.session.execute(
        sa.select(IntakeRow.intake_id, sa.func.count())
        .where(IntakeRow.intake_id.in_(intake_ids), IntakeRow.outcome == Outcome.TO_CONFIRM)
        .group_by(IntakeRow.intake_id)
    )
    return {row[0]: row[1] for row in rows}


def tallies(intake: Intake) -> dict[Outcome, int]:
    """Return how many rows ended how."""
    rows = db.session.execute(
        sa.select(IntakeRow.outcome, sa.func.count())
        .where(IntakeRow.intake_id == intake.id)
        .group_by(IntakeRow.outcome)
    )
    counted: dict[Outcome, int] = {row[0]: row[1] for row in rows}
    return {outcome: counted.get(outcome, 0) for outcome in Outcome}


def rows_without_year(intake: Intake) -> int:
    """Return how many rows of books name no year of printing."""
    return (
        db.session.scalar(
            sa.select(sa.func.count()).where(
                IntakeRow.intake_id == intake.id,
                IntakeRow.year.is_(None),
                IntakeRow.outcome.in_([Outcome.RECOGNISED, Outcome.TO_CONFIRM]),
            )
        )
        or 0
    )


_ROW = (
    IntakeRow.id,
    IntakeRow.sheet,
    IntakeRow.row,
    IntakeRow.item,
    IntakeRow.cells,
    IntakeRow.wording,
    IntakeRow.outcome,
    IntakeRow.textbook_id,
    IntakeRow.part,
    IntakeRow.year,
    IntakeRow.copies,
    IntakeRow.worn,
    IntakeRow.candidates,
    IntakeRow.remark,
    IntakeRow.by_hand,
    IntakeRow.group_key,
)


def rows_of(
    intake: Intake, outcome: Outcome | None = None, *, first: int = 0, limit: int | None = None
) -> Sequence[Any]:
    """Return rows in the order of the file: of one outcome, or all but the service rows."""
    wanted = IntakeRow.outcome == outcome if outcome else IntakeRow.outcome != Outcome.SERVICE
    return db.session.execute(
        sa.select(*_ROW)
        .where(IntakeRow.intake_id == intake.id, wanted)
        .order_by(IntakeRow.sheet, IntakeRow.row, IntakeRow.item)
        .offset(first)
        .limit(limit)
    ).all()


def books_of(textbook_ids: Collection[int]) -> dict[int, Any]:
    """Return what a page shows of some books."""
    rows = db.session.execute(
        sa.select(
            *BOOK_COLUMNS, Textbook.parts, Textbook.subject, Textbook.edition_note, Textbook.special_needs
        ).where(Textbook.id.in_(textbook_ids))
    )
    return {row.id: row for row in rows}


def row_of(row_id: int, *, by: User) -> tuple[Intake, IntakeRow]:
    """Return a row of an import the person may see, or raise ``NotFound``."""
    row = db.session.get(IntakeRow, row_id)
    if row is None:
        raise NotFound
    return intake_of(row.intake_id, by=by), row


def _locked(intake_id: int) -> Intake:
    """Return an import as it is now; nobody changes it until the unit ends."""
    # Locked by its number alone: over an object loaded before, the mapper would complain that it changed.
    db.session.execute(sa.select(Intake.id).where(Intake.id == intake_id).with_for_update()).one()
    return db.session.get_one(Intake, intake_id, populate_existing=True)


def _in_review(intake_id: int, *, by: User) -> Intake:
    """Lock an import to change its answers. Raises ``WrongMoment`` where it is not being reviewed."""
    intake = intake_of(intake_id, by=by)
    access.require(by, Action.COUNT, intake.holder)
    intake = _locked(intake_id)
    if intake.state is IntakeState.READING:
        raise WrongMoment(NOT_READY)
    if intake.state is not IntakeState.REVIEW:
        raise WrongMoment(NOT_IN_REVIEW, state=rules.INTAKE_STATE_NAMES[intake.state])
    return intake


def _touch(intake: Intake) -> None:
    """Bring the version forward, so that a summary opened before this answer is no longer good."""
    flag_modified(intake, "columns")
    db.session.flush()


# --- columns and year ---


def set_columns(
    intake_id: int,
    sheet: int,
    *,
    roles: Sequence[str],
    used: bool,
    seen: int | None,
    by: User,
    clock: Clock,
) -> int:
    """Say what the columns of a sheet mean; return the run that reads the rows again.

    Remembered for these headings at this school. Rows that a person answered stay as they are.
    """
    intake = _in_review(intake_id, by=by)
    if seen is not None and seen != intake.version:
        raise Stale(CHANGED_MEANWHILE)
    columns = columns_of(intake)
    if not 0 <= sheet < len(columns):
        raise NotFound
    changed = columns[sheet]
    if len(roles) != len(changed.roles) or not all(map(importer.is_role, roles)):
        raise Invalid("Форма повреждена. Обновите страницу.")
    if used and not importer.names_books(roles):
        raise Invalid("Укажите хотя бы столбец с наименованием: без него книги не узнать.")
    columns[sheet] = replace(changed, roles=tuple(roles), used=used, confidence=1.0)
    if changed.digest and used:
        db.session.merge(
            ColumnMemory(
                holder_id=intake.holder_id,
                headings=changed.digest,
                columns={"roles": list(roles)},
                saved_at=clock.now(),
            )
        )
    intake.columns = {**intake.columns, "sheets": [_stored(each) for each in columns]}
    intake.state = IntakeState.READING
    run = runs.enter(
        REREAD,
        district_id=intake.district_id,
        by_id=by.id,
        clock=clock,
        input={"intake": intake.id, "file": intake.file},
    )
    intake.run_id = run.id
    db.session.flush()
    return run.id


def reread(run: runs.Run, progress: Progress, *, clock: Clock) -> dict[str, Any]:
    """Read the rows of an import again from the cells as they are kept: the work of a run."""
    intake_id: int = run.input["intake"]
    try:
        progress(0, 0)
        intake = db.session.get_one(Intake, intake_id)
        columns = columns_of(intake)
        tables = [Table(each.name, []) for each in columns]
        rows: list[list[sheets.Row]] = [[] for _ in columns]
        for row in db.session.execute(
            sa.select(IntakeRow.sheet, IntakeRow.row, IntakeRow.cells)
            .where(IntakeRow.intake_id == intake_id)
            .order_by(IntakeRow.sheet, IntakeRow.row, IntakeRow.item)
        ):
            if not rows[row.sheet] or rows[row.sheet][-1][0] != row.row:
                rows[row.sheet].append((row.row, list(row.cells)))
        tables = [Table(each.name, kept) for each, kept in zip(columns, rows, strict=True)]
        return _understand(intake_id, run.id, tables, columns, progress, clock=clock)
    except Exception:
        db.session.rollback()
        in_unit(lambda: _back_to_review(intake_id, run.id))
        raise


def _back_to_review(intake_id: int, run_id: int) -> None:
    intake = _locked(intake_id)
    if _is_read_by(intake, run_id):
        intake.state = IntakeState.REVIEW
        db.session.flush()


def revive(intake_id: int, *, by: User, clock: Clock) -> None:
    """Take up an import whose reading died with the server: back to review, or not read at all."""
    intake = intake_of(intake_id, by=by)
    access.require(by, Action.COUNT, intake.holder)
    intake = _locked(intake_id)
    run = db.session.get(runs.Run, intake.run_id)
    if (
        intake.state is not IntakeState.READING
        or run is None
        or not (runs.lost(run, clock=clock) or run.has_failed)
    ):
        raise WrongMoment(NOT_READY)
    intake.state = IntakeState.REVIEW if intake.columns.get("sheets") else IntakeState.FAILED
    if intake.state is IntakeState.FAILED:
        intake.result = {"message": runs.BROKEN, "parameters": {}}
    db.session.flush()


def set_year(intake_id: int, year: int | None, *, by: User, clock: Clock) -> int:
    """Take ``year`` for all rows that name no year of printing (``None``: ask for each); return how many."""
    intake = _in_review(intake_id, by=by)
    _check_year(year, clock)
    intake.columns = {**intake.columns, "year": year}
    rows = db.session.execute(
        sa.select(*_ROW).where(
            IntakeRow.intake_id == intake.id,
            IntakeRow.year.is_(None),
            IntakeRow.outcome.in_([Outcome.RECOGNISED, Outcome.TO_CONFIRM, Outcome.ERROR]),
        )
    ).all()
    parts = _parts(row.textbook_id for row in rows)
    _store([{"id": row.id, **_settled(_as_dict(row), parts, year)} for row in rows])
    db.session.flush()
    return len(rows)


def _check_year(year: int | None, clock: Clock) -> None:
    last = clock.now().year + 1
    if year is not None and not rules.FIRST_YEAR <= year <= last:
        raise Invalid(
            "Год издания – от %(first)s до %(last)s. Он напечатан на обороте титульного листа.",
            field="year",
            first=rules.FIRST_YEAR,
            last=last,
        )


def _as_dict(row: Any) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in _ROW}


def _parts(textbook_ids: Iterable[int | None]) -> dict[int, int]:
    wanted = {each for each in textbook_ids if each is not None}
    if not wanted:
        return {}
    rows = db.session.execute(sa.select(Textbook.id, Textbook.parts).where(Textbook.id.in_(wanted)))
    return {row.id: row.parts for row in rows}


def _settled(row: Mapping[str, Any], parts: Mapping[int, int], default_year: int | None) -> dict[str, Any]:
    """Return outcome and remark of a row as it now stands."""
    remark = dict(row["remark"])
    understood = Understood(
        kind=Kind(remark.get("kind", Kind.NOT_LISTED)),
        textbook_id=row["textbook_id"],
        parts=parts.get(row["textbook_id"] or 0, 1),
        part=row["part"],
        whole_set=bool(remark.get("set")),
        year=row["year"],
        copies=row["copies"],
        wrong="fault" in remark,
        lone=bool(remark.get("lone")),
    )
    outcome, questions = rules.settle(understood, default_year=default_year)
    remark["questions"] = [question.value for question in questions]
    return {"outcome": outcome, "remark": remark}


def _store(values: Sequence[Mapping[str, Any]]) -> None:
    if values:
        db.session.execute(sa.update(IntakeRow), list(values))


# --- answers ---


def _group(intake: Intake, row: IntakeRow) -> list[dict[str, Any]]:
    """Return the row and those of the same wording that nobody has answered yet."""
    same = sa.and_(IntakeRow.group_key == row.group_key, IntakeRow.by_hand.is_(False))
    alone = IntakeRow.id == row.id
    return [
        _as_dict(each)
        for each in db.session.execute(
            sa.select(*_ROW)
            .where(IntakeRow.intake_id == intake.id, sa.or_(alone, same) if row.group_key else alone)
            .order_by(IntakeRow.id)
        )
    ]


_ANSWERED = ("outcome", "textbook_id", "part", "year", "copies", "worn", "remark")


def _answered(row: dict[str, Any], *, named: bool = False, **values: Any) -> dict[str, Any]:
    """Return what to store of an answered row, with what it was before, so that it can be taken back.

    ``named``: the answer says which book it is, and so was remembered.
    """
    remark = dict(row["remark"])
    was = remark.get("was") or {name: row[name] for name in _ANSWERED}
    kept = {**values.get("remark", remark), "was": was, "named": named or bool(remark.get("named"))}
    return {"id": row["id"], "by_hand": True, **values, "remark": kept}


def _wording(row: IntakeRow) -> Wording:
    return replace(Wording(**{"text": "", **row.wording}), year=None)


def choose(row_id: int, textbook_id: int, *, by: User, clock: Clock) -> int:
    """Say which book a row means; remembered, and taken for all rows of the same wording. Return how many."""
    intake, row = row_of(row_id, by=by)
    intake = _in_review(intake.id, by=by)
    textbook = db.session.get(Textbook, textbook_id)
    if textbook is None:
        raise NotFound("Такого учебника нет в каталоге.")
    _check_names_a_book(row)
    parts = {textbook.id: textbook.parts}
    stored = []
    for each in _group(intake, row):
        remark = {**each["remark"], "kind": Kind.CHOICE.value}
        chosen = {
            **each,
            "textbook_id": textbook.id,
            "part": _fitting(each["remark"].get("part"), textbook.parts),
            "remark": remark,
        }
        settled = _settled(chosen, parts, intake.columns.get("year"))
        stored.append(_answered(each, named=True, textbook_id=textbook.id, part=chosen["part"], **settled))
    _store(stored)
    recognition.confirm(
        school=intake.holder, wording=_wording(row), textbook_id=textbook.id, by=by, clock=clock
    )
    _touch(intake)
    return len(stored)


def _check_names_a_book(row: IntakeRow) -> None:
    if not row.wording:
        raise WrongMoment("В этой строке нет книги: это заголовок или итог.")


def not_a_textbook(row_id: int, *, by: User, clock: Clock) -> int:
    """Say that a row is no textbook; remembered, and taken for all rows of the same wording."""
    intake, row = row_of(row_id, by=by)
    intake = _in_review(intake.id, by=by)
    _check_names_a_book(row)
    stored = [
        _answered(each, named=True, outcome=Outcome.NOT_TEXTBOOK, textbook_id=None, part=None)
        for each in _group(intake, row)
    ]
    _store(stored)
    recognition.confirm(school=intake.holder, wording=_wording(row), textbook_id=None, by=by, clock=clock)
    _touch(intake)
    return len(stored)


def skip(row_id: int, *, by: User) -> None:
    """Leave one row out of the import; its book stays as it is on the shelf."""
    intake, row = row_of(row_id, by=by)
    intake = _in_review(intake.id, by=by)
    _store([_answered(_as_dict(row), outcome=Outcome.SKIPPED)])
    _touch(intake)


def choose_part(row_id: int, part: int | None, *, by: User) -> int:
    """Say which part a row counts; ``None``: sets, every part. «Set» holds for all rows of the wording.

    A single part is taken for this row only: two rows of one wording are often the two parts.
    """
    intake, row = row_of(row_id, by=by)
    intake = _in_review(intake.id, by=by)
    if row.textbook_id is None:
        raise WrongMoment("Сначала укажите, какой это учебник.")
    parts = _parts([row.textbook_id])
    if part is not None and not 1 <= part <= parts[row.textbook_id]:
        raise Invalid("Такой части у учебника нет.", field="part")
    group = [_as_dict(row)] if part is not None else _group(intake, row)
    stored = []
    for each in group:
        if each["textbook_id"] != row.textbook_id:
            continue
        changed = {**each, "part": part, "remark": {**each["remark"], "set": part is None}}
        stored.append(_answered(each, part=part, **_settled(changed, parts, intake.columns.get("year"))))
    _store(stored)
    _touch(intake)
    return len(stored)


def correct(
    row_id: int, *, copies: int | None, worn: int | None, year: int | None, by: User, clock: Clock
) -> None:
    """Type the count, the worn copies and the year of a row anew.

    ``copies`` may stay None where the row has no count yet: then only the year is written down.
    """
    intake, row = row_of(row_id, by=by)
    intake = _in_review(intake.id, by=by)
    _check_names_a_book(row)
    _check_year(year, clock)
    if (copies is None and row.copies is not None) or (copies is not None and not 0 <= copies <= MOST_COPIES):
        raise Invalid("Количество – от 0 до %(most)s.", field="copies", most=MOST_COPIES)
    if worn is not None and copies is not None and worn > copies:
        raise Invalid("К списанию не может быть больше, чем всего.", field="worn")
    before = _as_dict(row)
    remark = {name: value for name, value in row.remark.items() if name != "fault" or copies is None}
    changed = {**before, "copies": copies, "worn": worn, "year": year, "remark": remark}
    settled = _settled(changed, _parts([row.textbook_id]), intake.columns.get("year"))
    _store([_answered(before, copies=copies, worn=worn, year=year, **settled)])
    _touch(intake)


def take_back(row_id: int, *, by: User) -> int:
    """Take a person's answer back: the row is again what the portal made of it.

    Where the answer said which book it is, it is forgotten and taken back for all rows of the wording.
    """
    intake, row = row_of(row_id, by=by)
    intake = _in_review(intake.id, by=by)
    if not row.by_hand:
        return 0
    named = bool(row.remark.get("named"))
    same = sa.and_(IntakeRow.group_key == row.group_key, IntakeRow.by_hand.is_(True))
    alone = IntakeRow.id == row.id
    rows = [
        each
        for each in db.session.execute(
            sa.select(*_ROW).where(
                IntakeRow.intake_id == intake.id, same if named and row.group_key else alone
            )
        )
        if bool(each.remark.get("named")) == named
    ]
    parts = _parts(each.remark["was"]["textbook_id"] for each in rows)
    stored = []
    for each in rows:
        was = each.remark["was"]
        settled = _settled(was, parts, intake.columns.get("year"))
        stored.append({"id": each.id, **was, **settled, "by_hand": False})
    _store(stored)
    if named:
        recognition.forget(school=intake.holder, wording=_wording(row), by=by)
    _touch(intake)
    return len(stored)


# --- what would change ---


@dataclass(frozen=True)
class Plan:
    """What writing an import would do to the shelf. ``open``: rows that are left out because not answered."""

    changes: Sequence[Change]
    untouched: int
    open: int
    wrong: int

    @property
    def differing(self) -> list[Change]:
        """The editions that change."""
        return [each for each in self.changes if each.differs]

    @property
    def refused(self) -> list[Change]:
        """The editions that cannot be brought to the count of the file."""
        return [each for each in self.changes if each.refused]

    @property
    def same(self) -> int:
        """How many editions stand as the file says."""
        return sum(1 for each in self.changes if not each.refused and not each.differs)

    @property
    def before(self) -> int:
        """Copies of the editions of the file before."""
        return sum(each.before.own for each in self.changes)

    @property
    def after(self) -> int:
        """Copies of the editions of the file after."""
        return sum(each.before.own if each.refused else each.copies for each in self.changes)


def plan(intake: Intake) -> Plan:
    """Compare the recognised rows of an import with the shelf."""
    counted = rules.totals(_counted(intake))
    shelf = _shelf(intake)
    numbers = tallies(intake)
    return Plan(
        changes=rules.changes(counted, shelf, most=MOST_COPIES),
        untouched=rules.untouched(shelf, counted),
        open=numbers[Outcome.TO_CONFIRM],
        wrong=numbers[Outcome.ERROR],
    )


def _counted(intake: Intake) -> list[Counted]:
    default_year = intake.columns.get("year")
    rows = db.session.execute(
        sa.select(
            IntakeRow.id, IntakeRow.textbook_id, Textbook.parts, IntakeRow.part, IntakeRow.year,
            IntakeRow.copies, IntakeRow.worn,
        )
        .join(Textbook, Textbook.id == IntakeRow.textbook_id)
        .where(IntakeRow.intake_id == intake.id, IntakeRow.outcome == Outcome.RECOGNISED)
        .order_by(IntakeRow.id)
    )  # fmt: skip
    return [
        Counted(
            row_id=row.id,
            textbook_id=row.textbook_id,
            parts=row.parts,
            part=row.part,
            year=row.year or default_year or 0,
            copies=row.copies,
            worn=row.worn,
        )
        for row in rows
    ]


def _named_books(intake: Intake) -> sa.Select[Any]:
    return sa.select(IntakeRow.textbook_id).where(
        IntakeRow.intake_id == intake.id, IntakeRow.outcome == Outcome.RECOGNISED
    )


def _shelf(intake: Intake) -> dict[EditionKey, OnShelf]:
    """Return what stands on the shelf, and what is known of the other editions of the books of the file."""
    holder_id = intake.holder_id
    own = Balance.owner_id == holder_id
    here = (
        sa.select(
            Balance.edition_id,
            sa.func.sum(sa.case((own, Balance.copies), else_=0)).label("own"),
            sa.func.sum(sa.case((own, 0), else_=Balance.copies)).label("borrowed"),
            sa.func.sum(sa.case((own, Balance.promised), else_=0)).label("promised"),
        )
        .where(Balance.holder_id == holder_id)
        .group_by(Balance.edition_id)
        .subquery()
    )
    offered = (
        sa.select(_offer.c.edition_id, sa.func.sum(_offer.c.copies - _offer.c.reserved).label("offered"))
        .where(_offer.c.holder_id == holder_id, _offer.c.state == OPEN)
        .group_by(_offer.c.edition_id)
        .subquery()
    )

    def number(column: Any) -> sa.ColumnElement[int]:
        return sa.func.coalesce(column, 0)

    rows = db.session.execute(
        sa.select(
            Edition.textbook_id,
            Edition.year,
            Edition.part,
            Edition.id,
            number(here.c.own).label("own"),
            number(here.c.promised).label("promised"),
            number(offered.c.offered).label("offered"),
            number(here.c.borrowed).label("borrowed"),
            number(ShelfNote.worn).label("worn"),
            ShelfNote.counted_at,
            ShelfNote.edition_id.is_not(None).label("noted"),
        )
        .outerjoin(here, here.c.edition_id == Edition.id)
        .outerjoin(offered, offered.c.edition_id == Edition.id)
        .outerjoin(ShelfNote, sa.and_(ShelfNote.edition_id == Edition.id, ShelfNote.holder_id == holder_id))
        .where(sa.or_(here.c.edition_id.is_not(None), Edition.textbook_id.in_(_named_books(intake))))
    )
    return {
        (row.textbook_id, row.year, row.part): OnShelf(
            edition_id=row.id,
            own=int(row.own),
            promised=int(row.promised),
            offered=int(row.offered),
            borrowed=int(row.borrowed),
            worn=row.worn,
            counted_at=row.counted_at,
            noted=bool(row.noted),
        )
        for row in rows
    }


# --- writing and undoing ---


def apply(intake_id: int, *, seen: int | None, by: User, clock: Clock) -> Intake:
    """Write the recognised rows to the shelf: one movement for the whole file.

    What cannot be (fewer than promised) is left out with its reason, what the file does not mention stays. An
    import that is written already is returned as it is. Raises ``Stale`` when answers changed after ``seen``.
    """
    intake = intake_of(intake_id, by=by)
    access.require(by, Action.COUNT, intake.holder)
    intake = _locked(intake_id)
    if intake.state is IntakeState.APPLIED:
        return intake
    intake = _in_review(intake_id, by=by)
    if seen is not None and seen != intake.version:
        raise Stale(CHANGED_MEANWHILE)
    counted = rules.totals(_counted(intake))
    if not counted:
        raise Invalid("Записывать нечего: в файле нет ни одной распознанной строки.")
    _make_editions(intake, counted)
    ledger.locked_shelf(
        intake.holder_id, sa.select(Edition.id).where(Edition.textbook_id.in_(_named_books(intake)))
    )
    found = rules.changes(counted, _shelf(intake), most=MOST_COPIES)
    done = [each for each in found if not each.refused and each.before.edition_id is not None]
    movement = _post(intake, done, by=by, clock=clock)
    now = clock.now()
    _write_notes(intake.holder_id, done, now)
    refused = [each for each in found if each.refused]
    _mark_refused(refused)
    intake.state = IntakeState.APPLIED
    intake.applied_at = now
    intake.movement_id = movement.id if movement else None
    intake.written = [
        [
            each.before.edition_id,
            each.copies - each.before.own,
            each.before.worn,
            each.worn,
            each.before.counted_at.isoformat() if each.before.counted_at else None,
            each.before.noted,
        ]
        for each in done
    ]
    before, after = sum(each.before.own for each in done), sum(each.copies for each in done)
    intake.result = {
        "editions": len(done),
        "changed": sum(each.differs for each in done),
        "before": before,
        "after": after,
        "refused": len(refused),
    }
    db.session.flush()
    journal.record(
        "holder",
        intake.holder_id,
        "Записан на полку файл «%(file)s»: изданий %(editions)s, изменилось %(changed)s, "
        "экземпляров было %(before)s, стало %(after)s",
        by_id=by.id,
        clock=clock,
        district_id=intake.district_id,
        file=intake.file,
        intake_id=intake.id,
        **{name: intake.result[name] for name in ("editions", "changed", "before", "after")},
    )
    return intake


def _make_editions(intake: Intake, counted: Mapping[EditionKey, rules.Total]) -> None:
    """Make the editions nobody had before; of those with no copies there is nothing to say."""
    known = {
        tuple(row)
        for row in db.session.execute(
            sa.select(Edition.textbook_id, Edition.year, Edition.part).where(
                Edition.textbook_id.in_(_named_books(intake))
            )
        )
    }
    insert_missing(
        Edition,
        [
            {"textbook_id": key[0], "year": key[1], "part": key[2]}
            for key, total in counted.items()
            if key not in known and total.copies
        ],
    )


def _post(intake: Intake, done: Sequence[Change], *, by: User, clock: Clock) -> Movement | None:
    source = ledger.technical(intake.district_id, HolderKind.SOURCE)
    own = intake.holder_id
    lines: list[Line] = []
    for each in done:
        if each.moves and each.before.edition_id is not None:
            lines += transfer_of_copies(
                each.before.edition_id, each.copies - each.before.own, owner=(own, own), holder=(source, own)
            )
    if not lines:
        return None
    return ledger.post(
        MovementKind.COUNT,
        lines,
        by=by,
        clock=clock,
        district_id=intake.district_id,
        reason=f"файл «{intake.file}»"[:500],
    )


def _write_notes(holder_id: int, done: Sequence[Change], now: datetime) -> None:
    insert_missing(
        ShelfNote,
        [
            {
                "holder_id": holder_id,
                "edition_id": each.before.edition_id,
                "condition": Condition.GOOD,
                "worn": 0,
                "counted_at": None,
            }
            for each in done
            if not each.before.noted
        ],
    )
    notes = [
        {"holder_id": holder_id, "edition_id": each.before.edition_id, "worn": each.worn, "counted_at": now}
        for each in done
    ]
    if notes:
        db.session.execute(sa.update(ShelfNote), notes)


def _mark_refused(refused: Sequence[Change]) -> None:
    """Let the rows of what was not written end as errors with the reason."""
    reasons = {row_id: each for each in refused for row_id in each.row_ids}
    for part in _chunks(({"id": row_id} for row_id in reasons), CHUNK):
        rows = db.session.execute(
            sa.select(IntakeRow.id, IntakeRow.remark).where(IntakeRow.id.in_([each["id"] for each in part]))
        ).all()
        _store(
            [
                {
                    "id": row.id,
                    "outcome": Outcome.ERROR,
                    "remark": {
                        **row.remark,
                        "fault": {
                            "message": reasons[row.id].refusal,
                            "parameters": dict(reasons[row.id].parameters or {}),
                        },
                    },
                }
                for row in rows
            ]
        )


def undo(intake_id: int, *, seen: int | None, by: User, clock: Clock) -> Intake:
    """Undo an import with one reversing movement; counts and notes are again what they were before it.

    Raises ``WrongMoment`` with the books concerned when anything depends on it.
    """
    intake = intake_of(intake_id, by=by)
    access.require(by, Action.COUNT, intake.holder)
    intake = _locked(intake_id)
    if intake.state is IntakeState.UNDONE:
        return intake
    if intake.state is not IntakeState.APPLIED or intake.applied_at is None:
        raise WrongMoment("Этот файл не записан на полку: отменять нечего.")
    if seen is not None and seen != intake.version:
        raise Stale(CHANGED_MEANWHILE)
    written = _written(intake)
    ids = [each.edition_id for each in written]
    for part in _portions(ids):
        ledger.locked_shelf(intake.holder_id, sa.select(Edition.id).where(Edition.id.in_(part)))
    _check_independent(intake, written)
    movement = None
    if intake.movement_id is not None:
        lines = [
            Line(line.edition_id, line.owner_id, line.holder_id, -line.copies)
            for line in db.session.execute(
                sa.select(
                    MovementLine.edition_id,
                    MovementLine.owner_id,
                    MovementLine.holder_id,
                    MovementLine.copies,
                ).where(MovementLine.movement_id == intake.movement_id)
            )
        ]
        movement = ledger.post(
            MovementKind.REVERSAL,
            lines,
            by=by,
            clock=clock,
            district_id=intake.district_id,
            reason=f"отмена файла «{intake.file}»"[:500],
        )
    _restore_notes(intake.holder_id, written)
    intake.state = IntakeState.UNDONE
    intake.undo_movement_id = movement.id if movement else None
    db.session.flush()
    journal.record(
        "holder",
        intake.holder_id,
        "Отменена загрузка файла «%(file)s»: полка снова такая, как была",
        by_id=by.id,
        clock=clock,
        district_id=intake.district_id,
        file=intake.file,
        intake_id=intake.id,
    )
    return intake


def _portions(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[first : first + CHUNK] for first in range(0, len(ids), CHUNK))


def _written(intake: Intake) -> list[Written]:
    return [
        Written(
            edition_id=edition_id,
            added=added,
            worn_before=worn_before,
            worn=worn,
            counted_before=datetime.fromisoformat(counted_before).astimezone(UTC) if counted_before else None,
            noted_before=noted_before,
        )
        for edition_id, added, worn_before, worn, counted_before, noted_before in intake.written
    ]


def _check_independent(intake: Intake, written: Sequence[Written]) -> None:
    assert intake.applied_at is not None
    now = _since(intake)
    reasons: dict[int, rules.Dependence] = {}
    for each in written:
        reason = rules.depends(each, now.get(each.edition_id, rules.Since()), applied_at=intake.applied_at)
        if reason is not None:
            reasons[each.edition_id] = reason
    if not reasons:
        return
    names = [
        f"«{row.title}», {row.year}"
        for row in db.session.execute(
            sa.select(Textbook.title, Edition.year)
            .join(Edition, Edition.textbook_id == Textbook.id)
            .where(Edition.id.in_(list(reasons)[:4]))
            .order_by(Textbook.sort_key)
        )
    ]
    first = Counter(reasons.values()).most_common(1)[0][0]
    raise WrongMoment(
        "Отменить загрузку уже нельзя: %(reason)s – %(books)s. Исправьте количество на полке вручную.",
        reason=rules.DEPENDENCES[first],
        books=rules.first_few(names),
    )


def _since(intake: Intake) -> dict[int, rules.Since]:
    """Return what stands now of each edition an import wrote, and whether copies moved after it."""
    # What a later import wrote and took back again left nothing behind.
    gone = (Intake.holder_id == intake.holder_id, Intake.undo_movement_id.is_not(None))
    moved = set(
        db.session.scalars(
            sa.select(MovementLine.edition_id)
            .where(
                MovementLine.holder_id == intake.holder_id,
                MovementLine.movement_id > _last_movement(intake),
                MovementLine.movement_id.not_in(sa.select(Intake.movement_id).where(*gone)),
                MovementLine.movement_id.not_in(sa.select(Intake.undo_movement_id).where(*gone)),
            )
            .distinct()
        )
    )
    return {
        shelf.edition_id: rules.Since(
            own=shelf.own,
            promised=shelf.promised,
            offered=shelf.offered,
            worn=shelf.worn,
            counted_at=shelf.counted_at,
            moved=shelf.edition_id in moved,
        )
        for shelf in _shelf(intake).values()
        if shelf.edition_id is not None
    }


def _last_movement(intake: Intake) -> int:
    """Return the newest movement at the time of the import: its own, or the newest before it."""
    if intake.movement_id is not None:
        return intake.movement_id
    return (
        db.session.scalar(
            sa.select(sa.func.max(Movement.id)).where(
                Movement.district_id == intake.district_id, Movement.at <= intake.applied_at
            )
        )
        or 0
    )


def _restore_notes(holder_id: int, written: Sequence[Written]) -> None:
    known = [each for each in written if each.noted_before]
    if known:
        db.session.execute(
            sa.update(ShelfNote),
            [
                {
                    "holder_id": holder_id,
                    "edition_id": each.edition_id,
                    "worn": each.worn_before,
                    "counted_at": each.counted_before,
                }
                for each in known
            ],
        )
    new = [each.edition_id for each in written if not each.noted_before]
    for part in _portions(new):
        db.session.execute(
            sa.delete(ShelfNote).where(ShelfNote.holder_id == holder_id, ShelfNote.edition_id.in_(part))
        )


def discard(intake_id: int, *, by: User) -> Intake:
    """Give an import up before it is written; its rows are kept."""
    intake = intake_of(intake_id, by=by)
    access.require(by, Action.COUNT, intake.holder)
    intake = _locked(intake_id)
    if intake.state is IntakeState.DISCARDED:
        return intake
    if intake.state is IntakeState.READING:
        raise WrongMoment(NOT_READY)
    if intake.state not in {IntakeState.REVIEW, IntakeState.FAILED}:
        raise WrongMoment(NOT_IN_REVIEW, state=rules.INTAKE_STATE_NAMES[intake.state])
    intake.state = IntakeState.DISCARDED
    db.session.flush()
    return intake
