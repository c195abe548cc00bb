"""Measure pages of 50 rows on 60,000 postings against the same HTML fed by one raw SQL statement.

    python benchmarks/pages.py [--districts N] [--rounds N] [--json]

Makes an SQLite database of its own in a temporary folder. Each page is asked for through the whole
application as a librarian and, in turn with it, from a rival view at the same address: one SQL statement,
written by hand, run and fetched by the bare driver; then the same template with everything it needs already
at hand (the person, the rows as objects, what the federal list says). The rival is thus a floor that no
real page reaches: it turns no row into an object and decides nothing. The ratio of the medians of the two
is printed, and beside it («signed in») the ratio to a rival that signs the person in and counts what waits
for them with the portal's own code, as every page of it does; all taken in the same run, visit by visit in
turn, as processor time of this machine.

Also printed: the queries of each page with 5 and with 500 rows, and bytes: a first visit (HTML, CSS and
scripts, compressed as by a proxy) and the fragment that htmx gets when a list is narrowed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import flask_migrate  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from flask import Response, render_template  # noqa: E402
from flask.testing import FlaskClient  # noqa: E402
from flask_login import login_user  # noqa: E402

from exchange import create_app  # noqa: E402
from exchange.catalog import services as catalog  # noqa: E402
from exchange.catalog.models import Edition, FederalList, ListEntry, Textbook  # noqa: E402
from exchange.catalog.rules import fold, sort_key  # noqa: E402
from exchange.classes.models import ClassGroup  # noqa: E402
from exchange.clock import FrozenClock  # noqa: E402
from exchange.config import Settings  # noqa: E402
from exchange.db import Base, db, in_unit, unit_of_work  # noqa: E402
from exchange.ledger.models import Balance  # noqa: E402
from exchange.postings import services as postings  # noqa: E402
from exchange.postings.models import Offer, Request, RequestPart  # noqa: E402
from exchange.postings.rules import OfferKind, PostingState, ShortageReason  # noqa: E402
from exchange.schools import services as schools  # noqa: E402
from exchange.schools.models import District, Holder, User  # noqa: E402
from exchange.schools.rules import HolderKind, Role  # noqa: E402
from exchange.stock import views as stock_views  # noqa: E402
from exchange.stock.rules import Condition  # noqa: E402
from exchange.transfers import views as transfers_views  # noqa: E402
from exchange.transfers.models import Transfer, TransferLine  # noqa: E402
from exchange.transfers.rules import Kind, Party, State  # noqa: E402
from exchange.web import pages  # noqa: E402

NOW = datetime(2026, 9, 14, 3, 0, tzinfo=UTC)
TODAY = date(2026, 9, 14)
POSTINGS = 60_000
SCHOOLS = 20
TEXTBOOKS = 2_000
SHELF = 600
"""Books on each shelf."""
SUBJECTS = ("Алгебра", "Биология", "География", "История", "Литература", "Математика", "Физика", "Химия")


def make_district(number: int, clock: FrozenClock) -> tuple[District, list[Holder], User]:
    """Make a district with its schools and a librarian."""
    district = schools.make_district(
        name=f"Район {number}", office="Управление", region="Край", timezone="Asia/Krasnoyarsk"
    )
    holders = [
        Holder(
            district_id=district.id,
            kind=HolderKind.SCHOOL,
            code=f"S{index}",
            name=f"МБОУ «Школа {index}»",
            short_name=f"Школа № {index}",
            settlement=f"с. {index}",
            km_to_centre=float(index % 45),
        )
        for index in range(1, SCHOOLS + 1)
    ]
    db.session.add_all(holders)
    db.session.flush()
    librarian = schools.make_user(
        district_id=district.id,
        login=f"librarian{number}",
        full_name="Полкина Нина Ивановна",
        password_hash="nobody signs in with a password here",
        role=Role.LIBRARIAN,
        school_id=holders[0].id,
        clock=clock,
    )
    return district, holders, librarian


def make_books(dice: random.Random) -> list[tuple[int, list[int]]]:
    """Fill the catalogue and the federal list; return each textbook's id with its editions' ids."""
    order = FederalList(order_number="858", in_force_from=date(2022, 11, 1), loaded_at=NOW)
    db.session.add(order)
    db.session.flush()
    books = []
    for number in range(TEXTBOOKS):
        subject, grade = dice.choice(SUBJECTS), dice.randint(1, 11)
        title, authors = f"{subject}: {grade}-й класс: учебник {number}", f"Автор {number % 300} И. О."
        book = Textbook(
            identity=str(number),
            title=title,
            authors=authors,
            subject_area=subject,
            subject=subject,
            grade_from=grade,
            grade_to=grade,
            publisher="Просвещение",
            parts=1,
            folded=fold(f"{authors} {title}"),
            sort_key=sort_key(f"{subject} {grade:02} {title}"),
        )
        book.entries.append(ListEntry(list_id=order.id, appendix=1, number=f"1.{number}", row=number, raw={}))
        book.editions += [Edition(year=year, part=1) for year in dice.sample(range(2016, 2026), 2)]
        books.append(book)
    db.session.add_all(books)
    db.session.flush()
    return [(book.id, [edition.id for edition in book.editions]) for book in books]


def fill(districts: int, clock: FrozenClock) -> list[User]:
    """Fill the database; return the librarians."""
    dice = random.Random(1)
    rows: dict[type[Base], list[dict[str, Any]]] = {
        table: [] for table in (Balance, Offer, Request, RequestPart, ClassGroup, Transfer, TransferLine)
    }
    with unit_of_work():
        books = make_books(dice)
        made = [make_district(number, clock) for number in range(1, districts + 1)]
        each = POSTINGS // 2 // districts // SCHOOLS
        for district, holders, _librarian in made:
            for holder in holders:
                _fill_school(district.id, holder.id, books, each, dice, rows)
            _fill_transfers(district.id, [holder.id for holder in holders], rows, dice)
        for table, values in rows.items():
            if values:
                db.session.execute(sa.insert(table), values)
    return [librarian for _, _, librarian in made]


def _fill_school(
    district_id: int,
    holder_id: int,
    books: Sequence[tuple[int, list[int]]],
    each: int,
    dice: random.Random,
    rows: Mapping[type[Base], list[dict[str, Any]]],
) -> None:
    posted = {"district_id": district_id, "state": PostingState.OPEN, "note": "", "version": 1}
    posted |= {"created_at": NOW, "expires_on": TODAY + timedelta(days=40)}
    shelf = dice.sample(books, max(SHELF, each))
    for _book_id, editions in shelf:
        rows[Balance].append(
            {
                "owner_id": holder_id,
                "holder_id": holder_id,
                "edition_id": editions[0],
                "copies": 30,
                "promised": 0,
            }
        )
    for _book_id, editions in shelf[:each]:
        rows[Offer].append(
            posted
            | {
                "holder_id": holder_id,
                "edition_id": editions[0],
                "copies": dice.randint(1, 25),
                "reserved": 0,
                "kind": OfferKind.PERMANENT,
                "condition": Condition.GOOD,
            }
        )
    for book_id, _editions in dice.sample(books, each):
        request_id = len(rows[Request]) + 1
        rows[Request].append(
            posted
            | {
                "id": request_id,
                "school_id": holder_id,
                "textbook_id": book_id,
                "reason": ShortageReason.MORE_PUPILS,
                "loan_acceptable": True,
            }
        )
        rows[RequestPart].append(
            {"request_id": request_id, "part": 1, "copies": dice.randint(1, 25), "matched": 0}
        )
    rows[ClassGroup] += [
        {"school_id": holder_id, "school_year": 2026, "grade": grade, "pupils": 25} for grade in range(1, 12)
    ]


def _fill_transfers(
    district_id: int,
    holders: Sequence[int],
    rows: Mapping[type[Base], list[dict[str, Any]]],
    dice: random.Random,
) -> None:
    states = (State.PROPOSED, State.ACCEPTED, State.SHIPPED, State.SETTLED, State.DECLINED)
    for _ in range(600):
        giver, taker = dice.sample(holders, 2)
        transfer_id = len(rows[Transfer]) + 1
        rows[Transfer].append(
            {
                "id": transfer_id,
                "district_id": district_id,
                "giver_id": giver,
                "taker_id": taker,
                "kind": Kind.PERMANENT,
                "state": dice.choice(states),
                "version": 1,
                "proposed_by": Party.TAKER,
                "created_at": NOW,
                "changed_at": NOW - timedelta(minutes=transfer_id),
                "remark": "",
                "floor_exception": "",
            }
        )
        rows[TransferLine] += [
            {
                "transfer_id": transfer_id,
                "edition_id": dice.randint(1, TEXTBOOKS),
                "owner_id": giver,
                "asked": 5,
                "reason": "",
            }
            for _line in range(2)
        ]


# --- the pages and their rivals -----------------------------------------------------------------------------

BOOK = "t.id, t.title, t.authors, t.grade_from, t.grade_to, t.publisher, t.level"
BOARD = f"""
WITH present AS (
  SELECT e.textbook_id FROM offer o JOIN edition e ON e.id = o.edition_id
  WHERE o.district_id = :district AND o.state = 'open' AND o.copies > o.reserved
  UNION
  SELECT r.textbook_id FROM request r JOIN request_part p ON p.request_id = r.id
  WHERE r.district_id = :district AND r.state = 'open' AND p.copies > p.matched),
