"""People, invitations, sign-in, districts, holders and roads: everything that changes them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy.orm import joinedload

from exchange import journal
from exchange.clock import Clock
from exchange.db import db, insert_if_absent
from exchange.errors import Invalid, NotFound
from exchange.schools import access
from exchange.schools.models import District, Holder, Invitation, Membership, Road, SignInFailure, User
from exchange.schools.rules import (
    CODE_DIGITS,
    DISTRICT_ROLES,
    MIN_PASSWORD,
    ROLE_NAMES,
    SCHOOL_ROLES,
    SLIP_REFUSALS,
    WINDOW_MINUTES,
    Action,
    HolderKind,
    Role,
    SlipState,
    email_is_plausible,
    fold_name,
    inn_is_valid,
    kpp_is_valid,
    may_leave_role,
    read_code,
    road_km,
    show_code,
    sign_in_allowed,
    slip_state,
)

_hasher = PasswordHasher()
_NOBODY = _hasher.hash("nobody has this password")
LONGEST_PASSWORD = 200
SIGNED_IN = "sign_in"
"""Subject of the journal's entries about sign-ins."""


def hash_password(password: str) -> str:
    """Return the argon2id hash of ``password``; slow on purpose, so call it outside a unit of work.

    Raises ``Invalid`` for one that is too short.
    """
    if len(password) < MIN_PASSWORD:
        raise Invalid(
            "Пароль короче %(least)s знаков. Возьмите фразу подлиннее.", field="password", least=MIN_PASSWORD
        )
    if len(password) > LONGEST_PASSWORD:
        raise Invalid("Пароль длиннее %(most)s знаков.", field="password", most=LONGEST_PASSWORD)
    return _hasher.hash(password)


def password_matches(password_hash: str | None, password: str) -> bool:
    """Compare, taking as long for a login nobody has as for a real one. Call it outside a unit of work."""
    try:
        _hasher.verify(password_hash or _NOBODY, password[: LONGEST_PASSWORD + 1])
    except (VerifyMismatchError, InvalidHashError):
        return False
    return password_hash is not None


def fold_login(login: str) -> str:
    """Return the login as it is stored: case and surrounding spaces do not matter."""
    return login.strip().casefold()


def user_by_session(session_id: str) -> User | None:
    """Return whom the session's id stands for, unless deactivated or signed out everywhere since."""
    number, _, epoch = session_id.partition(".")
    if not (number.isdecimal() and epoch.isdecimal()):
        return None
    # Every request asks this: with the roles in the same query.
    user = db.session.get(User, int(number), options=[joinedload(User.memberships)])
    return user if user is not None and user.active and user.epoch == int(epoch) else None


@dataclass(frozen=True)
class Try:
    """A try with a password that is allowed: whose it would be, and the hash to compare with."""

    user_id: int | None
    password_hash: str | None


def begin_try(login: str, *, clock: Clock) -> Try | None:
    """Count one more try with this login and allow it, or return ``None`` when it must wait.

    The try is counted before the password is compared (which is slow and outside the unit of work), so that
    a hundred tries at once are not allowed more than five. A login nobody has is counted alike.
    """
    folded = fold_login(login)[:64]
    user = db.session.execute(
        sa.select(User.id, User.password_hash, User.active)
        .where(User.login == folded)
        .with_for_update(key_share=True)
    ).one_or_none()
    since = clock.now() - timedelta(minutes=WINDOW_MINUTES)
    db.session.execute(sa.delete(SignInFailure).where(SignInFailure.at < since))
    tries = db.session.scalar(
        sa.select(sa.func.count()).select_from(SignInFailure).where(SignInFailure.login == folded)
    )
    if not sign_in_allowed(tries or 0):
        return None
    db.session.add(SignInFailure(login=folded, at=clock.now()))
    if user is None or not user.active:
        return Try(None, None)
    return Try(user.id, user.password_hash)


def forget_tries(login: str) -> None:
    """Forget the tries with this login: the right password was given."""
    db.session.execute(sa.delete(SignInFailure).where(SignInFailure.login == fold_login(login)[:64]))


