"""A small problem for the matching service, made by walking the real steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa

from exchange import runs
from exchange.catalog import services as catalog
from exchange.catalog.models import Edition, ListEntry, Textbook
from exchange.clock import FrozenClock
from exchange.db import db, in_unit, unit_of_work
from exchange.matching import services
from exchange.matching.models import Plan, PlanLine
from exchange.postings.models import Offer, Request
from exchange.reserve import services as reserve
from exchange.runs import Run
from exchange.schools.models import Holder, User
from tests.factories import World
from tests.postings_world import make_textbook, offer_of, put_on_shelf, request_of


class Town:
    """Posts surpluses and needs of a world's schools, and has plans made."""

    def __init__(self, world: World, clock: FrozenClock) -> None:
        self.world = world
        self.clock = clock

    def _librarian(self, school: Holder) -> User:
        people = {
            self.world.donor_school.id: self.world.donor,
            self.world.recipient_school.id: self.world.recipient,
            self.world.stranger_school.id: self.world.stranger,
        }
        return people[school.id]

    def book(self, title: str, **about: Any) -> Textbook:
        with unit_of_work():
            return make_textbook(title, **about)

    def edition(self, textbook: Textbook, *, year: int = 2022, part: int = 1) -> Edition:
        with unit_of_work():
            return catalog.edition_for(textbook.id, year, part)

    def offer(self, edition: Edition, copies: int, *, school: Holder | None = None, **about: Any) -> Offer:
        holder = school or self.world.donor_school
        librarian = self._librarian(holder)
        with unit_of_work():
            put_on_shelf(holder, edition, copies, by=librarian, clock=self.clock)
            return offer_of(self.world, self.clock, edition, copies, holder=holder, by=librarian, **about)

    def until(self, textbook: Textbook, day: date) -> None:
        """Let the federal list end the use of a book; new postings of it would be refused from then on."""
        with unit_of_work():
            db.session.execute(
                sa.update(ListEntry)
                .where(ListEntry.textbook_id == textbook.id)
                .values(appendix=2, valid_until=day)
            )

    def surplus(
        self, textbook: Textbook, copies: int, *, school: Holder | None = None, **about: Any
    ) -> Offer:
        return self.offer(self.edition(textbook), copies, school=school, **about)

    def need(
        self,
        textbook: Textbook,
        copies: int | Mapping[int, int],
        *,
        school: Holder | None = None,
        **about: Any,
    ) -> Request:
        taker = school or self.world.recipient_school
        by_part = copies if isinstance(copies, Mapping) else {1: copies}
        with unit_of_work():
            return request_of(
                self.world,
                self.clock,
                textbook,
                school=taker,
                copies_by_part=by_part,
                by=self._librarian(taker),
                **about,
            )

    def fund(self, edition: Edition, copies: int) -> None:
        with unit_of_work():
            put_on_shelf(self.world.fund, edition, copies, by=self.world.methodist, clock=self.clock)

    def floor(self, textbook: Textbook, copies: int) -> None:
        with unit_of_work():
            reserve.set_floor(textbook.id, copies, by=self.world.methodist, clock=self.clock)

    def gather(self, **about: Any) -> services.Gathered:
        return services.gather(self.world.district, clock=self.clock, **about)

    def order(self, **about: Any) -> int:
        return in_unit(lambda: services.order(by=self.world.methodist, clock=self.clock, **about).id)

    def run(self, run_id: int) -> Run:
        """Have the executor do the run; return how it ended."""
        runs.submit(run_id)
        db.session.rollback()
        return db.session.get_one(Run, run_id)

    def plan(self, **about: Any) -> Plan:
        run = self.run(self.order(**about))
        assert run.result is not None
        return db.session.get_one(Plan, run.result["plan_id"])

    def mark(self, line: PlanLine, mark: str) -> None:
        line_id = line.id
        in_unit(lambda: services.mark_line(line_id, mark, by=self.world.methodist, clock=self.clock))

    def publish(self, plan: Plan) -> services.Published:
        plan_id = plan.id
        return in_unit(
            lambda: services.publish(plan_id, seen=None, by=self.world.methodist, clock=self.clock)
        )
