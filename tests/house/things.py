"""The objects behind the addresses: of the school «own», of another school, of another district.

Each kind of object is made by walking the real steps in pairs of schools: «own» gives to another, another
gives to «own», two others deal with each other («foreign»), and two of another district («abroad»).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from exchange.approved import services as approved
from exchange.approved.rules import Use
from exchange.catalog.rules import SchoolYear
from exchange.clock import FrozenClock
from exchange.counting import services as counting
from exchange.counting.models import CountingCampaign
from exchange.db import unit_of_work
from exchange.disposals import services as disposals
from exchange.ledger.rules import WriteOffReason
from exchange.schools import services as schools
from exchange.schools.models import District, Holder, User
from exchange.schools.rules import Role
from exchange.transfers.rules import Kind, State
from tests import factories, intake_world, postings_world, transfers_world
from tests.factories import World
from tests.house.table import Parameters
from tests.transfers_world import Deal

Variants = Mapping[str, Parameters]
"""Parameters of the address (and of its query) by variant: «own», «foreign», «abroad»."""

_numbers = count(1)


@dataclass(frozen=True)
class Scene:
    """The pairs of schools, as worlds in which ``donor_school`` gives and ``recipient_school`` takes."""

    clock: FrozenClock
    giving: World
    taking: World
    foreign: World
    abroad: World

    def pairs(self, *, taking: bool = False) -> Mapping[str, World]:
        """Return the pair of schools of each variant; «own» gives, or takes."""
        return {
            "own": self.taking if taking else self.giving,
            "foreign": self.foreign,
            "abroad": self.abroad,
        }


Maker = Callable[[Scene], Variants]


def set_scene(world: World, clock: FrozenClock) -> Scene:
    """Make the pairs of schools with the people who act there."""
    with unit_of_work():
        third_director = _person(
            world.district, "third-director", Role.DIRECTOR, clock, world.stranger_school
        )
        other = world.outsider.district
        there = [
            factories.make_school(other, "ONE", "Первая заречная СОШ", 5),
            factories.make_school(other, "TWO", "Вторая заречная СОШ", 8),
        ]
        librarians = [_person(other, f"far-{s.code}", Role.LIBRARIAN, clock, s) for s in there]
        directors = [_person(other, f"far-{s.code}-director", Role.DIRECTOR, clock, s) for s in there]
    taking = replace(
        world,
        donor_school=world.recipient_school,
        donor=world.recipient,
        donor_director=world.recipient_director,
        recipient_school=world.donor_school,
        recipient=world.donor,
        recipient_director=world.donor_director,
    )
    foreign = replace(
        taking,
        recipient_school=world.stranger_school,
        recipient=world.stranger,
        recipient_director=third_director,
    )
    abroad = replace(
        world,
        district=other,
        methodist=world.outsider,
        donor_school=there[0],
        donor=librarians[0],
        donor_director=directors[0],
        recipient_school=there[1],
        recipient=librarians[1],
        recipient_director=directors[1],
    )
    return Scene(clock, world, taking, foreign, abroad)


def _person(district: District, login: str, role: Role, clock: FrozenClock, school: Holder) -> User:
    return schools.make_user(
        district_id=district.id,
        login=login,
        full_name=f"{login.title()} Тестовый",
        password_hash=factories.PASSWORD_HASH,
        role=role,
        school_id=school.id,
        clock=clock,
    )


def _transfers(state: State, *, taking: bool = False, kind: Kind = Kind.PERMANENT) -> Maker:
    """Return the maker of transfers in ``state`` that «own» gives, or takes."""

    def make(scene: Scene) -> Variants:
        found = {}
        for variant, pair in scene.pairs(taking=taking).items():
            with unit_of_work():
                deal = _deal(scene, pair, kind)
                damaged = {"damaged": 1} if state is State.DISPUTED else {}
                transfers_world.walk(deal, pair, scene.clock, state, **damaged)
            found[variant] = {"transfer_id": deal.id}
        return found

    return make


def _deal(scene: Scene, pair: World, kind: Kind = Kind.PERMANENT) -> Deal:
    return transfers_world.make_deal(pair, scene.clock, title=f"Книга {next(_numbers)}", kind=kind)


def _shelf(*names: str) -> Maker:
    """Return the maker of addresses on a shelf: the holder and what ``names`` lists of a book there."""

    def make(scene: Scene) -> Variants:
        found = {}
        for variant, pair in scene.pairs().items():
            with unit_of_work():
                deal = _deal(scene, pair)
            known = {
                "holder_id": pair.donor_school.id,
                "holder": pair.donor_school.id,
                "school": pair.donor_school.id,
                "textbook_id": deal.textbook.id,
                "edition_id": deal.edition.id,
                "edition": deal.edition.id,
                "other_id": pair.recipient_school.id,
            }
            found[variant] = {name: known[name] for name in names}
        return found

    return make


def _offer(name: str) -> Maker:
    def make(scene: Scene) -> Variants:
        found = {}
        for variant, pair in scene.pairs().items():
            with unit_of_work():
                textbook = postings_world.make_textbook(f"Излишек {next(_numbers)}")
                edition = postings_world.make_edition(textbook)
                postings_world.put_on_shelf(pair.donor_school, edition, 9, by=pair.donor, clock=scene.clock)
                offer = postings_world.offer_of(
                    pair, scene.clock, edition, holder=pair.donor_school, by=pair.donor
                )
            found[variant] = {name: offer.id}
        return found

    return make


def _requests(scene: Scene) -> Variants:
    found = {}
    for variant, pair in scene.pairs(taking=True).items():
        with unit_of_work():
            textbook = postings_world.make_textbook(f"Нужда {next(_numbers)}")
            # Somebody has it, so that the matching service finds something to propose.
            edition = postings_world.make_edition(textbook)
            postings_world.put_on_shelf(pair.donor_school, edition, 9, by=pair.donor, clock=scene.clock)
            postings_world.offer_of(pair, scene.clock, edition, holder=pair.donor_school, by=pair.donor)
            request = postings_world.request_of(
                pair, scene.clock, textbook, school=pair.recipient_school, by=pair.recipient
            )
        found[variant] = {"request_id": request.id}
    return found


def _lists(name: str) -> Maker:
    """Return the maker of approved lists of one line, drafts."""

    def make(scene: Scene) -> Variants:
        found = {}
        for variant, pair in scene.pairs().items():
            with unit_of_work():
                textbook = postings_world.make_textbook(f"В перечне {next(_numbers)}")
                grade = textbook.grade_from or 1
                approved.add_uses(
                    school=pair.donor_school,
                    school_year=2026,
                    uses=[Use(grade, "", textbook.id, textbook.subject)],
                    by=pair.donor,
                    clock=scene.clock,
                )
                listed = approved.list_of(pair.donor_school, SchoolYear(2026))
                assert listed
                known = {"list_id": listed.id, "use_id": listed.uses[-1].id}
            found[variant] = {name: known[name]}
        return found

    return make


def _textbook(scene: Scene) -> Variants:
    world = scene.giving
    with unit_of_work():
        deal = _deal(scene, world)
        postings_world.put_on_shelf(world.fund, deal.edition, 3, by=world.methodist, clock=scene.clock)
        return {"own": {"textbook_id": deal.textbook.id}}


def _for_own_textbook(name: str) -> Maker:
    """Return the maker of a query that names a book which «own» has on its shelf."""

    def make(scene: Scene) -> Variants:
        with unit_of_work():
            textbook = postings_world.make_textbook(f"На полке {next(_numbers)}")
            edition = postings_world.make_edition(textbook)
            postings_world.put_on_shelf(
                scene.giving.donor_school, edition, 9, by=scene.giving.donor, clock=scene.clock
            )
            return {"own": {name: textbook.id}}

    return make


def _intakes(*names: str) -> Maker:
    """Return the maker of imports in review, with what ``names`` lists of a row and a sheet of them."""

    def make(scene: Scene) -> Variants:
        found = {}
        for variant, pair in scene.pairs().items():
            with unit_of_work():
                textbook = postings_world.make_textbook(f"Книга из файла {next(_numbers)}")
            with TemporaryDirectory() as folder:
                intake = intake_world.bring(
                    intake_world.workbook(
                        [
                            ["Наименование", "Год издания", "Количество"],
                            [textbook.title, 2023, 9],
                            [textbook.title, 2022, "много"],
                        ]
                    ),
                    holder=pair.donor_school,
                    by=pair.donor,
                    clock=scene.clock,
                    folder=Path(folder),
                )
            known = {
                "intake_id": intake.id,
                "row_id": intake_world.rows_of(intake)[-1].id,
                "sheet": 0,
            }
            found[variant] = {name: known[name] for name in names}
        return found

    return make


def _people(scene: Scene) -> Variants:
    return {
        "own": {"user_id": scene.giving.recipient.id},
        "abroad": {"user_id": scene.abroad.donor.id},
    }


def _closed_accounts(scene: Scene) -> Variants:
    found = {}
    for variant, pair in (("own", scene.giving), ("abroad", scene.abroad)):
        with unit_of_work():
            login = f"closed-{variant}"
            user = _person(pair.district, login, Role.DEPUTY, scene.clock, pair.recipient_school)
            schools.set_active(user.id, False, by=pair.methodist, clock=scene.clock)
        found[variant] = {"user_id": user.id}
    return found


def _duties(scene: Scene) -> Variants:
    return {
        "own": {"membership_id": scene.giving.recipient.memberships[0].id},
        "abroad": {"membership_id": scene.abroad.donor.memberships[0].id},
    }


def _invitations(scene: Scene) -> Variants:
    found = {}
    for variant, pair in (("own", scene.giving), ("abroad", scene.abroad)):
        with unit_of_work():
            invitation, _code = schools.invite(
                role=Role.DEPUTY,
                school=pair.recipient_school,
                full_name="Новый Тестовый",
                days=30,
                by=pair.methodist,
                clock=scene.clock,
            )
        found[variant] = {"invitation_id": invitation.id}
    return found


def _acts(*names: str) -> Maker:
    """Return the maker of draft acts with one line."""

    def make(scene: Scene) -> Variants:
        found = {}
        for variant, pair in scene.pairs().items():
            with unit_of_work():
                deal = _deal(scene, pair)
                act = disposals.draft_for(pair.donor_school, by=pair.donor, clock=scene.clock)
                line = disposals.add_line(
                    act.id, deal.edition.id, WriteOffReason.WORN, 1, by=pair.donor, clock=scene.clock
                )
                known = {"act_id": act.id, "line_id": line.id}
            found[variant] = {name: known[name] for name in names}
        return found

    return make


def _campaign(scene: Scene, pair: World) -> CountingCampaign:
    return counting.open_of(pair.district.id) or counting.open_campaign(
        title="Пересчёт",
        starts_on=scene.clock.today("UTC"),
        ends_on=scene.clock.today("UTC"),
        by=pair.methodist,
        clock=scene.clock,
    )


def _campaigns(scene: Scene) -> Variants:
    with unit_of_work():
        return {
            variant: {"campaign_id": _campaign(scene, pair).id}
            for variant, pair in scene.pairs().items()
            if variant != "foreign"
        }


def _sheets(*names: str) -> Maker:
    """Return the maker of counts that have begun: one book is counted, and one is missing of it."""

    def make(scene: Scene) -> Variants:
        found = {}
        for variant, pair in scene.pairs().items():
            with unit_of_work():
                deal = _deal(scene, pair)
                sheet = counting.begin(
                    _campaign(scene, pair).id, holder=pair.donor_school, by=pair.donor, clock=scene.clock
                )
                counting.tap(
                    sheet.id, deal.edition.id, counting.Tap(9, 0, 10), by=pair.donor, clock=scene.clock
                )
                known = {"sheet_id": sheet.id, "edition_id": deal.edition.id}
            found[variant] = {name: known[name] for name in names}
        return found

    return make


THINGS: Mapping[str, Maker] = {
    "school": _shelf("holder_id"),
    "school in query": _shelf("school"),
    "road": _shelf("holder_id", "other_id"),
    "book on shelf": _shelf("holder_id", "textbook_id"),
    "edition on shelf": _shelf("holder_id", "edition_id"),
    "edition in query": _shelf("holder", "edition"),
    "textbook": _textbook,
    "own book in query": _for_own_textbook("textbook"),
    "act": _acts("act_id"),
    "act line": _acts("line_id"),
    "campaign": _campaigns,
    "sheet": _sheets("sheet_id"),
    "count line": _sheets("sheet_id", "edition_id"),
    "offer": _offer("offer_id"),
    "offer in query": _offer("offer"),
    "request": _requests,
    "intake": _intakes("intake_id"),
    "intake row": _intakes("intake_id", "row_id"),
    "intake sheet": _intakes("intake_id", "sheet"),
    "list": _lists("list_id"),
    "list line": _lists("use_id"),
    "person": _people,
    "closed account": _closed_accounts,
    "duty": _duties,
    "invitation": _invitations,
    "proposed": _transfers(State.PROPOSED),
    "agreed, taking": _transfers(State.AGREED, taking=True),
    "accepted": _transfers(State.ACCEPTED),
    "approved": _transfers(State.APPROVED),
    "packed": _transfers(State.PACKED),
    "shipped": _transfers(State.SHIPPED),
    "shipped, taking": _transfers(State.SHIPPED, taking=True),
    "disputed": _transfers(State.DISPUTED),
    "lent": _transfers(State.LENT, kind=Kind.LOAN),
}
"""Made inside the portal's context; plans and lists are made by the pages (see ``conftest``)."""