def finish_sign_in(matched: Try, *, clock: Clock) -> User | None:
    """Remember that the person signed in; ``None`` when deactivated or with a new password since the try."""
    user = db.session.get(
        User, matched.user_id, with_for_update={"of": User, "key_share": True}, populate_existing=True
    )
    if user is None or not user.active or user.password_hash != matched.password_hash:
        return None
    forget_tries(user.login)
    journal.record(
        SIGNED_IN, user.id, "Вход в портал", by_id=user.id, clock=clock, district_id=user.district_id
    )
    return user


def set_password(password_hash: str, *, by: User, clock: Clock) -> None:
    """Give the person a new password and end all their other sessions."""
    by.password_hash = password_hash
    by.epoch += 1
    db.session.flush()
    journal.record(
        "user_account", by.id, "Пароль изменён", by_id=by.id, clock=clock, district_id=by.district_id
    )


def reset_password(login: str, *, password_hash: str, clock: Clock) -> User:
    """Give the active person of this login a new password, at the request of whoever runs the server."""
    user = db.session.scalar(sa.select(User).where(User.login == fold_login(login), User.active.is_(True)))
    if user is None:
        raise Invalid("Действующей учётной записи «%(login)s» нет.", login=login)
    user.password_hash = password_hash
    user.epoch += 1
    forget_tries(user.login)
    db.session.flush()
    journal.record(
        "user_account",
        user.id,
        "Пароль заменён с сервера",
        by_id=None,
        clock=clock,
        district_id=user.district_id,
        to=[user.id],
        urgent=True,
    )
    return user


def sign_out_everywhere(*, by: User, clock: Clock) -> None:
    """End all sessions of the person, on every device."""
    by.epoch += 1
    db.session.flush()
    journal.record(
        "user_account",
        by.id,
        "Выход на всех устройствах",
        by_id=by.id,
        clock=clock,
        district_id=by.district_id,
    )


def set_contacts(*, full_name: str, email: str, by: User, clock: Clock) -> None:
    """Change the person's own name and address; an empty address means no letters."""
    name, address = _checked_contacts(full_name, email)
    if (name, address) == (by.full_name, by.email):
        return
    by.full_name, by.email = name, address
    db.session.flush()
    journal.record(
        "user_account",
        by.id,
        "Имя или почта изменены: %(name)s",
        by_id=by.id,
        clock=clock,
        district_id=by.district_id,
        name=name,
    )


def _checked_contacts(full_name: str, email: str) -> tuple[str, str]:
    name = " ".join(full_name.split())
    address = email.strip()
    if not name or len(name) > 200:
        raise Invalid("Напишите фамилию, имя и отчество, не длиннее 200 знаков.", field="full_name")
    if address and not email_is_plausible(address):
        raise Invalid(
            "Адрес почты не понят: «%(email)s». Напишите, например, ivanova@school.ru.",
            field="email",
            email=address,
        )
    return name, address


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
    name, address = _checked_contacts(full_name, email)
    _check_role(role, school_id)
    if not insert_if_absent(
        User,
        district_id=district_id,
        login=folded,
        full_name=name,
        email=address,
        password_hash=password_hash,
        created_at=clock.now(),
    ):
        raise Invalid("Логин «%(login)s» уже занят. Возьмите другой.", field="login", login=folded)
    user = db.session.scalars(sa.select(User).where(User.login == folded)).one()
    user.memberships = [Membership(role=role, school_id=school_id)]
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
    return hashlib.sha256(read_code(code).encode()).hexdigest()


def _new_code() -> str:
    return show_code("".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS)))


def invite(
    *,
    role: Role,
    school: Holder | None,
    full_name: str,
    days: int,
    by: User,
    clock: Clock,
    former_leave: bool = False,
) -> tuple[Invitation, str]:
    """Make a one-time slip; return it with its code, which is shown once and stored only as a hash.

    ``former_leave`` ends the duty of those who hold the role at the school now: who has no other role is
    deactivated.
    """
    access.require(by, Action.MANAGE_PEOPLE, school)
    _check_role(role, school.id if school else None)
    if former_leave and school is not None:
        for user in holding(role, school):
            _end_duty(user, role, school, by=by, clock=clock)
    return _make_slip(
        role=role, school=school, full_name=" ".join(full_name.split()), days=days, by=by, clock=clock
    )


