"""Delivers the outbox: urgent letters at once, everything else as one morning digest per person.

A letter is leased in one unit of work, sent outside any, and marked in another, so that two runs at the same
time do not send it twice, a slow mail server holds up nobody, and a crash repeats one e-mail at most (under
the same Message-ID, by which mail programs recognise a repeat).
"""

from __future__ import annotations

import logging
import smtplib
import ssl
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import current_app, render_template, url_for
from flask_babel import force_locale, gettext

from exchange.catalog.models import Edition, Textbook
from exchange.clock import Clock
from exchange.config import Settings
from exchange.db import db, in_unit
from exchange.journal import JournalEntry, Letter
from exchange.postings.models import Offer, Request
from exchange.schools import access
from exchange.schools.models import Holder, User
from exchange.schools.rules import Action
from exchange.transfers import services as transfers
from exchange.transfers.models import Transfer
from exchange.transfers.rules import STEP_NAMES
from exchange.web.subjects import url_of

LEASE = timedelta(minutes=10)
"""How long a letter may be in delivery before another run tries."""
TOO_OLD = timedelta(days=7)
"""News older than this is not sent any more: it can be read on the portal."""
TIMEOUT = 20
"""Seconds to wait for the mail server."""
LONGEST_SUBJECT = 120
LONGEST_AUTHORS = 60
MOST_ITEMS = 40
"""Lines of a digest; what is beyond is counted."""
log = logging.getLogger(__name__)


class Unreachable(Exception):
    """The mail server does not answer or refuses us: there is no point in trying the next letter."""


class Refused(Exception):
    """The mail server refuses this letter; the next one may pass."""


class Transport(Protocol):
    """Where letters go."""

    def send(self, message: EmailMessage) -> None:
        """Deliver one letter, or raise ``Refused`` or ``Unreachable``."""
        ...


class FileTransport:
    """Writes each letter to a file of its own in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def send(self, message: EmailMessage) -> None:
        """Write ``<name of the Message-ID>.eml``; a letter sent again replaces itself."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        unfinished = self.folder / f"{name}.part"
        unfinished.write_bytes(message.as_bytes())
        unfinished.replace(self.folder / f"{name}.eml")


class SmtpTransport:
    """Hands each letter to the server of ``url``: ``smtp://`` (with STARTTLS where offered) or ``smtps://``."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise ValueError("EXCHANGE_MAIL_URL must be smtp://host:port or smtps://host:port")
        self.implicit_tls = parts.scheme == "smtps"
        self.host = parts.hostname
        self.port = parts.port or (465 if self.implicit_tls else 587)
        self.user = unquote(parts.username or "")
        self.password = unquote(parts.password or "")

    def send(self, message: EmailMessage) -> None:
        """Deliver over a connection of its own."""
        try:
            with self._connected() as server:
                server.send_message(message)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            raise Refused(str(error)) from error
        except OSError as error:  # every other SMTPException is one too
            raise Unreachable(str(error)) from error

    def _connected(self) -> smtplib.SMTP:
        secure = ssl.create_default_context()
        if self.implicit_tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT, context=secure)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT)
        try:
            server.ehlo()
            encrypted = self.implicit_tls
            if not encrypted and server.has_extn("starttls"):
                server.starttls(context=secure)
                server.ehlo()
                encrypted = True
            if self.user:
                if not encrypted:
                    raise Unreachable("the server offers no encryption: the password is not sent in the open")
                server.login(self.user, self.password)
        except BaseException:
            server.close()
            raise
        return server


def transport_for(settings: Settings) -> Transport:
    """Return where letters go by the settings: to the server of ``mail_url``, else to ``instance/mail``."""
    return (
        SmtpTransport(settings.mail_url) if settings.mail_url else FileTransport(settings.instance / "mail")
    )


@dataclass(frozen=True)
class Delivery:
    """What a run did: e-mails sent, e-mails refused, and who has letters but no address."""

    sent: int
    refused: int
    without_address: Sequence[str]
    """Names."""
    unreachable: str = ""
    """Why the run stopped early, in the words of the mail server."""


@dataclass(frozen=True)
class Item:
    """One piece of news in a letter."""

    text: str
    url: str | None


def deliver(*, transport: Transport, settings: Settings, clock: Clock, digest: bool) -> Delivery:
    """Send the urgent letters one by one and, with ``digest``, everything else once a day per person."""
    sent = refused = 0
    without_address: list[str] = []
    for user_id in _people_with_letters(clock, digest=digest):
        user = db.session.get_one(User, user_id)
        if not user.email:
            without_address.append(user.full_name)
            continue
        for letter_ids, urgent in _bundles(user, clock, digest=digest):
            try:
                delivered = _deliver_bundle(user_id, letter_ids, urgent, transport, settings, clock)
            except Refused as error:
                refused += 1
                log.warning("letters %s refused: %s", letter_ids, error)
            except Unreachable as error:
                return Delivery(sent, refused, without_address, str(error))
            except Exception:  # one letter that cannot be written must not keep the others
                refused += 1
                log.exception("letters %s could not be written", letter_ids)
            else:
                sent += delivered
    return Delivery(sent, refused, without_address)


def _waiting(clock: Clock) -> tuple[sa.ColumnElement[bool], ...]:
    now = clock.now()
    return (
        Letter.sent_at.is_(None),
        Letter.created_at > now - TOO_OLD,
        sa.or_(Letter.leased_until.is_(None), Letter.leased_until < now),
    )


def _people_with_letters(clock: Clock, *, digest: bool) -> list[int]:
    query = (
        sa.select(Letter.user_id)
        .join(User, User.id == Letter.user_id)
        .where(User.active.is_(True), *_waiting(clock))
        .group_by(Letter.user_id)
        .order_by(Letter.user_id)
    )
    if not digest:
        query = query.where(Letter.urgent.is_(True))
    people = list(db.session.scalars(query))
    db.session.rollback()
    return people


def _bundles(user: User, clock: Clock, *, digest: bool) -> list[tuple[list[int], bool]]:
    """Return the person's e-mails to be: the ids of their letters, and whether each is urgent."""
    letters = db.session.execute(
        sa.select(Letter.id, Letter.urgent)
        .where(Letter.user_id == user.id, *_waiting(clock))
        .order_by(Letter.id)
    ).all()
    bundles = [([letter.id], True) for letter in letters if letter.urgent]
    rest = [letter.id for letter in letters if not letter.urgent]
    if digest and rest and not _had_digest_today(user, clock):
        bundles.append((rest, False))
    return bundles


