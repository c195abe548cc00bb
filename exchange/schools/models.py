"""Tables of districts, holders, roads, people, their roles and invitations."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from exchange.db import Identified, enum_column
from exchange.schools.rules import Duty, HolderKind, Place, Role


class District(Identified):
    """A municipal district with its education office."""

    __tablename__ = "district"

    name: Mapped[str] = mapped_column(sa.String(200))
    """«Балахтинский район»."""
    office: Mapped[str] = mapped_column(sa.String(300))
    """Full name of the education office, as printed on papers."""
    region: Mapped[str] = mapped_column(sa.String(200))
    timezone: Mapped[str] = mapped_column(sa.String(64))
    is_demo: Mapped[bool] = mapped_column(default=False)


class Holder(Identified):
    """A place copies can be at: a school, a storage place of the fund, or a technical account."""

    __tablename__ = "holder"
    __table_args__ = (sa.UniqueConstraint("district_id", "code"),)

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"), index=True)
    kind: Mapped[HolderKind] = mapped_column(enum_column(HolderKind))
    code: Mapped[str] = mapped_column(sa.String(16))
    name: Mapped[str] = mapped_column(sa.String(300))
    """Official name: «МБОУ „Приморская СОШ“»."""
    short_name: Mapped[str] = mapped_column(sa.String(100))
    settlement: Mapped[str] = mapped_column(sa.String(100), default="")
    inn: Mapped[str] = mapped_column(sa.String(12), default="")
    kpp: Mapped[str] = mapped_column(sa.String(9), default="")
    km_to_centre: Mapped[float] = mapped_column(default=0.0)
    located_at_id: Mapped[int | None] = mapped_column(sa.ForeignKey("holder.id"))
    """The school in whose storeroom a storage place of the fund is; ``None``: the education office."""

    district: Mapped[District] = relationship(lazy="joined", innerjoin=True)

    @property
    def place(self) -> Place:
        """The holder as the rules of access see it."""
        return Place(self.district_id, self.id, self.kind)


class Road(Identified):
    """A measured road distance between two holders, stored once with ``first_id < second_id``."""

    __tablename__ = "road"
    __table_args__ = (
        sa.UniqueConstraint("first_id", "second_id"),
        sa.CheckConstraint("first_id < second_id", name="order"),
        sa.CheckConstraint("km >= 0", name="km"),
    )

    first_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"))
    second_id: Mapped[int] = mapped_column(sa.ForeignKey("holder.id"), index=True)
    km: Mapped[float]


class User(Identified):
    """A person who signs in. Staff only; no pupil is ever stored."""

    __tablename__ = "user_account"

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"), index=True)
    login: Mapped[str] = mapped_column(sa.String(64), unique=True)
    """Folded, so that sign-in ignores case."""
    full_name: Mapped[str] = mapped_column(sa.String(200))
    email: Mapped[str] = mapped_column(sa.String(200), default="")
    password_hash: Mapped[str] = mapped_column(sa.String(200))
    active: Mapped[bool] = mapped_column(default=True)
    epoch: Mapped[int] = mapped_column(default=1)
    """Raised to end all sessions of this person at once."""
    language: Mapped[str] = mapped_column(sa.String(5), default="ru")
    created_at: Mapped[datetime]

    district: Mapped[District] = relationship(lazy="joined", innerjoin=True)
    memberships: Mapped[list[Membership]] = relationship(
        back_populates="user", lazy="selectin", order_by="Membership.id"
    )

    @property
    def duties(self) -> list[Duty]:
        """What this person does where, as the rules of access see it."""
        return [Duty(m.role, self.district_id, m.school_id) for m in self.memberships] if self.active else []

    @property
    def school(self) -> Holder | None:
        """The school this person works at, if any."""
        return next((m.school for m in self.memberships if m.school is not None), None)

    @property
    def is_authenticated(self) -> bool:
        """Part of Flask-Login's contract."""
        return self.active

    @property
    def is_active(self) -> bool:
        """Part of Flask-Login's contract."""
        return self.active

    @property
    def is_anonymous(self) -> bool:
        """Part of Flask-Login's contract."""
        return False

    def get_id(self) -> str:
        """Return what the session keeps: raising the epoch makes it worthless."""
        return f"{self.id}.{self.epoch}"


class Membership(Identified):
    """A role of a person, at a school or (``school_id`` None) for the district."""

    __tablename__ = "membership"
    __table_args__ = (sa.UniqueConstraint("user_id", "role", "school_id"),)

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    role: Mapped[Role] = mapped_column(enum_column(Role))
    school_id: Mapped[int | None] = mapped_column(sa.ForeignKey("holder.id"), index=True)

    user: Mapped[User] = relationship(back_populates="memberships")
    school: Mapped[Holder | None] = relationship(lazy="joined")


class Invitation(Identified):
    """A one-time slip with which a new person makes their own account, or somebody renews a lost password."""

    __tablename__ = "invitation"

    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"), index=True)
    code_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    role: Mapped[Role] = mapped_column(enum_column(Role))
    school_id: Mapped[int | None] = mapped_column(sa.ForeignKey("holder.id"))
    full_name: Mapped[str] = mapped_column(sa.String(200))
    invited_by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    """Whose password the slip renews; ``None``: it makes a new account."""

    school: Mapped[Holder | None] = relationship(lazy="joined")


class SignInFailure(Identified):
    """A try with a password that did not succeed, kept for as long as it slows down the next one."""

    __tablename__ = "sign_in_failure"
    __table_args__ = (sa.Index(None, "login", "at"),)

    login: Mapped[str] = mapped_column(sa.String(64))
    at: Mapped[datetime]