def _make_slip(
    *,
    role: Role,
    school: Holder | None,
    full_name: str,
    days: int,
    by: User,
    clock: Clock,
    user_id: int | None = None,
) -> tuple[Invitation, str]:
    code = _new_code()
    invitation = Invitation(
        district_id=by.district_id,
        code_hash=_hash_code(code),
        role=role,
        school_id=school.id if school else None,
        full_name=full_name,
        invited_by_id=by.id,
        created_at=clock.now(),
        expires_at=clock.now() + timedelta(days=days),
        user_id=user_id,
    )
    db.session.add(invitation)
    db.session.flush()
    journal.record(
        "invitation",
        invitation.id,
        "Приглашение: %(name)s, %(role)s" if user_id is None else "Талон для нового пароля: %(name)s",
        by_id=by.id,
        clock=clock,
        district_id=by.district_id,
        name=full_name or (school.short_name if school else ""),
        role=ROLE_NAMES[role],
    )
    return invitation, code


def holding(role: Role, school: Holder) -> list[User]:
    """Return the active people who hold the role at the school, by name."""
    return list(
        db.session.scalars(
            sa.select(User)
            .join(Membership)
            .where(User.active.is_(True), Membership.role == role, Membership.school_id == school.id)
            .order_by(User.full_name)
        )
    )


def _end_duty(user: User, role: Role, school: Holder, *, by: User, clock: Clock) -> None:
    membership = next(m for m in user.memberships if m.role is role and m.school_id == school.id)
    if len(user.memberships) > 1:
        remove_role(membership.id, by=by, clock=clock)
    else:
        set_active(user.id, False, by=by, clock=clock)


def schools_without_librarian(district_id: int, *, clock: Clock) -> list[Holder]:
    """Return the schools that have neither an active librarian nor an open slip for one, by name."""
    served = (
        sa.select(Membership.school_id)
        .join(User)
        .where(
            User.district_id == district_id,
            User.active.is_(True),
            Membership.role == Role.LIBRARIAN,
            Membership.school_id.is_not(None),
        )
    )
    invited = sa.select(Invitation.school_id).where(
        Invitation.district_id == district_id,
        Invitation.role == Role.LIBRARIAN,
        Invitation.user_id.is_(None),
        Invitation.used_at.is_(None),
        Invitation.revoked_at.is_(None),
        Invitation.expires_at >= clock.now(),
        Invitation.school_id.is_not(None),
    )
    return list(
        db.session.scalars(
            sa.select(Holder)
            .where(
                Holder.district_id == district_id,
                Holder.kind == HolderKind.SCHOOL,
                Holder.id.not_in(served),
                Holder.id.not_in(invited),
            )
            .order_by(Holder.short_name)
        )
    )


def invite_librarians(*, days: int, by: User, clock: Clock) -> list[tuple[Invitation, str]]:
    """Make a slip for each school that has neither a librarian nor an open slip for one."""
    access.require(by, Action.MANAGE_PEOPLE)
    # Locked, so that two people who press the button at the same moment do not make two sheets.
    db.session.get(District, by.district_id, with_for_update={"key_share": True})
    return [
        invite(role=Role.LIBRARIAN, school=school, full_name="", days=days, by=by, clock=clock)
        for school in schools_without_librarian(by.district_id, clock=clock)
    ]


def password_slip(user_id: int, *, days: int, by: User, clock: Clock) -> tuple[Invitation, str]:
    """Make a slip with which a person who forgot the password chooses another one; older ones lose worth."""
    access.require(by, Action.MANAGE_PEOPLE)
    user = person_of_district(user_id, by=by)
    if not user.active:
        raise Invalid("Учётная запись отключена. Сначала включите её.")
    _revoke_password_slips(user, clock=clock)
    first = user.memberships[0]
    return _make_slip(
        role=first.role,
        school=first.school,
        full_name=user.full_name,
        days=days,
        by=by,
        clock=clock,
        user_id=user.id,
    )


def _revoke_password_slips(user: User, *, clock: Clock) -> None:
    db.session.execute(
        sa.update(Invitation)
        .where(Invitation.user_id == user.id, Invitation.used_at.is_(None), Invitation.revoked_at.is_(None))
        .values(revoked_at=clock.now())
    )


