"""The outbox on its way: digests, urgent letters, files, a mail server, two runs at once."""

from __future__ import annotations

import email
import email.policy
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa

from exchange import journal, mail
from exchange.clock import FrozenClock
from exchange.config import Settings
from exchange.db import db, unit_of_work
from exchange.journal import Letter
from exchange.postings.models import Offer
from exchange.schools import services
from exchange.schools.models import User
from exchange.schools.rules import Role
from exchange.web.unit import Portal
from tests.factories import World
from tests.transfers_world import make_deal

SNAPSHOTS = Path(__file__).parent / "mail_snapshots"


class Box:
    """A mail server that keeps what it gets, and may be told to fail."""

    def __init__(self, fail: Exception | None = None) -> None:
        self.letters: list[EmailMessage] = []
        self.fail = fail

    def send(self, message: EmailMessage) -> None:
        if self.fail is not None:
            raise self.fail
        self.letters.append(message)


@pytest.fixture
def settings(app: Portal) -> Settings:
    return replace(
        app.extensions["settings"], public_url="https://uchebniki.example/", mail_from="portal@example.org"
    )


def tell(
    world: World,
    clock: FrozenClock,
    *to: User,
    message: str = "Новость",
    urgent: bool = False,
    **parameters: object,
) -> None:
    with unit_of_work():
        journal.record(
            "user_account",
            world.methodist.id,
            message,
            by_id=world.administrator.id,
            clock=clock,
            district_id=world.district.id,
            to=[user.id for user in to],
            urgent=urgent,
            **parameters,
        )


def deliver(
    box: mail.Transport, settings: Settings, clock: FrozenClock, *, digest: bool = True
) -> mail.Delivery:
    return mail.deliver(transport=box, settings=settings, clock=clock, digest=digest)


def unsent() -> int:
    db.session.rollback()
    return (
        db.session.scalar(sa.select(sa.func.count()).select_from(Letter).where(Letter.sent_at.is_(None))) or 0
    )


def text_of(message: EmailMessage) -> str:
    """Return the letter as its reader sees it, after the journey through bytes."""
    arrived = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    headers = "".join(
        f"{name}: {arrived[name]}\n" for name in ("Subject", "From", "To", "Date", "Message-ID")
    )
    return f"{headers}\n{arrived.get_content()}".replace("\r\n", "\n")


def snapshot(name: str, message: EmailMessage) -> None:
    assert text_of(message) == (SNAPSHOTS / f"{name}.txt").read_text(encoding="utf-8")


# --- What is written -----------------------------------------------------------------------------------


def test_an_urgent_letter(world: World, clock: FrozenClock, settings: Settings) -> None:
    with unit_of_work():
        deal = make_deal(world, clock)
    with unit_of_work():
        journal.record(
            "transfer",
            deal.id,
            "Отправлено: %(copies)s экз.",
            by_id=world.donor.id,
            clock=clock,
            district_id=world.district.id,
            to=[world.recipient.id],
            urgent=True,
            copies=5,
        )
    box = Box()
    assert deliver(box, settings, clock, digest=False).sent == 1
    snapshot("urgent", box.letters[0])


def test_a_digest(world: World, clock: FrozenClock, settings: Settings) -> None:
    """The director is asked for books, and was given one more role."""
    with unit_of_work():
        make_deal(world, clock)
        services.add_role(world.donor_director.id, role=Role.DEPUTY, school=world.donor_school,
                          by=world.methodist, clock=clock)  # fmt: skip
        offer = db.session.scalars(sa.select(Offer)).one()
        journal.record(
            "offer",
            offer.id,
            "Срок излишка вышел: осталось %(free)s экз.",
            by_id=None,
            clock=clock,
            district_id=world.district.id,
            to=[world.donor_director.id],
            free=5,
        )
    box = Box()
    deliver(box, settings, clock)
    snapshot("digest", next(letter for letter in box.letters if "donor-director@" in str(letter["To"])))


