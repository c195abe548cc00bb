"""The federal lists, the textbooks and their editions: everything that finds or changes them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from exchange import journal, runs
from exchange.catalog.importer import (
    ExistingEntry,
    Finding,
    Outcome,
    ParsedEntry,
    ParsedList,
    Report,
    Severity,
    compare,
    existing_entry,
    read_list,
)
from exchange.catalog.models import Edition, FederalList, ListEntry, Textbook
from exchange.catalog.rules import Legality, Listing, SchoolYear, Verdict, fold, legality, sort_key
from exchange.clock import Clock
from exchange.db import db, in_unit, insert_if_absent
from exchange.errors import Invalid, NotFound, WrongMoment
from exchange.schools import access
from exchange.schools.models import User
from exchange.schools.rules import Action

OLDEST_YEAR = 1990
"""Year of printing of the oldest books that may still stand on a shelf."""
LATEST_YEAR = 2100
PAGE = 50

BOOK_COLUMNS = (
    Textbook.id,
    Textbook.title,
    Textbook.authors,
    Textbook.grade_from,
    Textbook.grade_to,
    Textbook.publisher,
    Textbook.level,
)
"""What the template macro ``book`` shows of a textbook."""


def edition_for(textbook_id: int, year: int, part: int, *, clock: Clock | None = None) -> Edition:
    """Return the edition of this year of printing and this part; make it where nobody had it before.

    With ``clock`` a year after the next one is refused too. Raises ``NotFound`` for an unknown textbook and
    ``Invalid`` (fields ``year`` and ``part``).
    """
    textbook = db.session.get(Textbook, textbook_id)
    if textbook is None:
        raise NotFound("Такого учебника нет в каталоге.")
    latest = clock.now().year + 1 if clock else LATEST_YEAR
    if not OLDEST_YEAR <= year <= latest:
        raise Invalid(
            "Год издания – от %(first)s до %(last)s. Он напечатан на обороте титульного листа.",
            field="year",
            first=OLDEST_YEAR,
            last=latest,
        )
    if not 1 <= part <= textbook.parts:
        message = (
            "Учебник «%(title)s» в одной части, части %(part)s у него нет."
            if textbook.parts == 1
            else "В учебнике «%(title)s» частей – %(parts)s, части %(part)s у него нет."
        )
        raise Invalid(message, field="part", title=textbook.title, parts=textbook.parts, part=part)
    insert_if_absent(Edition, textbook_id=textbook_id, year=year, part=part)
    return db.session.scalars(
        sa.select(Edition).where(
            Edition.textbook_id == textbook_id, Edition.year == year, Edition.part == part
        )
    ).one()


# --- legality ---

_Place = tuple[int, int, date | None, bool, date | None]
"""What matters of an entry: list, appendix, last day, «бессрочно», day of exclusion."""


def verdicts(
    textbook_ids: Iterable[int], on: date, school_year: SchoolYear | None = None
) -> dict[int, Verdict]:
    """Return what the federal list says on ``on`` about each book, in two queries.

    A book without an entry gets the verdict «нет в перечне». ``school_year``: the year that is asked about,
    by default the one that ``on`` is in.
    """
    wanted = set(textbook_ids)
    if not wanted:
        return {}
    return _judged(wanted, _places(ListEntry.textbook_id.in_(wanted)), on, school_year)


def verdicts_of_years(
    textbook_ids: Iterable[int], days: Mapping[SchoolYear, date]
) -> list[dict[int, Verdict]]:
    """Return what ``verdicts`` would for each school year, as seen on its day; still in two queries."""
    wanted = set(textbook_ids)
    if not wanted:
        return [{} for _ in days]
    places, lists = _places(ListEntry.textbook_id.in_(wanted)), _lists()
    return [_judged(wanted, places, on, year, lists) for year, on in days.items()]


def _places(*where: sa.ColumnElement[bool]) -> dict[int, list[_Place]]:
    places: dict[int, list[_Place]] = {}
    for textbook_id, *place in db.session.execute(
        sa.select(
            ListEntry.textbook_id,
            ListEntry.list_id,
            ListEntry.appendix,
            ListEntry.valid_until,
            ListEntry.perpetual,
            ListEntry.excluded_on,
        )
        .where(*where)
        .order_by(ListEntry.id)
    ):
        places.setdefault(textbook_id, []).append(tuple(place))  # type: ignore[arg-type]
    return places


def _judged(
    textbook_ids: Collection[int],
    places: dict[int, list[_Place]],
    on: date,
    school_year: SchoolYear | None,
    lists: Mapping[int, Any] | None = None,
) -> dict[int, Verdict]:
    """Judge many books. Thousands of books share a few dozen combinations of dates: each is judged once."""
    lists = _lists() if lists is None else lists
    known: dict[tuple[_Place, ...], Verdict] = {}
    result: dict[int, Verdict] = {}
    for textbook_id in textbook_ids:
        key = tuple(places.get(textbook_id, ()))
        if key not in known:
            known[key] = legality((_listing(lists[place[0]], place) for place in key), on, school_year)
        result[textbook_id] = known[key]
    return result


def _lists() -> dict[int, Any]:
    return {
        row.id: row
        for row in db.session.execute(
            sa.select(
                FederalList.id,
                FederalList.order_number,
                FederalList.edition,
                FederalList.in_force_from,
                FederalList.in_force_until,
            )
        )
    }


def _listing(row: Any, place: _Place) -> Listing:
    _, appendix, valid_until, perpetual, excluded_on = place
    return Listing(
        order=row.order_number,
        edition=row.edition,
        appendix=appendix,
        number="",
        valid_until=valid_until,
        excluded_on=excluded_on,
        in_force_from=row.in_force_from,
        in_force_until=row.in_force_until,
        perpetual=perpetual,
    )


@dataclass(frozen=True)
class Number:
    """Where the newest order in force names a book: number, order («858 (ред. 119)») and appendix."""

    number: str
    order: str
    appendix: int


def numbers(textbook_ids: Iterable[int], on: date) -> dict[int, Number]:
    """Return, for each book that an order in force on ``on`` names, its number there; one query.

    Of several numbers in the newest order the one in appendix 1 counts, which is also the one to buy by.
    """
    in_force = sa.and_(
        FederalList.in_force_from <= on,
        sa.or_(FederalList.in_force_until.is_(None), FederalList.in_force_until >= on),
    )
    found: dict[int, Number] = {}
    for textbook_id, number, appendix, order, edition in db.session.execute(
        sa.select(
            ListEntry.textbook_id,
            ListEntry.number,
            ListEntry.appendix,
            FederalList.order_number,
            FederalList.edition,
        )
        .join(FederalList, FederalList.id == ListEntry.list_id)
        .where(ListEntry.textbook_id.in_(set(textbook_ids)), in_force)
        .order_by(FederalList.in_force_from.desc(), ListEntry.appendix, ListEntry.number)
    ):
        title = f"{order} (ред. {edition})" if edition else order
        found.setdefault(textbook_id, Number(number, title, appendix))
    return found


# --- search ---


def matching(text: str) -> list[sa.ColumnElement[bool]]:
    """Return the conditions under which a textbook matches what somebody typed.

    All words must occur, in any order, ё like е; a number must occur whole («1 класс» is not «11 класс»).
    """
    conditions: list[sa.ColumnElement[bool]] = []
    for word in re.findall(r"\w+", re.sub(r"(\d)\s*-\s*(?:й|го|е)\b", r"\1", fold(text))):
        if word.isdecimal():
            conditions.append(
                (sa.literal(" ") + Textbook.folded + " ").contains(f" {word} ", autoescape=True)
            )
        else:
            conditions.append(Textbook.folded.contains(word, autoescape=True))
    return conditions


@dataclass(frozen=True)
class Found:
    """A page of books, how many there are in all, and what the list says about those of the page."""

    rows: Sequence[Any]
    total: int
    verdicts: dict[int, Verdict]


def search(
    text: str = "",
    *,
    on: date,
    subject: str = "",
    grade: int | None = None,
    publisher: str = "",
    level: str | None = None,
    standing: Legality | None = None,
    first: int = 0,
    limit: int | None = PAGE,
) -> Found:
    """Find textbooks by words and facts, ordered by subject, class, title and authors.

    ``level``: ``None`` for any, empty for books of no named level; ``standing``: what the list says about
    them on ``on``; ``limit=None`` returns all. The rows carry ``BOOK_COLUMNS`` and ``subject``,
    ``edition_note``, ``parts``, ``language``, ``special_needs``. Three queries.
    """
    where = matching(text)
    if subject:
        where.append(Textbook.subject == subject)
    if grade is not None:
        # As a full integer: PostgreSQL refuses to compare a small one with a number it cannot hold.
        asked = sa.literal(grade, sa.Integer)
        where.append(sa.and_(Textbook.grade_from <= asked, Textbook.grade_to >= asked))
    if publisher:
        # A book may bear the names of two publishers: «Дрофа; Просвещение».
        names = sa.literal("; ") + Textbook.publisher + ";"
        where.append(names.contains(f"; {publisher};", autoescape=True))
    if level is not None:
        where.append(Textbook.level == level)
    columns = sa.select(
        *BOOK_COLUMNS,
        Textbook.subject,
        Textbook.edition_note,
        Textbook.parts,
        Textbook.language,
        Textbook.special_needs,
    ).order_by(Textbook.sort_key, Textbook.id)
    if standing is None:
        counted = columns.add_columns(sa.func.count().over().label("total"))
        rows = db.session.execute(counted.where(*where).offset(first).limit(limit)).all()
        return Found(rows, rows[0].total if rows else 0, verdicts([row.id for row in rows], on))
    # The rule is not written a second time in SQL: all the matching books are judged, then cut into pages.
    ids = list(
        db.session.scalars(sa.select(Textbook.id).where(*where).order_by(Textbook.sort_key, Textbook.id))
    )
    judged = _judged(ids, _places(), on, None)
    ids = [textbook_id for textbook_id in ids if judged[textbook_id].legality is standing]
    shown = ids[first : None if limit is None else first + limit]
    rows = db.session.execute(columns.where(Textbook.id.in_(shown))).all()
    return Found(rows, len(ids), {textbook_id: judged[textbook_id] for textbook_id in shown})


def facets() -> tuple[list[str], list[str]]:
    """Return the subjects and the publishers there are, by name, in one query."""
    pairs = db.session.execute(sa.select(Textbook.subject, Textbook.publisher).distinct()).all()
    subjects = {pair.subject for pair in pairs if pair.subject}
    publishers = {name for pair in pairs for name in pair.publisher.split("; ") if name}
    return sorted(subjects, key=sort_key), sorted(publishers, key=sort_key)


@dataclass(frozen=True)
class Described:
    """One textbook with all that the lists say about it. ``entries``: columns of entry and list."""

    textbook: Textbook
    now: Verdict
    next_year: Verdict
    year: SchoolYear
    entries: Sequence[Any]
    years: Mapping[int, Sequence[int]]
    """Years of printing counted anywhere, by part."""

    @property
    def in_russian(self) -> bool:
        """Whether the book is in Russian, as nearly all are."""
        return self.textbook.language == "русский"


def describe(textbook_id: int, *, on: date) -> Described:
    """Return one textbook for its page, in two queries; ``NotFound`` for an unknown one."""
    rows = db.session.execute(
        sa.select(
            Textbook,
            ListEntry.appendix,
            ListEntry.number,
            ListEntry.valid_until,
            ListEntry.perpetual,
            ListEntry.excluded_on,
            ListEntry.raw,
            FederalList.order_number,
            FederalList.edition,
            FederalList.in_force_from,
            FederalList.in_force_until,
        )
        .select_from(Textbook)
        .join(ListEntry, ListEntry.textbook_id == Textbook.id, isouter=True)
        .join(FederalList, FederalList.id == ListEntry.list_id, isouter=True)
        .where(Textbook.id == textbook_id)
        .order_by(FederalList.in_force_from.desc(), ListEntry.appendix, ListEntry.number, ListEntry.position)
    ).all()
    if not rows:
        raise NotFound("Такого учебника нет в каталоге.")
    textbook: Textbook = rows[0].Textbook
    entries = [row for row in rows if row.appendix is not None]
    listings = [
        _listing(row, (0, row.appendix, row.valid_until, row.perpetual, row.excluded_on)) for row in entries
    ]
    year = SchoolYear.of(on)
    years: dict[int, list[int]] = {part: [] for part in range(1, textbook.parts + 1)}
    for part, printed in db.session.execute(
        sa.select(Edition.part, Edition.year)
        .where(Edition.textbook_id == textbook_id)
        .order_by(Edition.part, Edition.year)
    ):
        years.setdefault(part, []).append(printed)
    return Described(
        textbook=textbook,
        now=legality(listings, on),
        next_year=legality(listings, on, SchoolYear(year.start + 1)),
        year=year,
        entries=entries,
        years=years,
    )


# --- loading a list ---

CHECK = "list-check"
APPLY = "list-apply"
STEPS = 2
"""Reading and writing."""

Progress = Callable[[int, int], None]

_WIDTHS = {
    "identity": 500,
    "title": 450,
    "subject_area": 200,
    "subject": 200,
    "number": 40,
    "language": 60,
    "edition_note": 200,
}
_JOINED_WIDTHS = {"authors": 400, "editors": 400, "publishers": 300}
"""What the columns hold, less what is added when they are put together; a cell of the act is far shorter."""


@dataclass(frozen=True)
class Plan:
    """What loading a list would do: the file as read, compared with what is stored."""

    order: str
    edition: str
    in_force_from: date
    signed_on: date | None
    whole: bool
    parsed: ParsedList
    report: Report

    @cached_property
    def table(self) -> list[tuple[str, ...]]:
        """The report under ``importer.REPORT_HEADER``, with everything there is to say about the rows."""
        notices = (
            ("замечание", each.sheet, str(each.row), "", "", "", "", "", "", str(each))
            for each in self.parsed.findings
            if each.severity is Severity.NOTICE
        )
        return [*self.report.rows(), *notices]

    @property
    def counts(self) -> dict[str, int]:
        """How many entries are new, changed, unchanged and excluded, and how many rows are doubtful."""
        report = self.report
        return {
            "new": len(report.new),
            "changed": len(report.changed),
            "unchanged": len(report.unchanged),
            "excluded": len(report.excluded),
            "doubtful": len(report.doubtful),
        }

    @property
    def fingerprint(self) -> str:
        """Equal for plans that would do the same."""
        return hashlib.sha256(repr((self.in_force_from, self.table)).encode()).hexdigest()


def plan_import(
    path: Path,
    *,
    order: str,
    edition: str = "",
    in_force_from: date,
    signed_on: date | None = None,
    file: str = "",
    whole: bool = True,
) -> Plan:
    """Read the file at ``path`` and say what loading it would do; write nothing.

    ``file`` is its name as people know it. With ``whole=False`` the file is a table of additions: what it
    does not name stays. Raises ``Invalid`` for a file that is no list, is unsafe, or has no such order.
    """
    with path.open("rb") as source:
        parsed = read_list(source, file or path.name, order=order.strip(), edition=edition.strip())
    return plan_parsed(
        parsed,
        order=order,
        edition=edition,
        in_force_from=in_force_from,
        signed_on=signed_on,
        whole=whole,
    )


def plan_parsed(
    parsed: ParsedList,
    *,
    order: str,
    edition: str = "",
    in_force_from: date,
    signed_on: date | None = None,
    whole: bool = True,
) -> Plan:
    """Say what loading a list that has been read would do; write nothing."""
    order, edition = order.strip(), edition.strip()
    _check_dates(order, edition, in_force_from, signed_on)
    parsed = _fitting(parsed)
    if not parsed.entries:
        raise Invalid(
            "В файле нет ни одной строки перечня %(order)s. Проверьте номер приказа и редакцию.",
            field="order",
            order=_label(order, edition),
        )
    report = compare(parsed, _stored(order, edition), whole=whole)
    return Plan(order, edition, in_force_from, signed_on, whole, parsed, report)


def _label(order: str, edition: str) -> str:
    return f"{order}/{edition}" if edition else order


def _check_dates(order: str, edition: str, in_force_from: date, signed_on: date | None) -> None:
    if signed_on is not None and signed_on > in_force_from:
        raise Invalid("Приказ не может действовать раньше, чем подписан.", field="in_force_from")
    other = db.session.execute(
        sa.select(FederalList.order_number, FederalList.edition).where(
            FederalList.in_force_from == in_force_from,
            sa.or_(FederalList.order_number != order, FederalList.edition != edition),
        )
    ).first()
    if other is not None:
        raise Invalid(
            "С %(date)s уже действует перечень %(order)s. Уточните, с какого дня действует новый.",
            field="in_force_from",
            date=f"{in_force_from:%d.%m.%Y}",
            order=_label(*other),
        )


def _fitting(parsed: ParsedList) -> ParsedList:
    """Take out the entries with texts longer than any real one; each is listed with its reason."""
    refused: dict[tuple[str, int], Finding] = {}
    for entry in parsed.entries:
        lengths = {name: (len(getattr(entry, name)), limit) for name, limit in _WIDTHS.items()}
        for name, limit in _JOINED_WIDTHS.items():
            lengths[name] = (len("; ".join(getattr(entry, name))), limit)
        if any(length > limit for length, limit in lengths.values()):
            message = "Сведения длиннее, чем бывают у учебника, строка не загружена."
            refused[entry.sheet, entry.row] = Finding(
                entry.sheet, entry.row, Severity.ERROR, "too_long", message
            )
    if not refused:
        return parsed
    return ParsedList(
        entries=tuple(each for each in parsed.entries if (each.sheet, each.row) not in refused),
        findings=(*parsed.findings, *refused.values()),
        outcomes=tuple(
            replace(each, outcome=Outcome.LISTED) if (each.sheet, each.row) in refused else each
            for each in parsed.outcomes
        ),
    )


def _stored(order: str, edition: str) -> list[ExistingEntry]:
    rows = db.session.execute(
        sa.select(ListEntry.id, ListEntry.appendix, ListEntry.number, ListEntry.facts, ListEntry.excluded_on)
        .join(FederalList)
        .where(FederalList.order_number == order, FederalList.edition == edition)
        .order_by(ListEntry.id)
    )
    return [
        existing_entry(
            row.id,
            row.facts,
            order=order,
            edition=edition,
            appendix=row.appendix,
            number=row.number,
            excluded=row.excluded_on is not None,
        )
        for row in rows
    ]


def apply_import(plan: Plan, *, by: User | None, clock: Clock) -> FederalList:
    """Do what ``plan`` says, in the caller's unit of work; ``by`` is ``None`` on the command line.

    Raises ``WrongMoment`` when the list has been changed since the plan was made.
    """
    if by is not None:
        access.require(by, Action.LOAD_LIST)
    _check_dates(plan.order, plan.edition, plan.in_force_from, plan.signed_on)
    federal_list = _list_of(plan, by=by, clock=clock)
    report = compare(plan.parsed, _stored(plan.order, plan.edition), whole=plan.whole)
    if replace(plan, report=report).fingerprint != plan.fingerprint:
        raise WrongMoment("Пока отчёт был открыт, перечень изменили. Проверьте файл ещё раз.")
    signed_on = plan.signed_on or federal_list.signed_on
    dates = (plan.in_force_from, signed_on)
    if report.changes_nothing and (federal_list.in_force_from, federal_list.signed_on) == dates:
        return federal_list
    federal_list.in_force_from, federal_list.signed_on = dates
    federal_list.loaded_at = clock.now()
    federal_list.loaded_by_id = by.id if by else None
    db.session.flush()
    _close_former_lists()
    _write(federal_list.id, report, today=clock.today(by.district.timezone if by else "UTC"))
    _refresh_textbooks(federal_list.id)
    db.session.expire_all()
    counts = plan.counts
    journal.record(
        "federal_list",
        federal_list.id,
        "Загружен перечень %(order)s: новых %(new)s, изменено %(changed)s, исключено %(excluded)s",
        by_id=by.id if by else None,
        clock=clock,
        district_id=by.district_id if by else None,
        order=federal_list.label,
        new=counts["new"],
        changed=counts["changed"],
        excluded=counts["excluded"],
    )
    return federal_list


def _list_of(plan: Plan, *, by: User | None, clock: Clock) -> FederalList:
    """Return the list of the plan's order, new where there is none; lock all lists until the unit ends."""
    insert_if_absent(
        FederalList,
        order_number=plan.order,
        edition=plan.edition,
        signed_on=plan.signed_on,
        in_force_from=plan.in_force_from,
        loaded_at=clock.now(),
        loaded_by_id=by.id if by else None,
    )
    lists = db.session.scalars(sa.select(FederalList).order_by(FederalList.id).with_for_update()).all()
    return next(each for each in lists if (each.order_number, each.edition) == (plan.order, plan.edition))