def _slip_of_district(invitation_id: int, *, by: User) -> Invitation:
    access.require(by, Action.MANAGE_PEOPLE)
    invitation = db.session.get(
        Invitation, invitation_id, with_for_update={"of": Invitation}, populate_existing=True
    )
    if invitation is None or invitation.district_id != by.district_id:
        raise NotFound
    return invitation


def revoke_invitation(invitation_id: int, *, by: User, clock: Clock) -> Invitation:
    """Make an unused slip worthless."""
    invitation = _slip_of_district(invitation_id, by=by)
    if invitation.used_at is None and invitation.revoked_at is None:
        invitation.revoked_at = clock.now()
        db.session.flush()
        journal.record(
            "invitation",
            invitation.id,
            "Приглашение отозвано: %(name)s",
            by_id=by.id,
            clock=clock,
            district_id=by.district_id,
            name=invitation.full_name or (invitation.school.short_name if invitation.school else ""),
        )
    return invitation


def renew_invitation(invitation_id: int, *, days: int, by: User, clock: Clock) -> tuple[Invitation, str]:
    """Give an unused slip another code and another term: the paper was lost or is too old."""
    invitation = _slip_of_district(invitation_id, by=by)
    if invitation.used_at is not None or invitation.revoked_at is not None:
        raise Invalid("Это приглашение уже использовано или отозвано. Сделайте новое.")
    code = _new_code()
    invitation.code_hash = _hash_code(code)
    invitation.expires_at = clock.now() + timedelta(days=days)
    db.session.flush()
    journal.record(
        "invitation",
        invitation.id,
        "Новый код приглашения: %(name)s",
        by_id=by.id,
        clock=clock,
        district_id=by.district_id,
        name=invitation.full_name or (invitation.school.short_name if invitation.school else ""),
    )
    return invitation, code


def open_invitation(code: str, *, clock: Clock, lock: bool = False) -> Invitation:
    """Return the slip of this code, or raise ``Invalid`` that says why it is worth nothing.

    ``lock`` keeps others from using it until the unit of work ends.
    """
    query = sa.select(Invitation).where(Invitation.code_hash == _hash_code(code))
    if lock:
        query = query.with_for_update(of=Invitation).execution_options(populate_existing=True)
    invitation = db.session.scalar(query)
    if invitation is None:
        raise Invalid("Такого кода нет. Проверьте цифры на талоне.", field="code")
    state = _worth(invitation, clock=clock)
    if state is not SlipState.OPEN:
        raise Invalid(SLIP_REFUSALS[state], field="code")
    return invitation


def accept_invitation(
    code: str, *, login: str, full_name: str, email: str, password_hash: str, clock: Clock
) -> User:
    """Turn a slip into an account, once."""
    invitation = open_invitation(code, clock=clock, lock=True)
    if invitation.user_id is not None:
        raise Invalid("Этот талон – для нового пароля, а не для новой учётной записи.", field="code")
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
        "Учётная запись создана по приглашению: %(name)s",
        by_id=user.id,
        clock=clock,
        district_id=user.district_id,
        to=[invitation.invited_by_id],
        name=user.full_name,
    )
    return user


def renew_password(code: str, *, password_hash: str, clock: Clock) -> User:
    """Give the person of a password slip a new password, once, and end all their sessions."""
    invitation = open_invitation(code, clock=clock, lock=True)
    user = db.session.get(User, invitation.user_id) if invitation.user_id is not None else None
    if user is None or not user.active:
        raise Invalid(SLIP_REFUSALS[SlipState.REVOKED], field="code")
    invitation.used_at = clock.now()
    forget_tries(user.login)
    set_password(password_hash, by=user, clock=clock)
    return user


def person_of_district(user_id: int, *, by: User) -> User:
    """Return somebody of the person's own district, or raise ``NotFound``."""
    user = db.session.get(User, user_id)
    if user is None or user.district_id != by.district_id:
        raise NotFound
    return user


def names(district_id: int) -> dict[int, str]:
    """Return the name of everybody of the district by id, in order of names."""
    return {
        row.id: row.full_name
        for row in db.session.execute(
            sa.select(User.id, User.full_name)
            .where(User.district_id == district_id)
            .order_by(User.full_name, User.id)
        )
    }


