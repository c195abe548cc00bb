"""Transfers for the tests, made by walking the real steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.catalog.models import Edition, Textbook
from exchange.clock import FrozenClock
from exchange.postings.models import Offer, Request
from exchange.postings.rules import OfferKind
from exchange.schools.models import User
from exchange.transfers import services
from exchange.transfers.models import Transfer
from exchange.transfers.rules import Arrival, Kind, Party, State
from tests.factories import World
from tests.postings_world import TODAY, make_edition, make_textbook, offer_of, put_on_shelf, request_of

DUE = TODAY.replace(year=2027, month=5, day=25)


@dataclass
class Deal:
    """A surplus of the donor, a need of the recipient and the transfer that joins them."""

    textbook: Textbook
    edition: Edition
    offer: Offer
    request: Request | None
    transfer: Transfer

    @property
    def id(self) -> int:
        return self.transfer.id

    @property
    def line(self) -> int:
        return self.transfer.lines[0].id


def make_deal(
    world: World,
    clock: FrozenClock,
    *,
    title: str = "Физика",
    on_shelf: int = 10,
    copies: int = 5,
    kind: Kind = Kind.PERMANENT,
    with_request: bool = True,
) -> Deal:
    """The recipient asks the donor for ``copies`` of one book. Call inside a unit of work."""
    textbook = make_textbook(title)
    edition = make_edition(textbook)
    put_on_shelf(world.donor_school, edition, on_shelf, by=world.donor, clock=clock)
    offer = offer_of(
        world,
        clock,
        edition,
        copies,
        kind=OfferKind(kind.value),
        due_back=DUE if kind is Kind.LOAN else None,
    )
    request = request_of(world, clock, textbook, copies_by_part={1: copies}) if with_request else None
    transfer = services.propose(
        giver=world.donor_school,
        taker=world.recipient_school,
        kind=kind,
        lines=[
            services.NewLine(
                edition_id=edition.id,
                owner_id=world.donor_school.id,
                copies=copies,
                offer_id=offer.id,
                request_id=request.id if request else None,
            )
        ],
        proposed_by=Party.TAKER,
        by=world.recipient,
        clock=clock,
    )
    return Deal(textbook, edition, offer, request, transfer)


def walk(deal: Deal, world: World, clock: FrozenClock, to: State, **arrival: int) -> Transfer:
    """Take the deal's transfer by its main road to the state ``to``.

    Of the copies shipped those not named in ``arrival`` (damaged, missing) arrive good.
    """
    id_ = deal.id

    def received() -> Transfer:
        wrong = sum(arrival.values())
        count = Arrival(good=deal.transfer.lines[0].shipped - wrong, **arrival)
        return services.receive(id_, {deal.line: count}, by=world.recipient, clock=clock)

    def by(person: User, step: Callable[..., Transfer]) -> Callable[[], Transfer]:
        return lambda: step(id_, by=person, clock=clock)

    road: dict[State, Callable[[], Transfer]] = {
        State.PROPOSED: lambda: services.agree(id_, {}, by=world.donor_director, clock=clock),
        State.AGREED: by(world.recipient, services.accept),
        State.ACCEPTED: by(world.methodist, services.approve),
        State.APPROVED: by(world.donor, services.pack),
        State.PACKED: by(world.donor, services.ship),
        State.SHIPPED: received,
    }
    while deal.transfer.state is not to:
        road[deal.transfer.state]()
    return deal.transfer