shown AS (
  SELECT {BOOK}, t.sort_key, t.special_needs, count(*) OVER () AS total
  FROM textbook t WHERE t.id IN (SELECT textbook_id FROM present) ORDER BY t.sort_key, t.id LIMIT 50),
subjects AS (
  SELECT group_concat(subject, char(10)) AS names FROM (
    SELECT DISTINCT subject FROM textbook WHERE id IN (SELECT textbook_id FROM present))),
ways AS (
  SELECT h.id, h.short_name,
         coalesce(r.km, h.km_to_centre + (SELECT km_to_centre FROM holder WHERE id = :school)) AS km
  FROM holder h LEFT JOIN road r ON (r.first_id = :school AND r.second_id = h.id)
    OR (r.second_id = :school AND r.first_id = h.id)
  WHERE h.district_id = :district)
SELECT s.*, w.short_name, w.km, l.*, (SELECT names FROM subjects) AS subjects
FROM shown s JOIN (
  SELECT 1 AS side, e.textbook_id, o.id, o.edition_id, o.holder_id, e.year, e.part,
         o.copies - o.reserved AS copies, o.kind, o.condition, o.due_back, o.available_from,
         o.expires_on, o.note
  FROM edition e JOIN offer o ON o.edition_id = e.id
  WHERE o.district_id = :district AND o.state = 'open' AND o.copies > o.reserved
    AND e.textbook_id IN (SELECT id FROM shown)
  UNION ALL
  SELECT 2, r.textbook_id, r.id, NULL, r.school_id, r.year_from, p.part, p.copies - p.matched,
         r.loan_acceptable, NULL, r.needed_by, NULL, r.expires_on, r.note
  FROM request r JOIN request_part p ON p.request_id = r.id
  WHERE r.district_id = :district AND r.state = 'open' AND p.copies > p.matched
    AND r.textbook_id IN (SELECT id FROM shown)) l ON l.textbook_id = s.id
