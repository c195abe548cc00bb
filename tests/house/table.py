"""The table of every route: who gets through, with an object of their own and with somebody else's.

``own`` names the characters who get through with an object of the school «own», ``foreign`` those who get
through with the same kind of object of another school of the district; an object of another district lets
nobody through. Everybody else is refused so that they learn nothing: an object they may not know of
(``known_to``) gets the same answer as one that does not exist. Anonymous visitors are led to the sign-in page
unless the route is public.

A POST carries ``form``, good enough to get past the form's own checks, so that it is the door that refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SCHOOL = ("librarian", "director", "deputy", "bookkeeper")
"""People of the school «own»."""
DISTRICT = ("accountant", "head", "administrator", "methodist")
"""People of the district's office."""
STRANGERS = ("stranger", "outsider")
"""The librarian of another school, and the methodist of another district."""
SIGNED_IN = (*SCHOOL, *DISTRICT, *STRANGERS)
ANONYMOUS = "anonymous"
NOBODY = ""

Parameters = Mapping[str, object]
Form = Mapping[str, str]


@dataclass(frozen=True)
class Route:
    """A row of the table. ``own`` and ``foreign`` are names of characters separated by spaces."""

    endpoint: str
    method: str = "GET"
    own: str = " ".join(SIGNED_IN)
    foreign: str = NOBODY
    thing: str = ""
    """Name of the kind of object in the address (a key of ``things.THINGS``); empty: there is none."""
    form: Form | Callable[[Parameters], Form] = field(default_factory=dict)
    query: Form = field(default_factory=dict)
    known_to: str = NOBODY
    """Who may know that somebody else's object exists, and so is told 403 instead of 404."""
    shared: bool = False
    """The object is nobody's: a book of the catalogue."""
    public: bool = False
    page: bool = True
    """Whether a GET answers with a page (and not a file, a redirect or data)."""

    @property
    def id(self) -> str:
        """Name of the row in the test report."""
        return f"{self.method} {self.endpoint}"


LIBRARIAN = "librarian"
DIRECTOR = "director"
METHODIST = "methodist"
SCHOOL_PEOPLE = " ".join(SCHOOL)
EVERYBODY_HERE = " ".join((*SCHOOL, *DISTRICT, "stranger"))
"""Everybody of the district: what is the district's own is hidden from the outsider only."""
SEES_SCHOOLS = "methodist accountant"
"""People of the office who may look into every school."""
OWN_AND_OFFICE = f"{SCHOOL_PEOPLE} {SEES_SCHOOLS}"
MANAGERS = "methodist administrator"
OFFICES = "methodist outsider"
"""The methodists of both districts, each of their own."""
OFFICES_MANAGERS = f"{OFFICES} administrator"
HAS_SCHOOL = f"{SCHOOL_PEOPLE} stranger"
PREPARERS = "librarian deputy"
"""Who keeps the class groups and the approved list of a school."""
LIBRARIANS = "librarian stranger"
ASKERS = "librarian deputy stranger"
PARTIES = {"own": "director methodist", "foreign": METHODIST}
SHELF = {"own": OWN_AND_OFFICE, "foreign": SEES_SCHOOLS}
TRANSFER = {"own": OWN_AND_OFFICE, "foreign": SEES_SCHOOLS}
SEEN = {"known_to": SEES_SCHOOLS}
PERSON = {"login": "somebody", "full_name": "Некто Новый", "email": "somebody@school.example"}
REMARK = {"withdraw-remark": "Передумали", "stop-remark": "Дорогу размыло", "decline-remark": ""}
DECLINE = {"decline-reason": "other", "decline-remark": "Нужны самим"}
SCHOOL_FORM = {
    "name": "МБОУ «Новая СОШ»", "short_name": "Новая", "settlement": "д. Новая", "km_to_centre": "12",
}  # fmt: skip