def _close_former_lists() -> None:
    """Let every list end on the day before the next one begins."""
    lists = db.session.scalars(sa.select(FederalList).order_by(FederalList.in_force_from)).all()
    for one, following in zip(lists, [*lists[1:], None], strict=True):
        one.in_force_until = following.in_force_from - timedelta(days=1) if following else None
    db.session.flush()


def _write(list_id: int, report: Report, *, today: date) -> None:
    """Write the entries: new ones, changed ones, and the day on which others left."""
    wanted = {entry.identity: entry for entry in [*report.new, *(each.entry for each in report.changed)]}
    _rename_corrected(report)
    ids = _textbook_ids()
    missing = [
        {"identity": identity, **_textbook_values(entry.facts)}
        for identity, entry in wanted.items()
        if identity not in ids
    ]
    if missing:
        db.session.execute(sa.insert(Textbook), missing)
        ids = _textbook_ids()

    positions = Counter[tuple[int, str]]()
    for appendix, number, position in db.session.execute(
        sa.select(ListEntry.appendix, ListEntry.number, ListEntry.position).where(
            ListEntry.list_id == list_id
        )
    ):
        positions[appendix, number] = max(positions[appendix, number], position + 1)
    rows = []
    for entry in report.new:
        place = entry.appendix, entry.number
        rows.append(
            {
                "list_id": list_id,
                "appendix": entry.appendix,
                "number": entry.number,
                "position": positions[place],
                **_entry_values(entry, ids),
            }
        )
        positions[place] += 1
    if rows:
        db.session.execute(sa.insert(ListEntry), rows)
    changes = [{"id": each.existing.ref, **_entry_values(each.entry, ids)} for each in report.changed]
    if changes:
        db.session.execute(sa.update(ListEntry), changes)
    gone = [{"id": each.ref, "excluded_on": today} for each in report.excluded]
    if gone:
        db.session.execute(sa.update(ListEntry), gone)


