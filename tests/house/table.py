"""The table of every route: who gets through, with an object of their own and with somebody else's.

``own`` names the characters who get through with an object of the school «own», ``foreign`` those who get
through with the same kind of object of another school of the district; an object of another district lets
nobody through. Everybody else is refused: 403 where they may know that the object exists, 404 where it is
private (``private=True``) or in another district. Anonymous visitors are led to the sign-in page unless the
route is public.

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
OF_DISTRICT = (*SCHOOL, *DISTRICT, "stranger")
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
    private: bool = True
    public: bool = False
    page: bool = True
    """Whether a GET answers with a page (and not a file, a redirect or data)."""

    @property
    def id(self) -> str:
        """Name of the row in the test report."""
        return f"{self.method} {self.endpoint}"


LIBRARIAN = "librarian"
SCHOOL_PEOPLE = " ".join(SCHOOL)
METHODIST = "methodist"
EVERYBODY_OF_DISTRICT = " ".join(OF_DISTRICT)

ROUTES: tuple[Route, ...] = (
    Route("home.index"),
    Route("home.healthz", public=True, page=False),
    Route("home.readyz", public=True, page=False),
    Route("people.sign_in", public=True, own=NOBODY),
    Route("people.sign_in", "POST", public=True, form={"login": "nobody", "password": "nothing"}),
    Route("people.sign_out", "POST", public=True),
    Route("people.set_language", "POST", public=True, form={"language": "en"}),
)
