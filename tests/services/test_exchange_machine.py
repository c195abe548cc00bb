"""The exchange as a whole under random people doing random things: what must never break does not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.errors import DomainError
from exchange.ledger import services as ledger
from exchange.ledger.models import Balance, MovementLine
from exchange.postings import services as postings
from exchange.postings.models import Offer, Request, RequestPart
from exchange.postings.rules import OfferKind
from exchange.schools import services as schools
from exchange.schools.models import Holder, User
from exchange.schools.rules import HolderKind, Role
from exchange.transfers import rules, services
from exchange.transfers.models import Transfer, TransferLine
from exchange.transfers.rules import (
    BEFORE_SHIPMENT,
    ENDED,
    PROMISING,
    Arrival,
    Bearer,
    Decision,
    DeclineReason,
    Kind,
    State,
    StepName,
)
from exchange.web.unit import Portal
from tests.conftest import START
from tests.factories import PASSWORD_HASH, World
from tests.postings_world import make_edition, make_textbook, offer_of, put_on_shelf, request_of
from tests.transfers_world import make_deal, walk

EXAMPLES = 30
STEPS = 25
LEFT = frozenset({State.SHIPPED, State.DISPUTED, State.LENT})
"""The books have left the giver, and something may still happen to them."""
numbers = st.integers(0, 4)


def do(
    name: StepName, transfer: Transfer, draw: Callable[[int], int], *, by: User, clock: FrozenClock
) -> None:
    """Take a step with numbers from ``draw``, which returns one of 0 … its argument."""
    id_, lines = transfer.id, transfer.lines
    match name:
        case StepName.AGREE:
            services.agree(id_, {line.id: draw(line.asked) for line in lines}, by=by, clock=clock)
        case StepName.ACCEPT:
            services.accept(id_, by=by, clock=clock)
        case StepName.APPROVE:
            services.approve(id_, by=by, clock=clock)
        case StepName.PACK:
            services.pack(id_, {line.id: draw(line.copies) for line in lines}, by=by, clock=clock)
        case StepName.SHIP:
            services.ship(id_, by=by, clock=clock)
        case StepName.RECEIVE:
            arrivals = {}
            for line in lines:
                good = draw(line.counts.pending)
                damaged = draw(max(0, line.counts.pending - good))
                missing = draw(max(0, line.counts.pending - good - damaged))
                arrivals[line.id] = Arrival(good, damaged, missing)
            services.receive(id_, arrivals, by=by, clock=clock)
        case StepName.SETTLE:
            decisions = {}
            for line in lines:
                kept = draw(line.counts.disputed)
                sent_back = draw(max(0, line.counts.disputed - kept))
                lost = line.counts.disputed - kept - sent_back
                decisions[line.id] = Decision(kept, sent_back, lost, Bearer.TAKER)
            services.settle(id_, decisions, by=by, clock=clock)
        case StepName.STOP:
            services.stop(id_, "назад", by=by, clock=clock)
        case StepName.DECLINE:
            services.decline(id_, DeclineReason.OTHER, "так вышло", by=by, clock=clock)
        case StepName.WITHDRAW:
            services.withdraw(id_, "передумали", by=by, clock=clock)
        case StepName.PROLONG:
            due = (transfer.due_back or clock.today("UTC")) + timedelta(days=draw(30))
            services.prolong(id_, due, by=by, clock=clock)
        case StepName.RETURN:
            counts = {line.id: draw(line.counts.outstanding) for line in lines}
            services.hand_back(id_, counts, by=by, clock=clock)
        case StepName.REPLACE:
            counts = {line.id: draw(line.counts.outstanding) for line in lines}
            services.replace(id_, counts, by=by, clock=clock)


class Exchange(RuleBasedStateMachine):
    """Three schools and the fund; every step in a savepoint, every example in a transaction rolled back."""

    world: World
    clock: FrozenClock
    people: list[User]

    @initialize(
        copies=st.lists(numbers, min_size=8, max_size=8),
        deals=st.lists(
            st.tuples(st.sampled_from(Kind), st.integers(0, 6), st.integers(0, 2)), min_size=3, max_size=3
        ),
    )
    def begin(self, copies: list[int], deals: list[tuple[Kind, int, int]]) -> None:
        """Stock the shelves, and start with transfers that are already on their way."""
        self.clock.set(START)
        world = self.world
        self.librarians = {
            world.donor_school.id: world.donor,
            world.recipient_school.id: world.recipient,
            world.stranger_school.id: world.stranger,
        }
        self.textbooks = [make_textbook("Физика"), make_textbook("Азбука", parts=2)]
        self.editions = [
            make_edition(self.textbooks[0]),
            make_edition(self.textbooks[0], year=2019),
            make_edition(self.textbooks[1], part=1),
            make_edition(self.textbooks[1], part=2),
        ]
        self.bought: dict[int, int] = defaultdict(int)
        holders = [world.donor_school, world.stranger_school]
        for index, number in enumerate(copies):
            self.buy(holders[index % 2], self.editions[index // 2], number + 1)
        for edition in self.editions:
            self.buy(world.fund, edition, 2)
        for number, (kind, steps, wrong) in enumerate(deals):
            deal = make_deal(world, self.clock, title=f"Начатая {number}", copies=4, on_shelf=6, kind=kind)
            self.bought[deal.edition.id] += 6
            self.buy(world.stranger_school, deal.edition, 3)
            offer_of(world, self.clock, deal.edition, 3, holder=world.stranger_school, by=world.stranger)
            for _ in range(steps):
                if deal.transfer.state in BEFORE_SHIPMENT:
                    self.forward(deal.transfer)
                elif deal.transfer.state is State.SHIPPED:
                    walk(deal, world, self.clock, self.after_receipt(kind, wrong), missing=wrong)

    def after_receipt(self, kind: Kind, wrong: int) -> State:
        if wrong:
            return State.DISPUTED
        return State.LENT if kind is Kind.LOAN else State.SETTLED

    def buy(self, holder: Holder, edition: Any, copies: int) -> None:
        put_on_shelf(holder, edition, copies, by=self.world.methodist, clock=self.clock)
        self.bought[edition.id] += copies

    def attempt(self, work: Callable[[], object]) -> bool:
        """Do something that may be refused; a refusal leaves nothing behind."""
        try:
            with db.session.begin_nested():
                work()
        except DomainError:
            return False
        return True

    def transfers(self, *, ended: bool, among: frozenset[State] = frozenset(State)) -> list[Transfer]:
        where = Transfer.state.in_(among & ENDED if ended else among - ENDED)
        return list(db.session.scalars(sa.select(Transfer).where(where).order_by(Transfer.id)))

    def some(self, among: frozenset[State]) -> bool:
        found = sa.select(Transfer.id).where(Transfer.state.in_(among)).limit(1)
        return db.session.scalar(found) is not None

    # --- what people do ---

    @rule(
        holder=st.integers(0, 2),
        edition=st.integers(0, 3),
        copies=st.integers(1, 5),
        kind=st.sampled_from(OfferKind),
    )
    def offer(self, holder: int, edition: int, copies: int, kind: OfferKind) -> None:
        school_id, librarian = list(self.librarians.items())[holder]
        due = self.clock.today("UTC") + timedelta(days=200)
        terms = {"due_back": due} if kind is OfferKind.LOAN else {}
        self.attempt(
            lambda: offer_of(
                self.world,
                self.clock,
                self.editions[edition],
                copies,
                holder=db.session.get_one(Holder, school_id),
                by=librarian,
                kind=kind,
                expires_on=due,
                **terms,
            )
        )

    @rule(
        holder=st.integers(0, 2),
        textbook=st.integers(0, 1),
        wanted=st.lists(numbers, min_size=2, max_size=2),
        loan=st.booleans(),
    )
    def lack(self, holder: int, textbook: int, wanted: list[int], loan: bool) -> None:
        school_id, librarian = list(self.librarians.items())[holder]
        book = self.textbooks[textbook]
        self.attempt(
            lambda: request_of(
                self.world,
                self.clock,
                book,
                school=db.session.get_one(Holder, school_id),
                by=librarian,
                copies_by_part=dict(zip(range(1, book.parts + 1), wanted, strict=False)),
                loan_acceptable=loan,
                expires_on=self.clock.today("UTC") + timedelta(days=200),
            )
        )

    @precondition(lambda self: db.session.scalar(sa.select(sa.func.count()).select_from(Offer)))
    @rule(data=st.data(), copies=st.integers(1, 5), holder=st.integers(0, 2))
    def ask_a_school(self, data: st.DataObject, copies: int, holder: int) -> None:
        offers = list(db.session.scalars(sa.select(Offer.id).order_by(Offer.id)))
        offer_id = data.draw(st.sampled_from(offers))
        school_id, librarian = list(self.librarians.items())[holder]
        taker = db.session.get_one(Holder, school_id)
        self.attempt(
            lambda: services.ask_school(offer_id, taker=taker, copies=copies, by=librarian, clock=self.clock)
        )

    @rule(
        edition=st.integers(0, 3),
        copies=st.integers(1, 3),
        kind=st.sampled_from(Kind),
        holder=st.integers(0, 2),
    )
    def ask_the_fund(self, edition: int, copies: int, kind: Kind, holder: int) -> None:
        school_id, librarian = list(self.librarians.items())[holder]
        taker = db.session.get_one(Holder, school_id)
        self.attempt(
            lambda: services.ask_fund(
                self.world.fund,
                self.editions[edition],
                taker=taker,
                kind=kind,
                copies=copies,
                by=librarian,
                clock=self.clock,
            )
        )

    @precondition(lambda self: self.some(frozenset(State) - ENDED))
    @rule(data=st.data())
    def somebody_takes_a_step_of_theirs(self, data: st.DataObject) -> None:
        transfer = data.draw(st.sampled_from(self.transfers(ended=False)), label="transfer")
        steps = [(by, step.name) for by in self.people for step in services.menu(transfer, by=by)]
        by, name = data.draw(st.sampled_from(steps), label="step")
        self.attempt(
            lambda: do(name, transfer, lambda most: data.draw(st.integers(0, most)), by=by, clock=self.clock)
        )

    @precondition(lambda self: self.some(LEFT))
    @rule(data=st.data())
    def something_happens_on_the_way(self, data: st.DataObject) -> None:
        transfer = data.draw(st.sampled_from(self.transfers(ended=False, among=LEFT)), label="transfer")
        steps = [(by, step.name) for by in self.people for step in services.menu(transfer, by=by)]
        by, name = data.draw(st.sampled_from(steps), label="step")
        self.attempt(
            lambda: do(name, transfer, lambda most: data.draw(st.integers(0, most)), by=by, clock=self.clock)
        )

    @precondition(lambda self: self.some(frozenset(State) - ENDED))
    @rule(data=st.data())
    def it_goes_forward(self, data: st.DataObject) -> None:
        transfer = data.draw(st.sampled_from(self.transfers(ended=False)), label="transfer")
        self.forward(transfer)

    @rule(data=st.data(), name=st.sampled_from(StepName))
    def somebody_tries_anything(self, data: st.DataObject, name: StepName) -> None:
        every = self.transfers(ended=False) + self.transfers(ended=True)
        transfer = data.draw(st.sampled_from(every), label="transfer")
        by = data.draw(st.sampled_from(self.people), label="by")
        open_now = {step.name for step in services.menu(transfer, by=by)}
        done = self.attempt(
            lambda: do(name, transfer, lambda most: data.draw(numbers), by=by, clock=self.clock)
        )
        assert not done or name in open_now or name is StepName.EXPIRE

    @rule(days=st.integers(1, 9))
    def time_passes(self, days: int) -> None:
        self.clock.advance(days=days)
        services.expire(self.clock)

    @precondition(lambda self: db.session.scalar(sa.select(sa.func.count()).select_from(Request)))
    @rule(data=st.data())
    def a_request_is_withdrawn(self, data: st.DataObject) -> None:
        every = list(db.session.scalars(sa.select(Request).order_by(Request.id)))
        request = data.draw(st.sampled_from(every))
        by = self.librarians[request.school_id]
        self.attempt(lambda: postings.withdraw_request(request.id, by=by, clock=self.clock))

    def forward(self, transfer: Transfer) -> None:
        """Take the next step of the main road, or the return of a loan, whoever's it is."""
        for by in self.people:
            name = rules.next_step(services.menu(transfer, by=by))
            if name is not None:
                # As many as there are; a promise that cannot be kept any more is declined.
                if not self.attempt(lambda: do(name, transfer, lambda most: most, by=by, clock=self.clock)):  # noqa: B023
                    do(StepName.DECLINE, transfer, lambda most: most, by=by, clock=self.clock)
                return
        raise AssertionError(f"nobody can carry on from {transfer.state}")

    # --- what must hold ---

    @invariant()
    def the_books_agree(self) -> None:
        assert ledger.verify() == []
        if not hasattr(self, "bought"):
            return
        sums = db.session.execute(
            sa.select(MovementLine.edition_id, sa.func.sum(MovementLine.copies)).group_by(
                MovementLine.edition_id
            )
        )
        assert all(total == 0 for _, total in sums)
        written_off = ledger.technical(self.world.district.id, HolderKind.WRITTEN_OFF)
        replaced = dict(
            db.session.execute(
                sa.select(TransferLine.edition_id, sa.func.sum(TransferLine.replaced)).group_by(
                    TransferLine.edition_id
                )
            ).all()
        )
        held: dict[int, int] = defaultdict(int)
        for edition_id, holder_id, copies, promised in db.session.execute(
            sa.select(Balance.edition_id, Balance.holder_id, Balance.copies, Balance.promised)
        ):
            assert 0 <= promised <= copies
            assert promised == 0 or holder_id != written_off
            held[edition_id] += copies
        # Equal copies given for lost ones come from outside; the lost ones stay on the books as written off.
        for edition_id, copies in self.bought.items():
            assert held[edition_id] == copies + (replaced.get(edition_id) or 0)

    @invariant()
    def promises_are_those_of_the_transfers(self) -> None:
        promised: dict[tuple[int, int, int], int] = defaultdict(int)
        reserved: dict[int, int] = defaultdict(int)
        matched: dict[tuple[int, int], int] = defaultdict(int)
        for transfer in self.transfers(ended=False) + self.transfers(ended=True):
            for line in transfer.lines:
                if transfer.state in PROMISING:
                    promised[line.owner_id, transfer.giver_id, line.edition_id] += line.copies
                if transfer.state in rules.FAILED:
                    continue
                held = line.copies - line.returned - line.sent_back
                if line.offer_id:
                    reserved[line.offer_id] += held
                if line.request_id:
                    matched[line.request_id, line.edition.part] += held - line.lost
        for balance in db.session.execute(
            sa.select(Balance.owner_id, Balance.holder_id, Balance.edition_id, Balance.promised)
        ):
            assert balance.promised == promised.pop(tuple(balance)[:3], 0)
        assert not any(promised.values())
        for offer_id, copies in db.session.execute(sa.select(Offer.id, Offer.reserved)):
            assert copies == reserved[offer_id]
        for request_id, part, copies in db.session.execute(
            sa.select(RequestPart.request_id, RequestPart.part, RequestPart.matched)
        ):
            assert copies == matched[request_id, part]

    @invariant()
    def states_say_what_the_lines_say(self) -> None:
        for transfer in self.transfers(ended=False) + self.transfers(ended=True):
            counts = [line.counts for line in transfer.lines]
            if transfer.shipped_at is None:
                assert not any(line.shipped for line in counts)
            elif transfer.state is State.RETURNED:
                assert not any(line.outstanding or line.pending or line.disputed for line in counts)
            else:
                assert transfer.state is rules.state_after_arrival(transfer.kind, counts)

    @invariant()
    def who_can_carry_on_sees_it_waiting(self) -> None:
        for transfer in self.transfers(ended=False)[-1:]:
            for by in self.people:
                if rules.next_step(services.menu(transfer, by=by)) in rules.MAIN_STEPS:
                    assert transfer.id in {row.id for row in services.waiting(by, clock=self.clock)}
                    return

    def teardown(self) -> None:
        try:
            if hasattr(self, "bought"):
                self.everything_can_end()
        finally:
            db.session.rollback()

    def everything_can_end(self) -> None:
        for transfer in self.transfers(ended=False):
            for _ in range(15):
                if transfer.state in ENDED:
                    break
                self.forward(transfer)
            assert transfer.state in ENDED
        self.the_books_agree()
        self.promises_are_those_of_the_transfers()


def test_the_exchange_holds_together(app: Portal, world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        director = schools.make_user(
            district_id=world.district.id,
            login="third-director",
            full_name="Третий Директор",
            password_hash=PASSWORD_HASH,
            role=Role.DIRECTOR,
            school_id=world.stranger_school.id,
            clock=clock,
        )
    Exchange.world = world
    Exchange.clock = clock
    Exchange.people = [
        world.donor,
        world.donor_director,
        world.recipient,
        world.recipient_director,
        world.stranger,
        director,
        world.methodist,
        world.accountant,
    ]
    run_state_machine_as_test(
        Exchange,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            # Shrinking would take minutes; the steps that are reported are few enough to read.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