def letters_waiting(user: User) -> int:
    """Return how many letters to the person are not sent yet."""
    return (
        db.session.scalar(
            sa.select(sa.func.count())
            .select_from(journal.Letter)
            .where(journal.Letter.user_id == user.id, journal.Letter.sent_at.is_(None))
        )
        or 0
    )


def _lock_person(*people: User) -> None:
    """Keep others from changing these accounts until the unit of work ends; see their present state."""
    for number in sorted({user.id for user in people}):
        db.session.get(User, number, with_for_update={"of": User, "key_share": True}, populate_existing=True)


def set_active(user_id: int, active: bool, *, by: User, clock: Clock) -> User:
    """Open or close an account; closing ends its sessions at once. Nobody closes their own."""
    access.require(by, Action.MANAGE_PEOPLE)
    access.require(by, Action.MANAGE_PEOPLE)
    user = person_of_district(user_id, by=by)
    # Asked again of the locked rows: of two who close each other's account at once the second is refused.
    _lock_person(by, user)
    access.require(by, Action.MANAGE_PEOPLE)
    if user.id == by.id:
        raise Invalid("Свою учётную запись отключить нельзя: попросите коллегу.")
    if user.active != active:
        user.active = active
        user.epoch += 1
        _revoke_password_slips(user, clock=clock)
        db.session.flush()
        journal.record(
            "user_account",
            user.id,
            "Учётная запись включена: %(name)s" if active else "Учётная запись отключена: %(name)s",
            by_id=by.id,
            clock=clock,
            district_id=by.district_id,
            name=user.full_name,
        )
    return user


def add_role(user_id: int, *, role: Role, school: Holder | None, by: User, clock: Clock) -> User:
    """Give a person one more role; a role they have already changes nothing."""
    access.require(by, Action.MANAGE_PEOPLE)
    access.require(by, Action.MANAGE_PEOPLE, school)
    user = person_of_district(user_id, by=by)
    _lock_person(user)
    school_id = school.id if school else None
    _check_role(role, school_id)
    if any(m.role is role and m.school_id == school_id for m in user.memberships):
        return user
    user.memberships.append(Membership(role=role, school_id=school_id))
    db.session.flush()
    journal.record(
        "user_account",
        user.id,
        "Новая роль: %(name)s, %(role)s, %(place)s",
        by_id=by.id,
        clock=clock,
        district_id=by.district_id,
        to=[user.id],
        name=user.full_name,
        role=ROLE_NAMES[role],
        place=school.short_name if school else by.district.name,
    )
    return user


def remove_role(membership_id: int, *, by: User, clock: Clock) -> User:
    """Take a role from a person; never one's own, never the last."""
    access.require(by, Action.MANAGE_PEOPLE)
    membership = db.session.get(Membership, membership_id)
    if membership is None or membership.user.district_id != by.district_id:
        raise NotFound
    user = membership.user
    _lock_person(by, user)
    refusal = may_leave_role(own=user.id == by.id, others=len(user.memberships) - 1)
    if refusal:
        raise Invalid(refusal)
    name, place = ROLE_NAMES[membership.role], membership.school
    user.memberships.remove(membership)
    db.session.delete(membership)
    db.session.flush()
    journal.record(
        "user_account",
        user.id,
        "Роль снята: %(name)s, %(role)s, %(place)s",
        by_id=by.id,
        clock=clock,
        district_id=by.district_id,
        to=[user.id],
        name=user.full_name,
        role=name,
        place=place.short_name if place else by.district.name,
    )
    return user


@dataclass(frozen=True)
class PersonRow:
    """A line of the district's list of people: one role of one person."""

    user_id: int
    full_name: str
    login: str
    email: str
    active: bool
    role: Role
    school_id: int | None
    place: str
    """Short name of the school, empty for a role of the district."""
    last_sign_in: datetime | None