def _textbook_ids() -> dict[str, int]:
    rows = db.session.execute(sa.select(Textbook.identity, Textbook.id))
    return {row.identity: row.id for row in rows}


def _entry_values(entry: ParsedEntry, ids: Mapping[str, int]) -> dict[str, Any]:
    return {
        "row": entry.row,
        "raw": dict(entry.raw),
        "facts": entry.facts,
        "valid_until": entry.valid_until,
        "perpetual": entry.perpetual,
        "excluded_on": None,
        "textbook_id": ids[entry.identity],
    }


def _rename_corrected(report: Report) -> None:
    """Give a book its corrected key when the corrected row is the only place that names it.

    Otherwise a mistyped author would leave a book behind that no list names.
    """
    refs = {each.existing.ref: each.entry.identity for each in report.changed}
    if not refs:
        return
    alone = (
        sa.select(ListEntry.textbook_id)
        .group_by(ListEntry.textbook_id)
        .having(sa.func.count(ListEntry.id) == 1)
    )
    taken = set(_textbook_ids())
    for entry_id, textbook_id, identity in db.session.execute(
        sa.select(ListEntry.id, Textbook.id, Textbook.identity)
        .join(Textbook)
        .where(ListEntry.id.in_(refs), Textbook.id.in_(alone))
    ).all():
        corrected = refs[entry_id]
        if corrected != identity and corrected not in taken:
            taken.add(corrected)
            db.session.execute(
                sa.update(Textbook).where(Textbook.id == textbook_id).values(identity=corrected)
            )


