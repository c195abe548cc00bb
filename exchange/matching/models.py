"""Tables of the plans that the matching service makes."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from exchange.catalog.models import Edition
from exchange.db import Identified, enum_column
from exchange.postings.models import Request
from exchange.schools.models import Holder
from exchange.transfers.rules import Kind


class PlanState(StrEnum):
    """Who can see a plan."""

    DRAFT = "draft"
    """The methodist alone."""
    PUBLISHED = "published"
    DISCARDED = "discarded"


class Plan(Identified):
    """One answer of the matching service for a district, with the figures it is judged by."""

    __tablename__ = "plan"

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"), index=True)
    state: Mapped[PlanState] = mapped_column(enum_column(PlanState), default=PlanState.DRAFT)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    created_by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    published_at: Mapped[datetime | None]
    base_id: Mapped[int | None] = mapped_column(sa.ForeignKey("plan.id"))
    """The plan that this one repairs; ``None`` where everything was open."""
    controls: Mapped[dict[str, Any]]
    """What the methodist asked for, see ``services.controls``."""
    certificate: Mapped[dict[str, Any]]
    """The proof, in the format of docs/matching.md."""
    problem: Mapped[bytes | None] = mapped_column(deferred=True)
    """What the plan was made from, see ``services.snapshots``: why it is as it is can be told later too."""
    figures: Mapped[dict[str, Any]]
    """Coverage, trips and kilometres of the plan, of the best possible and of the baseline; seconds."""
    uncovered: Mapped[list[Any]]
    """Needs that stay open: ``{request_id, missing, part, reasons, changes}``: sets, the part that holds
    others up, pairs of msgid and parameters, and what would cover more (``rules.Counterfactual``).
    """

    lines: Mapped[list[PlanLine]] = relationship(
        back_populates="plan", order_by="PlanLine.giver_id, PlanLine.taker_id, PlanLine.id"
    )

    __mapper_args__ = {"version_id_col": version}

    @property
    def is_draft(self) -> bool:
        """Whether it can still be changed."""
        return self.state is PlanState.DRAFT

    @property
    def is_outdated(self) -> bool:
        """Whether quantities were fixed since: it has to be solved again before it can be published."""
        return bool(self.figures.get("outdated"))

    @property
    def is_discarded(self) -> bool:
        """Whether it was thrown away or replaced; it can be taken up again."""
        return self.state is PlanState.DISCARDED

    @property
    def is_published(self) -> bool:
        """Whether its proposals have gone out."""
        return self.state is PlanState.PUBLISHED


class PlanLine(Identified):
    """One proposal of a plan: so many copies of an edition from a giver for a request."""

    __tablename__ = "plan_line"
    __table_args__ = (sa.CheckConstraint("copies > 0", name="copies"),)

    plan_id: Mapped[int] = mapped_column(sa.ForeignKey("plan.id"), index=True)
    giver_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    taker_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    edition_id: Mapped[int] = mapped_column(sa.ForeignKey("edition.id"))
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    request_id: Mapped[int] = mapped_column(sa.ForeignKey("request.id"))
    offer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("offer.id"))
    """``None`` where the fund gives: what it has is offered without a posting."""
    supply_id: Mapped[int | None]
    """The supply in ``Plan.problem``."""
    kind: Mapped[Kind] = mapped_column(enum_column(Kind))
    copies: Mapped[int]
    km: Mapped[float]
    locked: Mapped[bool] = mapped_column(default=False)
    exact: Mapped[bool] = mapped_column(default=False)
    """With ``locked``: just so many copies; else at least so many."""
    removed: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str] = mapped_column(sa.String(500))

    plan: Mapped[Plan] = relationship(back_populates="lines")
    giver: Mapped[Holder] = relationship(foreign_keys=[giver_id])
    taker: Mapped[Holder] = relationship(foreign_keys=[taker_id])
    edition: Mapped[Edition] = relationship()
    request: Mapped[Request] = relationship()


class WishKind(StrEnum):
    """What the methodist wants of the next plans."""

    FORBID = "forbid"
    """Nothing from this giver: to this taker, or for this request alone."""
    PREFER = "prefer"
    """This giver before all others for this request."""


class Wish(Identified):
    """A wish of the methodist that holds for every plan made until it is taken back."""

    __tablename__ = "plan_wish"
    __table_args__ = (sa.UniqueConstraint("kind", "giver_id", "taker_id", "request_id"),)

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"), index=True)
    kind: Mapped[WishKind] = mapped_column(enum_column(WishKind))
    giver_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    taker_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    request_id: Mapped[int | None] = mapped_column(sa.ForeignKey("request.id"))
    created_by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    created_at: Mapped[datetime]

    giver: Mapped[Holder] = relationship(foreign_keys=[giver_id])
    taker: Mapped[Holder] = relationship(foreign_keys=[taker_id])
    request: Mapped[Request | None] = relationship()