JOIN ways w ON w.id = l.holder_id
ORDER BY s.sort_key, s.id, w.km, w.short_name
"""
OFFERS = f"""
SELECT {BOOK}, o.id, o.copies, o.reserved, o.kind, o.condition, o.due_back, o.available_from, o.expires_on,
       o.note, o.state, o.version, e.year, e.part, e.textbook_id, t.parts, t.subject,
       count(*) OVER () AS total, l.appendix, l.valid_until, l.perpetual, l.excluded_on
FROM offer o JOIN edition e ON e.id = o.edition_id JOIN textbook t ON t.id = e.textbook_id
LEFT JOIN list_entry l ON l.textbook_id = t.id
WHERE o.holder_id = :school ORDER BY o.state <> 'open', t.sort_key, e.year, e.part, o.id LIMIT 50
"""
TRANSFERS = """
SELECT t.id, t.version, t.state, t.kind, g.short_name, k.short_name, t.act_number, t.answer_by, t.due_back,
       t.changed_at, count(*) OVER () AS total,
       (SELECT sum(coalesce(l.agreed, l.asked)) FROM transfer_line l WHERE l.transfer_id = t.id) AS copies,
       (SELECT count(DISTINCT e.textbook_id) FROM transfer_line l JOIN edition e ON e.id = l.edition_id
        WHERE l.transfer_id = t.id) AS books,
       (SELECT min(b.title) FROM transfer_line l JOIN edition e ON e.id = l.edition_id
        JOIN textbook b ON b.id = e.textbook_id WHERE l.transfer_id = t.id) AS title
FROM transfer t JOIN holder g ON g.id = t.giver_id JOIN holder k ON k.id = t.taker_id
WHERE t.district_id = :district AND (t.giver_id = :school OR t.taker_id = :school)
ORDER BY t.changed_at DESC, t.id DESC LIMIT 50
"""
CATALOGUE = f"""
SELECT {BOOK}, t.subject, t.edition_note, t.parts, t.language, t.special_needs, count(*) OVER () AS total,
       l.appendix, l.valid_until, l.perpetual, l.excluded_on