def _textbook_values(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a textbook from what was read of its row."""
    first, last, label = facts["grade_from"], facts["grade_to"], facts["grades"]
    title = facts["title"]
    if label and not label.replace("–", "").isdecimal() and first is not None:
        # «1 доп.»: the additional first class of adapted programmes.
        title = f"{title} ({label} класс)"
    authors = ", ".join(facts["authors"]) + (" и др." if facts["other_authors"] else "")
    if facts["editors"]:
        editors = f"ред. {', '.join(facts['editors'])}"
        authors = f"{authors}; {editors}" if authors else editors
    publisher = "; ".join(facts["publishers"])
    classes = f"{' '.join(map(str, range(first, last + 1)))} класс" if first is not None else label
    searched = (
        authors,
        title,
        facts["subject"],
        facts["subject_alias"],
        classes,
        facts["level"],
        publisher,
        facts["language"],
        "ОВЗ" if facts["special_needs"] else "",
    )
    return {
        "title": title,
        "authors": authors,
        "subject_area": facts["subject_area"],
        "subject": facts["subject"],
        "grade_from": first,
        "grade_to": last,
        "level": facts["level"],
        "publisher": publisher,
        "language": facts["language"],
        "edition_note": facts["edition_note"],
        "parts": facts["parts"],
        "special_needs": facts["special_needs"],
        "folded": fold(" ".join(searched)),
        "sort_key": sort_key(f"{facts['subject']} {first or 99} {title} {authors}")[:300],
    }


def _refresh_textbooks(list_id: int) -> None:
    """Describe each book of the list by the newest row that names it, appendix 1 before appendix 2.

    So it does not matter in which order the lists are loaded. A book never has fewer parts than somebody
    already counted.
    """
    here = sa.select(ListEntry.textbook_id).where(ListEntry.list_id == list_id)
    leading: dict[int, tuple[tuple[object, ...], Mapping[str, Any]]] = {}
    for row in db.session.execute(
        sa.select(
            ListEntry.textbook_id,
            ListEntry.appendix,
            ListEntry.excluded_on,
            ListEntry.row,
            ListEntry.facts,
            FederalList.in_force_from,
        )
        .join(FederalList)
        .where(ListEntry.textbook_id.in_(here))
    ):
        rank = (row.excluded_on is None, row.in_force_from, -row.appendix, -row.row)
        if row.facts and (row.textbook_id not in leading or rank > leading[row.textbook_id][0]):
            leading[row.textbook_id] = rank, row.facts
    counted = {
        row.textbook_id: row.parts
        for row in db.session.execute(
            sa.select(Edition.textbook_id, sa.func.max(Edition.part).label("parts"))
            .where(Edition.textbook_id.in_(here))
            .group_by(Edition.textbook_id)
        )
    }
    changes = []
    for textbook in db.session.execute(sa.select(Textbook.__table__).where(Textbook.id.in_(here))).mappings():
        if textbook["id"] not in leading:
            continue
        values = _textbook_values(leading[textbook["id"]][1])
        values["parts"] = max(values["parts"], counted.get(textbook["id"], 1))
        if any(textbook[name] != value for name, value in values.items()):
            changes.append({"id": textbook["id"], **values})
    if changes:
        db.session.execute(sa.update(Textbook), changes)


# --- loading as a run, page by page ---


def enter_check(
    *,
    file: str,
    order: str,
    edition: str,
    in_force_from: date,
    signed_on: date | None,
    by: User,
    clock: Clock,
) -> runs.Run:
    """Write down that an uploaded file is to be checked."""
    access.require(by, Action.LOAD_LIST)
    return runs.enter(
        CHECK,
        district_id=by.district_id,
        by_id=by.id,
        clock=clock,
        input={
            "file": file[-200:],
            "order": order,
            "edition": edition,
            "in_force_from": in_force_from.isoformat(),
            "signed_on": signed_on.isoformat() if signed_on else None,
        },
    )


def run_of(run_id: int, *, by: User) -> runs.Run:
    """Return a check or a load of the person's district, or raise ``NotFound``."""
    access.require(by, Action.LOAD_LIST)
    run = db.session.get(runs.Run, run_id)
    if run is None or run.district_id != by.district_id or run.kind not in (CHECK, APPLY):
        raise NotFound
    return run


def enter_load(check_id: int, *, by: User, clock: Clock) -> tuple[runs.Run, bool]:
    """Write down that a checked file is to be loaded; say whether this is new.

    Raises ``WrongMoment`` for a check that failed, is not ready or was cancelled.
    """
    check = run_of(check_id, by=by)
    if check.kind != CHECK or not check.is_done or check.result is None:
        raise WrongMoment("Файл ещё не проверен.")
    if check.result.get("cancelled"):
        raise WrongMoment("Загрузка отменена. Выберите файл заново.")
    if loaded_by := check.result.get("load_run"):
        return run_of(loaded_by, by=by), False
    run = runs.enter(
        APPLY,
        district_id=by.district_id,
        by_id=by.id,
        clock=clock,
        input={**check.input, "check": check.id, "fingerprint": check.result["fingerprint"]},
    )
    check.result = {**check.result, "load_run": run.id}
    db.session.flush()
    return run, True


def cancel_check(check_id: int, *, by: User) -> None:
    """Give a checked file up. Raises ``WrongMoment`` when it is loaded already."""
    check = run_of(check_id, by=by)
    if check.kind != CHECK or check.result is None or check.result.get("load_run"):
        raise WrongMoment("Отменять уже нечего: файл загружен или ещё проверяется.")
    check.result = {**check.result, "cancelled": True}
    db.session.flush()


def recent_runs(*, by: User, limit: int = 10) -> Sequence[Any]:
    """Return the latest checks and loads of the person's district, without their reports."""
    access.require(by, Action.LOAD_LIST)
    return db.session.execute(
        sa.select(
            runs.Run.id,
            runs.Run.kind,
            (runs.Run.state == runs.RunState.FAILED).label("failed"),
            runs.Run.created_at,
            runs.Run.input,
            User.full_name,
        )
        .join(User, User.id == runs.Run.started_by_id)
        .where(runs.Run.district_id == by.district_id, runs.Run.kind.in_([CHECK, APPLY]))
        .order_by(runs.Run.id.desc())
        .limit(limit)
    ).all()


def upload_path(folder: Path, run: runs.Run) -> Path:
    """Return where the file of a check, or of the load that follows it, is kept."""
    return folder / str(run.input.get("check", run.id))


def check_upload(run: runs.Run, progress: Progress, *, folder: Path) -> dict[str, Any]:
    """Do a check: read the file and return the report. Reading happens outside any transaction."""
    path, given = upload_path(folder, run), dict(run.input)
    progress(0, 0)
    return _result_of(_plan_of(path, given))


def load_upload(run: runs.Run, progress: Progress, *, folder: Path, clock: Clock) -> dict[str, Any]:
    """Load a checked file, provided that it still does what the check said."""
    path, given, by_id = upload_path(folder, run), dict(run.input), run.started_by_id
    progress(0, STEPS)
    plan = _plan_of(path, given)
    if plan.fingerprint != given["fingerprint"]:
        raise WrongMoment("Пока отчёт был открыт, перечень изменили. Проверьте файл ещё раз.")
    progress(1, STEPS)
    in_unit(lambda: apply_import(plan, by=db.session.get_one(User, by_id), clock=clock))
    return _result_of(plan)


def _plan_of(path: Path, given: Mapping[str, Any]) -> Plan:
    if not path.exists():
        raise WrongMoment("Загруженного файла больше нет. Выберите его заново.")
    return plan_import(
        path,
        file=given["file"],
        order=given["order"],
        edition=given["edition"],
        in_force_from=date.fromisoformat(given["in_force_from"]),
        signed_on=date.fromisoformat(given["signed_on"]) if given["signed_on"] else None,
    )


def _result_of(plan: Plan) -> dict[str, Any]:
    return {
        "counts": plan.counts,
        "outcomes": {outcome.value: count for outcome, count in plan.parsed.accounted.items()},
        "rows": [list(row) for row in plan.table],
        "fingerprint": plan.fingerprint,
    }


def lists_loaded() -> Sequence[Any]:
    """Return the lists, the newest first, with how many entries each appendix has and has lost."""

    def of(appendix: int) -> sa.Label[int]:
        counted = sa.case(
            (sa.and_(ListEntry.appendix == appendix, ListEntry.excluded_on.is_(None)), ListEntry.id)
        )
        return sa.func.count(counted).label(f"appendix_{appendix}")

    return db.session.execute(
        sa.select(
            FederalList.id,
            FederalList.order_number,
            FederalList.edition,
            FederalList.signed_on,
            FederalList.in_force_from,
            FederalList.in_force_until,
            FederalList.loaded_at,
            User.full_name,
            of(1),
            of(2),
            sa.func.count(ListEntry.excluded_on).label("excluded"),
        )
        .join(ListEntry, ListEntry.list_id == FederalList.id, isouter=True)
        .join(User, User.id == FederalList.loaded_by_id, isouter=True)
        .group_by(FederalList.id, User.full_name)
        .order_by(FederalList.in_force_from.desc())
    ).all()


DEMO_LISTS = (
    ("federal_list_858.csv", "858", "119", date(2022, 9, 21), date(2023, 9, 1)),
    ("federal_list_769.csv", "769", "", date(2024, 11, 5), date(2025, 9, 1)),
)
"""File, order, edition, day of signing, and the day from which the demo takes it to be in force."""


def load_demo_lists(*, by: User | None, clock: Clock) -> None:
    """Load the demo's own two lists, in the caller's unit of work."""
    folder = Path(__file__).resolve().parent.parent / "demo"
    for file, order, edition, signed_on, in_force_from in DEMO_LISTS:
        plan = plan_import(
            folder / file, order=order, edition=edition, in_force_from=in_force_from, signed_on=signed_on
        )
        apply_import(plan, by=by, clock=clock)