def _had_digest_today(user: User, clock: Clock) -> bool:
    """Say whether today's digest is sent, or being sent by another run."""
    zone = user.district.timezone
    midnight = datetime.combine(clock.today(zone), time(), ZoneInfo(zone)).astimezone(UTC)
    return (
        db.session.scalar(
            sa.select(Letter.id)
            .where(
                Letter.user_id == user.id,
                Letter.urgent.is_(False),
                sa.or_(Letter.sent_at >= midnight, Letter.leased_until >= clock.now()),
            )
            .limit(1)
        )
        is not None
    )


def _deliver_bundle(
    user_id: int,
    letter_ids: Sequence[int],
    urgent: bool,
    transport: Transport,
    settings: Settings,
    clock: Clock,
) -> int:
    leased = in_unit(lambda: _lease(letter_ids, clock))
    if not leased:
        return 0
    try:
        letters = list(db.session.scalars(sa.select(Letter).where(Letter.id.in_(leased)).order_by(Letter.id)))
        message = compose(
            db.session.get_one(User, user_id), letters, urgent=urgent, settings=settings, clock=clock
        )
        db.session.rollback()
        transport.send(message)
    except BaseException:
        in_unit(lambda: _set(leased, leased_until=None))
        raise
    in_unit(lambda: _set(leased, leased_until=None, sent_at=clock.now()))
    return 1


def _lease(letter_ids: Sequence[int], clock: Clock) -> list[int]:
    """Return those of the letters that nobody else is delivering; they are ours for a while."""
    return sorted(
        db.session.scalars(
            sa.update(Letter)
            .where(Letter.id.in_(letter_ids), *_waiting(clock))
            .values(leased_until=clock.now() + LEASE)
            .returning(Letter.id)
            .execution_options(synchronize_session=False)
        )
    )