FROM textbook t LEFT JOIN list_entry l ON l.textbook_id = t.id ORDER BY t.sort_key, t.id LIMIT 50
"""
SHELF_SQL = f"""
SELECT {BOOK}, t.subject, t.edition_note, t.parts, t.special_needs, e.id, e.year, e.part,
       sum(CASE WHEN b.holder_id = :school AND b.owner_id = :school THEN b.copies ELSE 0 END) AS own,
       sum(CASE WHEN b.holder_id = :school AND b.owner_id <> :school THEN b.copies ELSE 0 END) AS borrowed,
       sum(CASE WHEN b.holder_id <> :school THEN b.copies ELSE 0 END) AS lent,
       sum(CASE WHEN b.holder_id = :school THEN b.promised ELSE 0 END) AS promised,
       (SELECT sum(o.copies - o.reserved) FROM offer o
        WHERE o.holder_id = :school AND o.edition_id = e.id AND o.state = 'open') AS offered,
       n.worn, n.condition, n.counted_at, l.appendix, l.valid_until, l.perpetual, l.excluded_on
FROM (SELECT * FROM balance WHERE holder_id = :school
      UNION SELECT * FROM balance WHERE owner_id = :school) b
JOIN edition e ON e.id = b.edition_id JOIN textbook t ON t.id = e.textbook_id
LEFT JOIN shelf_note n ON n.holder_id = :school AND n.edition_id = e.id
LEFT JOIN list_entry l ON l.textbook_id = t.id
GROUP BY e.id ORDER BY t.subject, t.grade_from, t.sort_key, t.id, e.year DESC, e.part
"""
"""All of the shelf: which pupils a book serves depends on the books beside it, so its page needs them too."""


@dataclass(frozen=True)
class Page:
    """A list: its address and endpoint, the rival's statement, where the length of a page is set."""

    name: str
    address: str
    endpoint: str
    statement: str
    length: tuple[Any, str]


PAGES = (
    Page("board", "/board", "postings.board", BOARD, (postings, "PAGE")),
    Page("offers", "/offers", "postings.offers", OFFERS, (postings, "PAGE")),
    Page("transfers", "/transfers", "transfers.index", TRANSFERS, (transfers_views, "PAGE")),
    Page("catalogue", "/catalog", "catalog.index", CATALOGUE, (catalog, "PAGE")),
    Page("shelf", "/shelf", "stock.index", SHELF_SQL, (stock_views, "PER_PAGE")),
)


@dataclass(frozen=True)
class Row:
    """What was measured of a page: ``ratio`` to the rival, ``ratio_signed_in`` to one that signs people in;
    ``fragment`` is compressed, in bytes.
    """

    page: str
    milliseconds: float
    rival_milliseconds: float
    ratio: float
    ratio_signed_in: float
    queries_5: int
    queries_500: int
    fragment: int
    fragment_plain: int