def people(
    *, by: User, words: str = "", school_id: int | None = None, active: bool | None = None
) -> list[PersonRow]:
    """Return the people of the district, its own first, then by school, role and name; two queries."""
    access.require(by, Action.MANAGE_PEOPLE)
    last: dict[int, datetime] = {}
    for user_id, at in db.session.execute(
        sa.select(journal.JournalEntry.subject_id, sa.func.max(journal.JournalEntry.at))
        .where(journal.JournalEntry.district_id == by.district_id, journal.JournalEntry.subject == SIGNED_IN)
        .group_by(journal.JournalEntry.subject_id)
    ):
        last[user_id] = at
    query = (
        sa.select(
            User.id,
            User.full_name,
            User.login,
            User.email,
            User.active,
            Membership.role,
            Membership.school_id,
            Holder.short_name,
        )
        .join(Membership, Membership.user_id == User.id)
        .outerjoin(Holder, Holder.id == Membership.school_id)
        .where(User.district_id == by.district_id)
    )
    if school_id is not None:
        query = query.where(Membership.school_id == school_id)
    if active is not None:
        query = query.where(User.active.is_(active))
    wanted = fold_name(words).split()
    rows = [
        PersonRow(
            user_id=row.id,
            full_name=row.full_name,
            login=row.login,
            email=row.email,
            active=row.active,
            role=row.role,
            school_id=row.school_id,
            place=row.short_name or "",
            last_sign_in=last.get(row.id),
        )
        for row in db.session.execute(query)
    ]
    order = list(Role)
    return sorted(
        (
            row
            for row in rows
            if all(word in fold_name(f"{row.full_name} {row.login} {row.place}") for word in wanted)
        ),
        key=lambda row: (fold_name(row.place), order.index(row.role), fold_name(row.full_name)),
    )


def open_slips(*, by: User, clock: Clock) -> Sequence[tuple[Invitation, bool]]:
    """Return the slips that are neither used nor revoked, the oldest first, and whether each is too old."""
    access.require(by, Action.MANAGE_PEOPLE)
    slips = db.session.scalars(
        sa.select(Invitation)
        .where(
            Invitation.district_id == by.district_id,
            Invitation.used_at.is_(None),
            Invitation.revoked_at.is_(None),
        )
        .order_by(Invitation.id)
    )
    return [(slip, _worth(slip, clock=clock) is SlipState.EXPIRED) for slip in slips]


def _worth(slip: Invitation, *, clock: Clock) -> SlipState:
    return slip_state(
        used_at=slip.used_at, revoked_at=slip.revoked_at, expires_at=slip.expires_at, now=clock.now()
    )


@dataclass(frozen=True)
class Contact:
    """Somebody of a school who can be asked."""

    full_name: str
    role: Role
    email: str


def contacts(district_id: int) -> Mapping[int, list[Contact]]:
    """Return the active people of each school of a district by its id, librarians first; one query."""
    result: dict[int, list[Contact]] = {}
    for row in db.session.execute(
        sa.select(Membership.school_id, Membership.role, User.full_name, User.email)
        .join(User, User.id == Membership.user_id)
        .where(User.district_id == district_id, User.active.is_(True), Membership.school_id.is_not(None))
        .order_by(User.full_name)
    ):
        result.setdefault(row.school_id, []).append(Contact(row.full_name, row.role, row.email))
    order = list(Role)
    for people_there in result.values():
        people_there.sort(key=lambda contact: order.index(contact.role))
    return result


def sites(district_id: int) -> list[Holder]:
    """Return the schools, then the storage places of the fund, by name."""
    return list(
        db.session.scalars(
            sa.select(Holder)
            .where(Holder.district_id == district_id, Holder.kind.in_([HolderKind.SCHOOL, HolderKind.FUND]))
            .order_by(Holder.kind.desc(), Holder.short_name)
        )
    )


def save_school(
    school: Holder | None,
    *,
    name: str,
    short_name: str,
    settlement: str,
    inn: str,
    kpp: str,
    km_to_centre: float,
    by: User,
    clock: Clock,
) -> Holder:
    """Change a school, or add one where ``school`` is ``None``. Distances in km by road."""
    access.require(by, Action.EDIT_SCHOOLS, school)
    if school is not None and school.kind is not HolderKind.SCHOOL:
        raise NotFound
    if inn and not inn_is_valid(inn):
        raise Invalid("ИНН организации – 10 цифр; последняя не сходится с остальными.", field="inn")
    if kpp and not kpp_is_valid(kpp):
        raise Invalid("КПП – девять знаков, например 240301001.", field="kpp")
    _check_km(km_to_centre, "km_to_centre")
    return _save_holder(
        school,
        HolderKind.SCHOOL,
        by=by,
        clock=clock,
        name=name,
        short_name=short_name,
        settlement=settlement,
        inn=inn,
        kpp=kpp,
        km_to_centre=km_to_centre,
    )


