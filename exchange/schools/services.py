"""People, invitations, sign-in, districts, holders and roads: everything that changes them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import timedelta

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from exchange import journal
from exchange.clock import Clock
from exchange.db import db
from exchange.errors import Invalid, NotFound
from exchange.schools import access
from exchange.schools.models import District, Holder, Invitation, Membership, Road, SignInFailure, User
from exchange.schools.rules import (
    DISTRICT_ROLES,
    MIN_PASSWORD,
    ROLE_NAMES,
    SCHOOL_ROLES,
    WINDOW_MINUTES,
    Action,
    HolderKind,
    Role,
    road_km,
    sign_in_allowed,
)

_hasher = PasswordHasher()
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Letters and digits of an invitation code that cannot be mistaken for one another on paper."""
_NOBODY = _hasher.hash("nobody has this password")


def hash_password(password: str) -> str:
    """Return the argon2id hash of ``password``; slow on purpose, so call it outside a unit of work.

    Raises ``Invalid`` for one that is too short.
    """
    if len(password) < MIN_PASSWORD:
        raise Invalid(
            "Пароль короче %(least)s знаков. Возьмите фразу подлиннее.", field="password", least=MIN_PASSWORD
        )
    return _hasher.hash(password)


def password_matches(password_hash: str | None, password: str) -> bool:
    """Compare, taking as long for a login nobody has as for a real one. Call it outside a unit of work."""
    try:
        _hasher.verify(password_hash or _NOBODY, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    return password_hash is not None


def fold_login(login: str) -> str:
    """Return the login as it is stored: case and surrounding spaces do not matter."""
    return login.strip().casefold()


def user_by_login(login: str) -> User | None:
    """Return the active person of this login."""
    return db.session.scalar(sa.select(User).where(User.login == fold_login(login), User.active.is_(True)))


def user_by_session(session_id: str) -> User | None:
    """Return whom the session's id stands for, unless deactivated or signed out everywhere since."""
    number, _, epoch = session_id.partition(".")
    if not (number.isdecimal() and epoch.isdecimal()):
        return None
    user = db.session.get(User, int(number))
    return user if user is not None and user.active and user.epoch == int(epoch) else None


def too_many_failures(login: str, *, clock: Clock) -> bool:
    """Say whether sign-in with this login must wait."""
    since = clock.now() - timedelta(minutes=WINDOW_MINUTES)
    failures = db.session.scalar(
        sa.select(sa.func.count())
        .select_from(SignInFailure)
        .where(SignInFailure.login == fold_login(login)[:64], SignInFailure.at >= since)
    )
    return not sign_in_allowed(failures or 0)


def note_failure(login: str, *, clock: Clock) -> None:
    """Remember a wrong password; forget those outside the window."""
    since = clock.now() - timedelta(minutes=WINDOW_MINUTES)
    db.session.execute(sa.delete(SignInFailure).where(SignInFailure.at < since))
    db.session.add(SignInFailure(login=fold_login(login)[:64], at=clock.now()))


def note_sign_in(user: User, *, clock: Clock) -> None:
    """Remember that the person signed in; clear the failures before it."""
    db.session.execute(sa.delete(SignInFailure).where(SignInFailure.login == user.login))
    journal.record(
        "user_account", user.id, "Вход в портал", by_id=user.id, clock=clock, district_id=user.district_id
    )


def set_password(password_hash: str, *, by: User, clock: Clock) -> None:
    """Give the person a new password and end all their other sessions."""
    by.password_hash = password_hash
    by.epoch += 1
    db.session.flush()
    journal.record(
        "user_account", by.id, "Пароль изменён", by_id=by.id, clock=clock, district_id=by.district_id
    )


def set_language(language: str, *, by: User) -> None:
    """Remember the language the person reads the portal in: «ru» or «en»."""
    if language not in {"ru", "en"}:
        raise Invalid("Такого языка нет.")
    by.language = language
    db.session.flush()


def make_district(*, name: str, office: str, region: str, timezone: str, is_demo: bool = False) -> District:
    """Make a district with its technical accounts and the fund's first storage place."""
    district = District(name=name, office=office, region=region, timezone=timezone, is_demo=is_demo)
    db.session.add(district)
    db.session.flush()
    for kind, code, title in (
        (HolderKind.TRANSIT, "TRANSIT", "В пути"),
        (HolderKind.DISPUTED, "DISPUTED", "В расхождении"),
        (HolderKind.SOURCE, "SOURCE", "Поступление"),
        (HolderKind.WRITTEN_OFF, "WRITTENOFF", "Списано"),
    ):
        db.session.add(Holder(district_id=district.id, kind=kind, code=code, name=title, short_name=title))
    db.session.add(
        Holder(
            district_id=district.id,
            kind=HolderKind.FUND,
            code="ORF",
            name="Районный обменно-резервный фонд",
            short_name="ОРФ",
        )
    )
    db.session.flush()
    return district


def make_user(
    *,
    district_id: int,
    login: str,
    full_name: str,
    password_hash: str,
    role: Role,
    clock: Clock,
    school_id: int | None = None,
    email: str = "",
) -> User:
    """Make an account with one role. Raises ``Invalid`` when the login is taken or the role has no place."""
    folded = fold_login(login)
    if not folded or len(folded) > 64 or len(folded.split()) != 1:
        raise Invalid("Логин – одно слово без пробелов, не длиннее 64 знаков.", field="login")
    if db.session.scalar(sa.select(User.id).where(User.login == folded)) is not None:
        raise Invalid("Логин «%(login)s» уже занят. Возьмите другой.", field="login", login=folded)
    _check_role(role, school_id)
    user = User(
        district_id=district_id,
        login=folded,
        full_name=full_name.strip(),
        email=email.strip(),
        password_hash=password_hash,
        created_at=clock.now(),
    )
    user.memberships = [Membership(role=role, school_id=school_id)]
    db.session.add(user)
    db.session.flush()
    return user


def _check_role(role: Role, school_id: int | None) -> None:
    if school_id is None and role not in DISTRICT_ROLES:
        raise Invalid("Укажите школу: роль «%(role)s» – школьная.", field="school", role=ROLE_NAMES[role])
    if school_id is not None and role not in SCHOOL_ROLES:
        raise Invalid(
            "Роль «%(role)s» – районная: школу не указывайте.", field="school", role=ROLE_NAMES[role]
        )


def _hash_code(code: str) -> str:
    return hashlib.sha256(code.strip().casefold().replace("-", "").encode()).hexdigest()


def invite(
    *, role: Role, school: Holder | None, full_name: str, days: int, by: User, clock: Clock
) -> tuple[Invitation, str]:
    """Make a one-time slip; return it with its code, which is shown once and stored only as a hash."""
    access.require(by, Action.MANAGE_PEOPLE, school)
    _check_role(role, school.id if school else None)
    raw = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    code = "-".join((raw[:4], raw[4:8], raw[8:]))
    invitation = Invitation(
        district_id=by.district_id,
        code_hash=_hash_code(code),
        role=role,
        school_id=school.id if school else None,
        full_name=full_name.strip(),
        invited_by_id=by.id,
        created_at=clock.now(),
        expires_at=clock.now() + timedelta(days=days),
    )
    db.session.add(invitation)
    db.session.flush()
    journal.record(
        "invitation",
        invitation.id,
        "Приглашение: %(name)s, %(role)s",
        by_id=by.id,
        clock=clock,
        district_id=by.district_id,
        name=invitation.full_name,
        role=ROLE_NAMES[role],
    )
    return invitation, code


def revoke_invitation(invitation_id: int, *, by: User, clock: Clock) -> Invitation:
    """Make an unused slip worthless."""
    access.require(by, Action.MANAGE_PEOPLE)
    invitation = db.session.get(Invitation, invitation_id)
    if invitation is None or invitation.district_id != by.district_id:
        raise NotFound
    if invitation.used_at is None and invitation.revoked_at is None:
        invitation.revoked_at = clock.now()
        db.session.flush()
        journal.record(
            "invitation",
            invitation.id,
            "Приглашение отменено",
            by_id=by.id,
            clock=clock,
            district_id=by.district_id,
        )
    return invitation


def open_invitation(code: str, *, clock: Clock) -> Invitation:
    """Return the slip of this code, or raise ``Invalid`` when it is unknown, used, revoked or too old."""
    invitation = db.session.scalar(
        sa.select(Invitation).where(Invitation.code_hash == _hash_code(code)).with_for_update()
    )
    if (
        invitation is None
        or invitation.used_at is not None
        or invitation.revoked_at is not None
        or invitation.expires_at < clock.now()
    ):
        raise Invalid(
            "Код не подходит: он неверен, уже использован или просрочен. Попросите у методиста новый.",
            field="code",
        )
    return invitation


def accept_invitation(
    code: str, *, login: str, full_name: str, email: str, password_hash: str, clock: Clock
) -> User:
    """Turn a slip into an account, once."""
    invitation = open_invitation(code, clock=clock)
    user = make_user(
        district_id=invitation.district_id,
        login=login,
        full_name=full_name,
        email=email,
        password_hash=password_hash,
        role=invitation.role,
        school_id=invitation.school_id,
        clock=clock,
    )
    invitation.used_at = clock.now()
    db.session.flush()
    journal.record(
        "user_account",
        user.id,
        "Учётная запись создана по приглашению",
        by_id=user.id,
        clock=clock,
        district_id=user.district_id,
        to=[invitation.invited_by_id],
    )
    return user


def set_active(user_id: int, active: bool, *, by: User, clock: Clock) -> User:
    """Open or close an account; closing ends its sessions at once. Nobody closes their own."""
    access.require(by, Action.MANAGE_PEOPLE)
    user = db.session.get(User, user_id)
    if user is None or user.district_id != by.district_id:
        raise NotFound
    if user.id == by.id:
        raise Invalid("Свою учётную запись отключить нельзя: попросите коллегу.")
    if user.active != active:
        user.active = active
        user.epoch += 1
        db.session.flush()
        journal.record(
            "user_account",
            user.id,
            "Учётная запись включена" if active else "Учётная запись отключена",
            by_id=by.id,
            clock=clock,
            district_id=by.district_id,
        )
    return user


def set_road(first: Holder, second: Holder, km: float | None, *, by: User, clock: Clock) -> None:
    """Store the measured distance both ways; ``None`` returns to the way by the district centre."""
    access.require(by, Action.EDIT_ROADS, first)
    access.require(by, Action.EDIT_ROADS, second)
    if first.id == second.id:
        raise Invalid("Выберите две разные школы.", field="second")
    if km is not None and not 0 <= km <= 2000:
        raise Invalid("Расстояние – от 0 до 2000 км.", field="km")
    low, high = sorted((first.id, second.id))
    road = db.session.scalar(sa.select(Road).where(Road.first_id == low, Road.second_id == high))
    if km is None:
        if road is not None:
            db.session.delete(road)
    elif road is None:
        db.session.add(Road(first_id=low, second_id=high, km=km))
    else:
        road.km = km
    db.session.flush()
    journal.record(
        "holder",
        first.id,
        "Расстояние %(first)s – %(second)s: %(km)s км"
        if km is not None
        else "Расстояние %(first)s – %(second)s: через районный центр",
        by_id=by.id,
        clock=clock,
        district_id=by.district_id,
        first=first.short_name,
        second=second.short_name,
        km=km,
    )


def distances(district_id: int) -> Mapping[tuple[int, int], float]:
    """Return the road km between all schools and storage places of a district, both ways, in two queries."""
    holders = db.session.execute(
        sa.select(Holder.id, Holder.km_to_centre, Holder.located_at_id).where(
            Holder.district_id == district_id, Holder.kind.in_([HolderKind.SCHOOL, HolderKind.FUND])
        )
    ).all()
    to_centre = {holder.id: holder.km_to_centre for holder in holders}
    # A storage place is where its school is.
    site = {holder.id: holder.located_at_id or holder.id for holder in holders}
    measured = {
        (road.first_id, road.second_id): road.km
        for road in db.session.execute(
            sa.select(Road.first_id, Road.second_id, Road.km)
            .join(Holder, Holder.id == Road.first_id)
            .where(Holder.district_id == district_id)
        )
    }
    result: dict[tuple[int, int], float] = {}
    for one in to_centre:
        for other in to_centre:
            low, high = sorted((site[one], site[other]))
            result[one, other] = road_km(
                to_centre[site[one]],
                to_centre[site[other]],
                measured.get((low, high)),
                same_place=low == high,
            )
    return result