def test_a_long_digest_is_counted(world: World, clock: FrozenClock, settings: Settings) -> None:
    for number in range(mail.MOST_ITEMS + 3):
        tell(world, clock, world.donor, message="Новость № %(number)s", number=number)
    box = Box()
    deliver(box, settings, clock)
    text = text_of(box.letters[0])
    assert f"Новость № {mail.MOST_ITEMS - 1}" in text
    assert f"Новость № {mail.MOST_ITEMS}\n" not in text
    assert "и ещё 3 событи" in text
    assert unsent() == 0


def test_a_letter_of_a_reader_of_english(world: World, clock: FrozenClock, settings: Settings) -> None:
    with unit_of_work():
        services.set_language("en", by=world.donor)
    tell(world, clock, world.donor)
    box = Box()
    deliver(box, settings, clock)
    assert len(box.letters) == 1


@pytest.mark.parametrize("trick", ["\r\nBcc: everybody@example.org", "\nBcc: everybody@example.org\n\nЯ тут",
                                   "\u2028Bcc: everybody@example.org", "\x0bBcc: x", "\x07"])  # fmt: skip
def test_nothing_typed_becomes_a_header(
    world: World, clock: FrozenClock, settings: Settings, trick: str
) -> None:
    with unit_of_work():
        world.donor.full_name = f"Иванова{trick}"
        world.district.name = f"Район{trick}"
        db.session.flush()
    tell(world, clock, world.donor, message="Просьба: %(text)s", text=f"Учебники{trick}", urgent=True)
    box = Box()
    assert deliver(box, settings, clock).sent == 1
    arrived = email.message_from_bytes(box.letters[0].as_bytes(), policy=email.policy.default)
    assert sorted(arrived.keys()) == sorted(
        ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
         "Content-Transfer-Encoding"]
    )  # fmt: skip
    assert [address.addr_spec for address in arrived["To"].addresses] == ["donor@school.example"]


def test_a_long_cyrillic_subject_arrives_whole_and_short(
    world: World, clock: FrozenClock, settings: Settings
) -> None:
    tell(world, clock, world.donor, message="Ещё длиннее и длиннее, " * 12, urgent=True)
    box = Box()
    deliver(box, settings, clock)
    raw = box.letters[0].as_bytes()
    assert all(len(line) <= 998 and line.isascii() for line in raw.split(b"\r\n"))
    subject = email.message_from_bytes(raw, policy=email.policy.default)["Subject"]
    assert subject.startswith("Опытный район: Ещё длиннее")
    assert mail.LONGEST_SUBJECT - 1 <= len(subject) <= mail.LONGEST_SUBJECT
    assert subject.endswith("…")


def test_a_cyrillic_domain(world: World, clock: FrozenClock, settings: Settings) -> None:
    with unit_of_work():
        services.set_contacts(full_name="Иванова", email="ivanova@школа.рф", by=world.donor, clock=clock)
    tell(world, clock, world.donor)
    box = Box()
    deliver(box, settings, clock)
    assert box.letters[0]["To"].addresses[0].addr_spec == "ivanova@xn--80atdl2c.xn--p1ai"
    assert box.letters[0].as_bytes().isascii()


# --- When it is sent -----------------------------------------------------------------------------------


def test_without_digest_only_urgent_letters_leave(
    world: World, clock: FrozenClock, settings: Settings
) -> None:
    tell(world, clock, world.donor, message="Подождёт")
    tell(world, clock, world.donor, message="Срочно 1", urgent=True)
    tell(world, clock, world.donor, message="Срочно 2", urgent=True)
    box = Box()
    assert deliver(box, settings, clock, digest=False).sent == 2
    assert [str(letter["Subject"]) for letter in box.letters] == [
        "Опытный район: Срочно 1",
        "Опытный район: Срочно 2",
    ]
    assert unsent() == 1


def test_one_digest_a_day(world: World, clock: FrozenClock, settings: Settings) -> None:
    box = Box()
    tell(world, clock, world.donor, message="Утро")
    assert deliver(box, settings, clock).sent == 1
    clock.advance(hours=1)
    tell(world, clock, world.donor, message="День")
    assert deliver(box, settings, clock).sent == 0
    # 23:30 by the district's time: the next day in Moscow or London has not come either way.
    clock.advance(hours=12, minutes=30)
    assert deliver(box, settings, clock).sent == 0
    clock.advance(hours=1)
    assert deliver(box, settings, clock).sent == 1
    assert "День" in text_of(box.letters[1])
    assert "Утро" not in text_of(box.letters[1])