def save_storage_place(
    place: Holder | None, *, name: str, short_name: str, located_at: Holder | None, by: User, clock: Clock
) -> Holder:
    """Change a storage place of the fund, or add one; ``located_at``: the school whose storeroom it is in."""
    access.require(by, Action.KEEP_FUND, place)
    if place is not None and place.kind is not HolderKind.FUND:
        raise NotFound
    if located_at is not None and (
        located_at.district_id != by.district_id or located_at.kind is not HolderKind.SCHOOL
    ):
        raise NotFound
    return _save_holder(
        place,
        HolderKind.FUND,
        by=by,
        clock=clock,
        name=name,
        short_name=short_name,
        settlement=located_at.settlement if located_at else "",
        located_at_id=located_at.id if located_at else None,
    )


def _save_holder(
    holder: Holder | None, kind: HolderKind, *, by: User, clock: Clock, **values: str | float | int | None
) -> Holder:
    new = holder is None
    if holder is None:
        holder = Holder(district_id=by.district_id, kind=kind, code=_next_code(by.district_id, kind))
        db.session.add(holder)
    for field, value in values.items():
        setattr(holder, field, value)
    twin = db.session.scalar(
        sa.select(Holder.id).where(
            Holder.district_id == by.district_id,
            Holder.short_name == holder.short_name,
            Holder.code != holder.code,
        )
    )
    if twin is not None:
        raise Invalid(
            "«%(name)s» в районе уже есть. Возьмите другое краткое название.",
            field="short_name",
            name=holder.short_name,
        )
    db.session.flush()
    journal.record(
        "holder",
        holder.id,
        "Добавлено: %(name)s" if new else "Сведения изменены: %(name)s",
        by_id=by.id,
        clock=clock,
        district_id=by.district_id,
        name=holder.short_name,
    )
    return holder


def _next_code(district_id: int, kind: HolderKind) -> str:
    # Locked, so that two people who add a school at the same moment do not take the same code.
    db.session.get(District, district_id, with_for_update={"key_share": True})
    count = db.session.scalar(
        sa.select(sa.func.count()).select_from(Holder).where(Holder.district_id == district_id)
    )
    return f"{kind.value.upper()}{count or 0}"


def set_road(first: Holder, second: Holder, km: float | None, *, by: User, clock: Clock) -> None:
    """Store the measured distance both ways; ``None`` returns to the way by the district centre."""
    access.require(by, Action.EDIT_ROADS, first)
    access.require(by, Action.EDIT_ROADS, second)
    if first.id == second.id:
        raise Invalid("Выберите две разные школы.", field="second")
    if km is not None:
        _check_km(km, "km")
    low, high = sorted((first.id, second.id))
    here = (Road.first_id == low, Road.second_id == high)
    if km is None:
        db.session.execute(sa.delete(Road).where(*here))
    elif not insert_if_absent(Road, first_id=low, second_id=high, km=km):
        db.session.execute(sa.update(Road).where(*here).values(km=km))
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
        km=None if km is None else f"{km:g}".replace(".", ","),
    )


def _check_km(km: float, field: str) -> None:
    if not 0 <= km <= 2000:
        raise Invalid("Расстояние – от 0 до 2000 км.", field=field)


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
    measured = measured_roads(district_id)
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


def measured_roads(district_id: int) -> Mapping[tuple[int, int], float]:
    """Return the measured distances of a district in km by (lower id, higher id)."""
    return {
        (road.first_id, road.second_id): road.km
        for road in db.session.execute(
            sa.select(Road.first_id, Road.second_id, Road.km)
            .join(Holder, Holder.id == Road.first_id)
            .where(Holder.district_id == district_id)
        )
    }