class Bench:
    """An application on the filled database, with one librarian signed in."""

    def __init__(self, app: Any, librarian: User) -> None:
        self.app = app
        self.user_id = librarian.id
        self.parameters = {"district": librarian.district_id, "school": librarian.school.id}
        self.client: FlaskClient = app.test_client()
        with self.client.session_transaction() as session:
            session["_user_id"], session["_fresh"] = librarian.get_id(), True

    def get(self, address: str, **headers: str) -> Response:
        """Visit an address; anything but 200 is an error."""
        answer = self.client.get(address, headers=headers)
        if answer.status_code != 200:
            raise RuntimeError(f"{address}: {answer.status}")
        return answer

    def rendered(self, address: str) -> tuple[str, dict[str, Any]]:
        """Return template and context with which a page renders."""
        kept: list[tuple[str, dict[str, Any]]] = []

        def keep(template: str, **context: Any) -> str:
            kept.append((template, context))
            return render_template(template, **context)

        with replaced(pages, "render_template", keep):
            self.get(address)
        return kept[0]

    def rival(self, page: Page) -> Callable[..., Any]:
        """Return what puts the rival's view in the place of the page's, everything it needs at hand.

        Without ``knows_person`` it signs the person in and counts what waits for them, as every page does.
        """
        template, context = self.rendered(page.address)
        with self.app.app_context():
            user = db.session.get_one(User, self.user_id)
            _ = user.district, user.school, user.duties
            db.session.expunge_all()
            cursor = db.engine.raw_connection().cursor()
        counters = self.app.extensions["counters"]
        with self.app.test_request_context():
            login_user(user)
            number = counters["waiting"]()

        def view() -> str:
            cursor.execute(page.statement, self.parameters).fetchall()
            return render_template(template, **context)

        @contextmanager
        def instead(*, knows_person: bool = True) -> Any:
            with replaced_item(self.app.view_functions, page.endpoint, view):
                if not knows_person:
                    yield
                    return
                with (
                    replaced(self.app.login_manager, "_user_callback", lambda _id: user),
                    replaced_item(counters, "waiting", lambda: number),
                ):
                    yield

        return instead

    def milliseconds(self, address: str) -> float:
        """Return the processor time of one visit: what else the machine does is not in it."""
        started = time.process_time()
        self.get(address)
        return 1000 * (time.process_time() - started)

    def queries(self, page: Page, rows: int) -> int:
        """Return the statements that a page with so many rows sends."""
        statements: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if not statement.startswith("BEGIN"):
                statements.append(statement)

        with self.app.app_context():
            engine = db.engine
        sa.event.listen(engine, "before_cursor_execute", note)
        try:
            with replaced(*page.length, rows):
                self.get(page.address)
        finally:
            sa.event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    def measure(self, page: Page, rounds: int) -> Row:
        """Compare a page with its rival, in turn, several times over."""
        expected = _bare(self.get(page.address).text)
        instead = self.rival(page)
        with instead():
            if _bare(self.get(page.address).text) != expected:
                raise RuntimeError(f"{page.name}: the rival shows another page")
        own, other, signing_in = [], [], []
        for _ in range(rounds):
            own.append(self.milliseconds(page.address))
            with instead():
                other.append(self.milliseconds(page.address))
            with instead(knows_person=False):
                signing_in.append(self.milliseconds(page.address))
        fragment = self.get(page.address, **{"HX-Request": "true"}).data
        return Row(
            page.name,
            statistics.median(own),
            statistics.median(other),
            statistics.median(own) / statistics.median(other),
            statistics.median(own) / statistics.median(signing_in),
            self.queries(page, 5),
            self.queries(page, 500),
            len(gzip.compress(fragment)),
            len(fragment),
        )

    def first_visit(self) -> dict[str, int]:
        """Return the compressed bytes of the first screen and of what it loads."""
        html = self.get("/").data
        text = html.decode()
        loaded = re.findall(r'(?:src|href)="(/static/[^"]+\.(?:js|css|svg)[^"]*)"', text)
        sizes = {"/": len(gzip.compress(html))}
        for address in loaded:
            name = address.partition("?")[0].rpartition("/")[2]
            sizes[name] = len(gzip.compress(self.get(address.replace("&amp;", "&")).data))
        return sizes | {"in all": sum(sizes.values())}


def _bare(text: str) -> str:
    """Return a page without its keys, which differ each time."""
    return re.sub(r'name="(_key|csrf_token)" value="[^"]*"', "", text)


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Any:
    """Set an attribute for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def replaced_item(items: dict[str, Any], name: str, value: Callable[..., Any]) -> Any:
    """Set an item for a while."""
    before = items[name]
    items[name] = value
    try:
        yield
    finally:
        items[name] = before


def report(rows: Sequence[Row], visit: Mapping[str, int]) -> str:
    """Return the tables."""
    lines = [
        f"{'page':12}{'ms':>8}{'rival':>8}{'ratio':>7}{'signed in':>11}{'queries 5':>11}{'500':>5}"
        f"{'fragment gz':>13}{'plain':>9}"
    ]
    lines += [
        f"{row.page:12}{row.milliseconds:8.1f}{row.rival_milliseconds:8.1f}{row.ratio:7.2f}"
        f"{row.ratio_signed_in:11.2f}{row.queries_5:11}{row.queries_500:5}{row.fragment:13,}{row.fragment_plain:9,}"
        for row in rows
    ]
    lines += ["", "first visit, compressed bytes"]
    return "\n".join([*lines, *(f"{name:28}{size:8,}" for name, size in visit.items())])


def main() -> None:
    """Fill a database, measure every page, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--districts", type=int, default=10, help="districts that share the postings")
    parser.add_argument("--rounds", type=int, default=40, help="visits of each page and of its rival")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clock = FrozenClock(NOW)
        app = create_app(Settings(instance=Path(folder), secret_key="benchmark", executor="inline"), clock)
        with app.app_context():
            flask_migrate.upgrade()
            librarian = fill(options.districts, clock)[0]
            in_unit(lambda: db.session.execute(sa.text("ANALYZE")))
            bench = Bench(app, db.session.get_one(User, librarian.id))
        rows = [bench.measure(page, options.rounds) for page in PAGES]
        visit = bench.first_visit()
    if options.json:
        print(json.dumps({"pages": [asdict(row) for row in rows], "first visit": visit}, ensure_ascii=False))
    else:
        print(report(rows, visit))


if __name__ == "__main__":
    main()