def test_who_has_no_address_is_named_and_keeps_their_letters(
    world: World, clock: FrozenClock, settings: Settings
) -> None:
    with unit_of_work():
        services.set_contacts(full_name="Без Адреса", email="", by=world.donor, clock=clock)
    tell(world, clock, world.donor, world.recipient)
    box = Box()
    report = deliver(box, settings, clock)
    assert (report.sent, report.without_address) == (1, ["Без Адреса"])
    assert services.letters_waiting(world.donor) == 1


def test_closed_accounts_and_old_news_get_nothing(
    world: World, clock: FrozenClock, settings: Settings
) -> None:
    tell(world, clock, world.donor, world.recipient)
    with unit_of_work():
        services.set_active(world.donor.id, False, by=world.methodist, clock=clock)
    clock.advance(days=8)
    box = Box()
    assert deliver(box, settings, clock) == mail.Delivery(0, 0, [])


def test_a_refused_letter_waits_and_the_others_go(
    world: World, clock: FrozenClock, settings: Settings
) -> None:
    tell(world, clock, world.donor, world.recipient)

    class Picky(Box):
        def send(self, message: EmailMessage) -> None:
            if "donor@" in str(message["To"]):
                raise mail.Refused("no such person")
            super().send(message)

    report = deliver(Picky(), settings, clock)
    assert (report.sent, report.refused) == (1, 1)
    assert unsent() == 1
    assert deliver(Box(), settings, clock).sent == 1


def test_a_letter_that_cannot_be_written_keeps_nobody_else(
    world: World, clock: FrozenClock, settings: Settings
) -> None:
    with unit_of_work():
        world.donor.email = "not an address"
        db.session.flush()
    tell(world, clock, world.donor, world.recipient)
    report = deliver(Box(), settings, clock)
    assert (report.sent, report.refused) == (1, 1)


def test_an_unreachable_server_stops_the_run_and_loses_nothing(
    world: World, clock: FrozenClock, settings: Settings
) -> None:
    tell(world, clock, world.donor, world.recipient)
    report = deliver(Box(mail.Unreachable("down")), settings, clock)
    assert report == mail.Delivery(0, 0, [], "down")
    assert unsent() == 2
    assert deliver(Box(), settings, clock).sent == 2