def _set(letter_ids: Iterable[int], **values: datetime | None) -> None:
    db.session.execute(
        sa.update(Letter)
        .where(Letter.id.in_(letter_ids))
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def compose(
    user: User, letters: Sequence[Letter], *, urgent: bool, settings: Settings, clock: Clock
) -> EmailMessage:
    """Return the e-mail that tells ``user`` of ``letters``, plain text in their language."""
    with (
        current_app.test_request_context(base_url=settings.public_url),
        force_locale(user.language),
    ):
        about = _about([letter.entry for letter in letters])
        items = [_item(letter.entry, about, user) for letter in letters]
        what = items[0].text if urgent else gettext("что нового на портале")
        body = render_template(
            "mail/urgent.txt" if urgent else "mail/digest.txt",
            user=user,
            tasks=[] if urgent else _tasks(user, clock),
            items=items[:MOST_ITEMS],
            more=len(items[MOST_ITEMS:]),
            account=url_for("people.account", _external=True),
            waiting=url_for("transfers.waiting", _external=True),
        )
    message = EmailMessage(policy=SMTP)
    message["Subject"] = header_text(f"{user.district.name}: {what}")
    message["From"] = Address("Взаимообмен", addr_spec=address_for_mail(settings.mail_from))
    # Without the reader's name: the standard library folds quoted Cyrillic names («Иванова И. И.») wrongly.
    message["To"] = Address(addr_spec=address_for_mail(user.email))
    message["Date"] = clock.now()
    domain = address_for_mail(settings.mail_from).rpartition("@")[2]
    kind = "urgent" if urgent else "digest"
    first = letters[0]
    message["Message-ID"] = f"<{kind}-{first.id}-{first.created_at:%Y%m%d%H%M%S}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body, cte="base64")
    return message


def _item(entry: JournalEntry, about: Mapping[tuple[str, int], str], user: User) -> Item:
    text = gettext(entry.message, **entry.parameters)
    context = about.get((entry.subject, entry.subject_id))
    # The page of a person is for those who manage people; everybody has their own account.
    own = entry.subject == "user_account" and not access.allowed(user, Action.MANAGE_PEOPLE)
    return Item(
        f"{context}: {text}" if context and context not in text else text,
        url_for("people.account", _external=True)
        if own
        else url_of(entry.subject, entry.subject_id, external=True),
    )


def _about(entries: Sequence[JournalEntry]) -> Mapping[tuple[str, int], str]:
    """Return what each entry is about where its message, read on the object's own page, does not say so."""
    ids: defaultdict[str, set[int]] = defaultdict(set)
    for entry in entries:
        ids[entry.subject].add(entry.subject_id)
    giver, taker = sa.orm.aliased(Holder), sa.orm.aliased(Holder)
    found: dict[tuple[str, int], str] = {}
    for row in db.session.execute(
        sa.select(Transfer.id, giver.short_name.label("giver"), taker.short_name.label("taker"))
        .join(giver, giver.id == Transfer.giver_id)
        .join(taker, taker.id == Transfer.taker_id)
        .where(Transfer.id.in_(ids["transfer"]))
    ):
        found["transfer", row.id] = f"{row.giver} → {row.taker}"
    books = (Textbook.title, Textbook.authors, Textbook.grade_from, Textbook.grade_to)
    offered = sa.select(sa.literal("offer").label("subject"), Offer.id, *books)
    asked = sa.select(sa.literal("request").label("subject"), Request.id, *books)
    for posting in db.session.execute(
        sa.union_all(
            offered.join(Edition, Edition.id == Offer.edition_id)
            .join(Textbook, Textbook.id == Edition.textbook_id)
            .where(Offer.id.in_(ids["offer"])),
            asked.join(Textbook, Textbook.id == Request.textbook_id).where(Request.id.in_(ids["request"])),
        )
    ):
        found[posting.subject, posting.id] = _book(posting)
    return found


def _book(row: Any) -> str:
    authors = (
        row.authors if len(row.authors) <= LONGEST_AUTHORS else f"{row.authors[:LONGEST_AUTHORS].rstrip()}…"
    )
    grades = "–".join(str(grade) for grade in dict.fromkeys((row.grade_from, row.grade_to)) if grade)
    parts = [authors, row.title, gettext("%(grades)s класс", grades=grades) if grades else ""]
    return ", ".join(part for part in parts if part)


def _tasks(user: User, clock: Clock) -> list[Item]:
    """Return the next steps that wait for the person."""
    return [
        Item(
            gettext(
                "%(step)s: %(giver)s → %(taker)s, %(title)s",
                step=gettext(STEP_NAMES[row.step]) if row.step else gettext("Посмотреть"),
                giver=row.giver,
                taker=row.taker,
                title=row.title,
            ),
            url_of("transfer", row.id, external=True),
        )
        for row in transfers.waiting(user, clock=clock)
    ]


def header_text(text: str) -> str:
    """Return ``text`` as one short line for a header: no line breaks, control or invisible characters."""
    visible = "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"} else c for c in text)
    line = " ".join(visible.split())
    return line if len(line) <= LONGEST_SUBJECT else line[: LONGEST_SUBJECT - 1].rstrip() + "…"


def address_for_mail(address: str) -> str:
    """Return the address with a Cyrillic domain («школа.рф») in the form mail servers take."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.encode('idna').decode('ascii')}" if not domain.isascii() else address