ROUTES: tuple[Route, ...] = (
    # --- home, sign-in, the own account
    Route("home.index"),
    Route("home.healthz", public=True, page=False),
    Route("home.readyz", public=True, page=False),
    Route("people.sign_in", public=True, own=NOBODY),
    Route("people.sign_in", "POST", public=True, form={"login": "nobody", "password": "nothing"}),
    Route("people.sign_out", "POST", public=True),
    Route("people.set_language", "POST", public=True, form={"language": "en"}),
    Route("people.invitation", public=True),
    Route("people.accept_invitation", "POST", public=True, form={"code": "none", **PERSON}),
    Route("people.account"),
    Route("people.save_account", "POST", form=PERSON),
    Route("people.change_password", "POST", form={"old": "x", "password": "y", "again": "y"}),
    Route("people.sign_out_everywhere", "POST"),
    # --- people, schools, roads, the journal
    Route("people.directory", own=OFFICES_MANAGERS),
    Route("people.person", own=MANAGERS, thing="person"),
    Route("people.deactivate", "POST", own=MANAGERS, thing="person"),
    Route("people.activate", "POST", own=MANAGERS, thing="closed account"),
    Route("people.password_slip", "POST", own=MANAGERS, thing="person"),
    Route("people.add_role", "POST", own=MANAGERS, thing="person", form={"role": "head", "school": ""}),
    Route("people.remove_role", "POST", own=MANAGERS, thing="duty"),
    Route("people.invite", own=OFFICES_MANAGERS),
    Route("people.invite", "POST", own=OFFICES_MANAGERS, form={"role": "head", "full_name": "Некто Новый"}),
    Route("people.invite_librarians", "POST", own=OFFICES_MANAGERS),
    Route("people.revoke_invitation", "POST", own=MANAGERS, thing="invitation"),
    Route("people.renew_invitation", "POST", own=MANAGERS, thing="invitation"),
    Route("people.slip", own=OFFICES_MANAGERS, page=False),
    Route("people.hide_slip", "POST"),
    Route("people.schools"),
    Route("people.new_school", own=OFFICES),
    Route("people.add_school", "POST", own=OFFICES, form=SCHOOL_FORM),
    Route("people.edit_school", own=METHODIST, foreign=METHODIST, thing="school", known_to=EVERYBODY_HERE),
    Route(
        "people.save_holder",
        "POST",
        own=METHODIST,
        foreign=METHODIST,
        thing="school",
        known_to=EVERYBODY_HERE,
        form=SCHOOL_FORM,
    ),
    Route("people.new_storage", own=OFFICES),
    Route("people.add_storage", "POST", own=OFFICES, form={"name": "Место хранения", "short_name": "Место"}),
    Route("people.roads"),
    Route("people.roads_from", own=EVERYBODY_HERE, foreign=EVERYBODY_HERE, thing="school"),
    Route(
        "people.save_road",
        "POST",
        own=METHODIST,
        foreign=METHODIST,
        thing="road",
        known_to=EVERYBODY_HERE,
        form={"km": "17"},
    ),
    Route("people.events", own=OFFICES_MANAGERS),
    # --- the catalogue and the federal lists
    Route("catalog.index"),
    Route("catalog.book", thing="textbook", shared=True),
    Route("lists.index"),
    Route("lists.import_form", own=OFFICES),
    Route("lists.upload", "POST", own=OFFICES),
    Route("lists.run", own=METHODIST, thing="list check"),
    Route("lists.load", "POST", own=METHODIST, thing="list check"),
    Route("lists.cancel", "POST", own=METHODIST, thing="list check"),
    # --- the shelf, enrolment, provision
    Route("stock.index", own=f"{HAS_SCHOOL} {SEES_SCHOOLS} outsider", page=False),
    Route("stock.shelf", **SHELF, thing="school"),
    Route("stock.counted", **SHELF, thing="book on shelf", page=False),
    Route("stock.count", "POST", **SEEN, own=LIBRARIAN, thing="book on shelf"),
    Route(
        "stock.note", "POST", **SEEN, own=LIBRARIAN, thing="edition on shelf", form={"note-condition": "fair"}
    ),
    Route("stock.arrival", "POST", **SEEN, own=LIBRARIAN, thing="edition on shelf"),
    Route("stock.write_off", "POST", **SEEN, own=LIBRARIAN, thing="edition on shelf"),
    Route("stock.history", **SHELF, thing="edition in query"),
    Route("stock.add", own=LIBRARIANS),
    Route("stock.add", "POST", own=LIBRARIANS),
    Route("classes.index", **SHELF, thing="school in query"),
    Route("classes.former_address", page=False),
    Route(
        "classes.save",
        "POST",
        **SEEN,
        own=PREPARERS,
        thing="school in query",
        form={"pupils-5-0": "20"},
    ),
    Route(
        "classes.read_table", "POST", **SEEN, own=PREPARERS, thing="school in query", form={"text": "5А\t20"}
    ),
    # --- the approved lists
    Route("approved.index", **SHELF, thing="school in query"),
    Route("approved.show", **SHELF, thing="list"),
    Route("approved.paper", **SHELF, thing="list"),
    Route("approved.accept", "POST", **SEEN, own=PREPARERS, thing="school in query"),
    Route("approved.add", **SEEN, own=PREPARERS, thing="school in query"),
    Route("approved.add", "POST", **SEEN, own=PREPARERS, thing="school in query"),
    Route("approved.line", **SEEN, own=PREPARERS, thing="list line"),
    Route("approved.change", "POST", **SEEN, own=PREPARERS, thing="list line"),
    Route("approved.remove", "POST", **SEEN, own=PREPARERS, thing="list line"),
    Route("approved.submit", "POST", **SEEN, own=PREPARERS, thing="list"),
    Route("approved.check", "POST", **SEEN, own="deputy", thing="list"),
    Route("approved.approve", "POST", **SEEN, own=DIRECTOR, thing="list"),
    Route("approved.send_back", "POST", **SEEN, own="deputy director", thing="list"),
    Route("provision.index", **SHELF, thing="school in query"),
    Route(
        "provision.set_reserve",
        "POST",
        **SEEN,
        own="librarian deputy",
        thing="school in query",
        form={"reserve": "0", "buffer": "5", "wear": "2"},
    ),
    Route("provision.proposals", **SHELF, thing="school in query"),
    Route("provision.follow", "POST", **SEEN, own="librarian deputy", thing="school in query"),
    Route("provision.put_off", "POST", **SEEN, own="librarian deputy", thing="school in query"),
    # --- write-off acts
    Route("disposals.index", own=f"{HAS_SCHOOL} {SEES_SCHOOLS} outsider"),
    Route("disposals.begin", "POST", own=LIBRARIANS),
    Route("disposals.show", **SHELF, thing="act"),
    Route("disposals.paper", **SHELF, thing="act"),
    Route("disposals.save", "POST", **SEEN, own=LIBRARIAN, thing="act"),
    Route("disposals.post", "POST", **SEEN, own=LIBRARIAN, thing="act"),
    Route("disposals.discard", "POST", **SEEN, own=LIBRARIAN, thing="act"),
    Route("disposals.take_suggested", "POST", **SEEN, own=LIBRARIAN, thing="act", form={"reason": "worn"}),
    Route("disposals.line", **SHELF, thing="act line", page=False),
    Route(
        "disposals.change",
        "POST",
        **SEEN,
        own=LIBRARIAN,
        thing="act line",
        form={"copies": "1", "reason": "worn"},
    ),
    Route("disposals.remove", "POST", **SEEN, own=LIBRARIAN, thing="act line"),
    Route("disposals.add", own=LIBRARIANS),
    Route("disposals.add", "POST", own=LIBRARIANS),
    # --- counting campaigns
    Route("counting.index", own=f"{HAS_SCHOOL} {SEES_SCHOOLS} outsider"),
    Route("counting.open_campaign", own=OFFICES),
    Route("counting.open_campaign", "POST", own=OFFICES),
    Route("counting.close", "POST", own=METHODIST, thing="campaign"),
    Route("counting.remind", "POST", own=METHODIST, thing="campaign"),
    Route("counting.begin", "POST", own=LIBRARIANS, thing="campaign"),
    Route("counting.sheet", **SHELF, thing="sheet"),
    Route("counting.books", **SHELF, thing="sheet"),
    Route("counting.news", **SHELF, thing="sheet", page=False),
    Route("counting.tapped", **SHELF, thing="count line", page=False),
    Route("counting.tap", "POST", **SEEN, own=LIBRARIAN, thing="count line", form={"counted": "1"}),
    Route("counting.add", **SEEN, own=LIBRARIAN, thing="sheet"),
    Route("counting.add", "POST", **SEEN, own=LIBRARIAN, thing="sheet"),
    Route("counting.differences", **SHELF, thing="sheet"),
    Route("counting.decide", "POST", **SEEN, own=LIBRARIAN, thing="sheet"),
    Route("counting.confirm", "POST", **SEEN, own=LIBRARIAN, thing="sheet"),
    Route("counting.reopen", "POST", **SEEN, own=METHODIST, foreign=METHODIST, thing="sheet"),
    Route("counting.paper", **SHELF, thing="sheet"),
    # --- imports of spreadsheets
    Route("intake.sample", page=False),
    Route("intake.index", own=f"{HAS_SCHOOL} {SEES_SCHOOLS} outsider"),
    Route("intake.bring", "POST", own=f"{LIBRARIANS} {OFFICES}"),
    Route("intake.show", **SHELF, thing="intake"),
    Route("intake.row", **SHELF, thing="intake row"),
    Route("intake.summary", **SHELF, thing="intake"),
    Route("intake.columns", "POST", **SEEN, own=LIBRARIAN, thing="intake sheet", form={"used": "1"}),
    Route("intake.year", "POST", **SEEN, own=LIBRARIAN, thing="intake", form={"year": "2020"}),
    Route("intake.answer", "POST", **SEEN, own=LIBRARIAN, thing="intake row", form={"answer": "skip"}),
    Route("intake.numbers", "POST", **SEEN, own=LIBRARIAN, thing="intake row", form={"copies": "5"}),
    Route("intake.apply", "POST", **SEEN, own=LIBRARIAN, thing="intake"),
    Route("intake.undo", "POST", **SEEN, own=LIBRARIAN, thing="intake"),
    Route("intake.discard", "POST", **SEEN, own=LIBRARIAN, thing="intake"),
    Route("intake.revive", "POST", **SEEN, own=LIBRARIAN, thing="intake"),
    # --- surpluses, requests, the board
    Route("postings.board"),
    Route("postings.offers"),
    Route("postings.offer", **SHELF, thing="offer"),
    Route("postings.request", **SHELF, thing="request"),
    Route("postings.limits", own=LIBRARIANS),
    Route("postings.limits", "POST", own=LIBRARIANS),
    Route("postings.new_offer", own=LIBRARIANS, thing="own book in query", shared=True),
    Route("postings.new_offer", "POST", own=LIBRARIANS, thing="own book in query", shared=True),
    Route("postings.edit_offer", own=LIBRARIAN, thing="offer", known_to=EVERYBODY_HERE),
    Route("postings.edit_offer", "POST", own=LIBRARIAN, thing="offer", known_to=EVERYBODY_HERE),
    Route("postings.renew_offer", "POST", own=LIBRARIAN, thing="offer", known_to=EVERYBODY_HERE),
    Route("postings.withdraw_offer", "POST", own=LIBRARIAN, thing="offer", known_to=EVERYBODY_HERE),
    Route("postings.requests"),
    Route("postings.new_request", own=ASKERS, thing="own book in query", shared=True),
    Route(
        "postings.new_request",
        "POST",
        own=ASKERS,
        thing="own book in query",
        shared=True,
    ),
    Route("postings.edit_request", own="librarian deputy", thing="request", known_to=EVERYBODY_HERE),
    Route("postings.edit_request", "POST", own="librarian deputy", thing="request", known_to=EVERYBODY_HERE),
    Route("postings.renew_request", "POST", own="librarian deputy", thing="request", known_to=EVERYBODY_HERE),
    Route(
        "postings.withdraw_request", "POST", own="librarian deputy", thing="request", known_to=EVERYBODY_HERE
    ),
    # --- transfers
    Route("transfers.index", own=f"{HAS_SCHOOL} {SEES_SCHOOLS} outsider"),
    Route("transfers.waiting"),
    Route(
        "transfers.approve_many",
        "POST",
        **SEEN,
        own=METHODIST,
        foreign=METHODIST,
        thing="accepted",
        form=lambda parameters: {"id": str(parameters["transfer_id"])},
    ),
    Route(
        "transfers.ask",
        own="methodist stranger",
        foreign="librarian methodist",
        thing="offer in query",
        known_to=EVERYBODY_HERE,
    ),
    Route(
        "transfers.ask",
        "POST",
        own="methodist stranger",
        foreign="librarian methodist",
        thing="offer in query",
        known_to=EVERYBODY_HERE,
        form={"copies": "1"},
    ),
    Route("transfers.show", **TRANSFER, thing="proposed"),
    Route("transfers.act", **TRANSFER, thing="approved"),
    Route("transfers.discrepancy", **TRANSFER, thing="disputed"),
    Route("transfers.agree", "POST", **SEEN, own=DIRECTOR, thing="proposed"),
    Route("transfers.accept", "POST", **SEEN, own="librarian director", thing="agreed, taking"),
    Route("transfers.approve", "POST", **SEEN, own=METHODIST, foreign=METHODIST, thing="accepted"),
    Route("transfers.pack", "POST", **SEEN, own=LIBRARIAN, thing="approved"),
    Route("transfers.ship", "POST", **SEEN, own=LIBRARIAN, thing="packed"),
    Route("transfers.receive", "POST", **SEEN, own=LIBRARIAN, thing="shipped, taking"),
    Route("transfers.settle", "POST", **SEEN, own=METHODIST, foreign=METHODIST, thing="disputed"),
    Route(
        "transfers.stop",
        "POST",
        **SEEN,
        own="librarian methodist",
        foreign=METHODIST,
        thing="shipped",
        form=REMARK,
    ),
    Route(
        "transfers.decline",
        "POST",
        **SEEN,
        own="director methodist",
        foreign=METHODIST,
        thing="proposed",
        form=DECLINE,
    ),
    Route(
        "transfers.withdraw",
        "POST",
        **SEEN,
        own="librarian director methodist",
        foreign=METHODIST,
        thing="proposed",
        form=REMARK,
    ),
    Route("transfers.prolong", "POST", **SEEN, own="librarian director", thing="lent"),
    Route("transfers.hand_back", "POST", **SEEN, own=LIBRARIAN, thing="lent"),
    Route("transfers.replace", "POST", **SEEN, own=LIBRARIAN, thing="lent"),
    # --- the reserve fund
    Route("reserve.index"),
    Route("reserve.report"),
    Route("reserve.books", own=OFFICES_MANAGERS),
    Route("reserve.acquire", own=OFFICES),
    Route("reserve.acquire", "POST", own=OFFICES),
    Route("reserve.title", own=f"{SEES_SCHOOLS} outsider", thing="textbook", shared=True),
    Route("reserve.set_floor", "POST", own=OFFICES, thing="textbook", shared=True, form={"copies": "2"}),
    Route("reserve.give", own=OFFICES, thing="textbook", shared=True),
    Route("reserve.give", "POST", own=OFFICES, thing="textbook", shared=True),
    Route("reserve.take_in", own=OFFICES, thing="textbook", shared=True),
    Route("reserve.take_in", "POST", own=OFFICES, thing="textbook", shared=True),
    Route("reserve.write_off", own=OFFICES, thing="textbook", shared=True),
    Route("reserve.write_off", "POST", own=OFFICES, thing="textbook", shared=True),
    Route("reserve.move", own=OFFICES, thing="textbook", shared=True),
    Route("reserve.move", "POST", own=OFFICES, thing="textbook", shared=True),
    # --- plans of the matching service
    Route("matching.index", own=OFFICES),
    Route("matching.create", "POST", own=OFFICES),
    Route("matching.compare", own=METHODIST, thing="plan pair"),
    Route("matching.progress", own=METHODIST, thing="plan run", page=False),
    Route("matching.show", own=METHODIST, thing="plan"),
    Route("matching.proof", own=METHODIST, thing="plan", page=False),
    Route("matching.publish", "POST", own=METHODIST, thing="plan"),
    Route("matching.discard", "POST", own=METHODIST, thing="plan"),
    Route("matching.mark", "POST", own=METHODIST, thing="plan line"),
    Route("matching.repair", "POST", own=OFFICES),
    Route("matching.stop", "POST", own=METHODIST, thing="plan run"),
    Route("matching.draw_frontier", "POST", own=METHODIST, thing="plan"),
    Route("matching.restore", "POST", own=METHODIST, thing="plan"),
    Route("matching.fix", "POST", own=METHODIST, thing="line of plan", form={"copies": "1"}),
    Route("matching.wish", "POST", own=METHODIST, thing="wish of line"),
    Route("matching.take_back", "POST", own=METHODIST, thing="wish"),
    Route("matching.swaps", own=METHODIST, thing="plan"),
    Route("matching.approve_swap", "POST", own=METHODIST, thing="plan swap"),
    Route("matching.routes", own=METHODIST, thing="plan"),
    Route("matching.line", own=METHODIST, thing="line in plan"),
    Route("matching.school", own=METHODIST, thing="school in plan"),
    # --- papers of the exchange
    Route("reports.index"),
    Route("reports.surplus", **SHELF, thing="school in query"),
    Route("reports.missing", **SHELF, thing="school in query"),
    Route("reports.consolidated", own=f"{SEES_SCHOOLS} outsider"),
)