def test_a_crash_after_sending_repeats_one_letter_under_its_old_name(
    world: World, clock: FrozenClock, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(world, clock, world.donor, world.recipient, urgent=True)
    box = Box()

    class PowerCut(BaseException):
        pass

    def no_mark(*_args: object, **_values: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(mail, "_set", no_mark)
        with pytest.raises(PowerCut):
            deliver(box, settings, clock)
    assert len(box.letters) == 1
    # The letter is leased: only the other one goes, and when the lease has passed, the first again.
    assert deliver(box, settings, clock).sent == 1
    clock.advance(minutes=11)
    assert deliver(box, settings, clock).sent == 1
    first, _, again = box.letters
    assert first["Message-ID"] == again["Message-ID"]
    assert deliver(box, settings, clock).sent == 0


def test_two_runs_at_once_send_each_letter_once(
    app: Portal, world: World, clock: FrozenClock, settings: Settings
) -> None:
    people = [world.donor, world.recipient, world.stranger, world.head, world.deputy]
    for urgent in (True, False):
        for number in range(3):
            tell(world, clock, *people, message=f"Новость {number}", urgent=urgent)
    box, barrier = Box(), threading.Barrier(3)

    def run() -> None:
        with app.app_context():
            barrier.wait()
            deliver(box, settings, clock)
            db.session.remove()

    db.session.rollback()
    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [str(letter["Message-ID"]) for letter in box.letters]
    assert len(names) == len(set(names)) == len(people) * (3 + 1)
    assert unsent() == 0


# --- Where it goes -------------------------------------------------------------------------------------


def test_letters_become_files(world: World, clock: FrozenClock, settings: Settings, app: Portal) -> None:
    tell(world, clock, world.donor, urgent=True)
    transport = mail.transport_for(settings)
    deliver(transport, settings, clock)
    [file] = (settings.instance / "mail").iterdir()
    assert file.suffix == ".eml"
    arrived = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert arrived["To"].addresses[0].addr_spec == "donor@school.example"


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    refuse = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.received: list[bytes] = []


class _Talk(socketserver.StreamRequestHandler):
    """As much SMTP as a letter needs."""

    server: _Server

    def handle(self) -> None:
        self.wfile.write(b"220 test\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                body = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    body += part
                self.server.received.append(body)
                self.wfile.write(b"250 kept\r\n")
            elif verb == b"RCPT" and self.server.refuse:
                self.wfile.write(self.server.refuse)
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


@contextmanager
def smtp_server() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_letters_go_over_smtp(world: World, clock: FrozenClock, settings: Settings) -> None:
    tell(world, clock, world.donor, message="Срочно", urgent=True)
    with smtp_server() as server:
        settings = replace(settings, mail_url=f"smtp://127.0.0.1:{server.server_address[1]}")
        assert deliver(mail.transport_for(settings), settings, clock).sent == 1
    [received] = server.received
    arrived = email.message_from_bytes(received, policy=email.policy.default)
    assert arrived["Subject"] == "Опытный район: Срочно"
    assert "Срочно" in arrived.get_content()


def test_a_server_that_refuses_the_reader(world: World, clock: FrozenClock, settings: Settings) -> None:
    tell(world, clock, world.donor, urgent=True)
    with smtp_server() as server:
        server.refuse = b"550 no such person\r\n"
        settings = replace(settings, mail_url=f"smtp://127.0.0.1:{server.server_address[1]}")
        report = deliver(mail.transport_for(settings), settings, clock)
    assert (report.sent, report.refused, report.unreachable) == (0, 1, "")


def test_a_password_is_not_sent_in_the_open(world: World, clock: FrozenClock, settings: Settings) -> None:
    tell(world, clock, world.donor, urgent=True)
    with smtp_server() as server:
        settings = replace(settings, mail_url=f"smtp://me:secret@127.0.0.1:{server.server_address[1]}")
        report = deliver(mail.transport_for(settings), settings, clock)
    assert "encryption" in report.unreachable
    assert server.received == []


def test_nobody_listens(world: World, clock: FrozenClock, settings: Settings) -> None:
    tell(world, clock, world.donor, urgent=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = replace(settings, mail_url=f"smtp://127.0.0.1:{probe.getsockname()[1]}")
        report = deliver(mail.transport_for(settings), settings, clock)
    assert report.unreachable
    assert unsent() == 1


@pytest.mark.parametrize("url", ["http://example.org", "smtp://", "mail.example.org"])
def test_a_wrong_mail_url_is_said_aloud(url: str) -> None:
    with pytest.raises(ValueError, match="EXCHANGE_MAIL_URL"):
        mail.SmtpTransport(url)


# --- The commands --------------------------------------------------------------------------------------


def test_the_commands(app: Portal, world: World, clock: FrozenClock) -> None:
    tell(world, clock, world.donor)
    db.session.rollback()
    runner = app.test_cli_runner()
    result = runner.invoke(args=["exchange", "mail"])
    assert (result.exit_code, result.output) == (0, "Писем отправлено: 0.\n")
    result = runner.invoke(args=["exchange", "daily"])
    assert result.exit_code == 0, result.output
    assert "Писем отправлено: 1." in result.output
    result = runner.invoke(args=["exchange", "daily"])
    assert "Писем отправлено: 0." in result.output


def test_a_password_from_the_server(app: Portal, world: World, clock: FrozenClock) -> None:
    old = world.methodist.get_id()
    db.session.rollback()
    runner = app.test_cli_runner()
    result = runner.invoke(args=["exchange", "password", "Methodist", "--password", "совсем новый"])
    assert result.exit_code == 0, result.output
    db.session.rollback()
    assert services.user_by_session(old) is None
    result = runner.invoke(args=["exchange", "password", "nobody", "--password", "совсем новый"])
    assert result.exit_code == 1
    assert "nobody" in result.output
