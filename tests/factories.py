"""A small world, made by walking the real steps."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, date, datetime

from exchange.catalog import importer
from exchange.catalog import services as catalog
from exchange.catalog.models import ListEntry, Textbook
from exchange.clock import Clock, FrozenClock
from exchange.db import db, unit_of_work
from exchange.schools import services as schools
from exchange.schools.models import District, Holder, User
from exchange.schools.rules import HolderKind, Role

PASSWORD_HASH = "not a hash: nobody signs in with a password"


@dataclass
class World:
    """The district and the characters of the tests.

    ``donor`` and ``recipient`` are librarians of two schools, each with a director; ``stranger`` is the
    librarian of a third school of the district, ``outsider`` the methodist of another district.
    """

    district: District
    fund: Holder
    donor_school: Holder
    recipient_school: Holder
    stranger_school: Holder
    donor: User
    donor_director: User
    recipient: User
    recipient_director: User
    stranger: User
    methodist: User
    administrator: User
    head: User
    accountant: User
    deputy: User
    outsider: User


def make_school(district: District, code: str, name: str, km: float) -> Holder:
    school = Holder(
        district_id=district.id,
        kind=HolderKind.SCHOOL,
        code=code,
        name=f"МБОУ «{name}»",
        short_name=name,
        settlement=name,
        km_to_centre=km,
    )
    db.session.add(school)
    db.session.flush()
    return school


def make_world(clock: Clock) -> World:
    def person(district: District, login: str, role: Role, school: Holder | None = None) -> User:
        return schools.make_user(
            district_id=district.id,
            login=login,
            full_name=f"{login.title()} Тестовый",
            password_hash=PASSWORD_HASH,
            role=role,
            school_id=school.id if school else None,
            clock=clock,
            email=f"{login}@school.example",
        )

    with unit_of_work():
        district = schools.make_district(
            name="Опытный район", office="Управление образования", region="Край", timezone="Asia/Krasnoyarsk"
        )
        other = schools.make_district(
            name="Другой район", office="Другое управление", region="Край", timezone="Asia/Krasnoyarsk"
        )
        giver = make_school(district, "GIV", "Дающая СОШ", 10)
        taker = make_school(district, "TAK", "Берущая СОШ", 25)
        third = make_school(district, "THI", "Третья СОШ", 40)
        return World(
            district=district,
            fund=next(h for h in db.session.query(Holder).filter_by(district_id=district.id, code="ORF")),
            donor_school=giver,
            recipient_school=taker,
            stranger_school=third,
            donor=person(district, "donor", Role.LIBRARIAN, giver),
            donor_director=person(district, "donor-director", Role.DIRECTOR, giver),
            recipient=person(district, "recipient", Role.LIBRARIAN, taker),
            recipient_director=person(district, "recipient-director", Role.DIRECTOR, taker),
            stranger=person(district, "stranger", Role.LIBRARIAN, third),
            methodist=person(district, "methodist", Role.METHODIST),
            administrator=person(district, "administrator", Role.ADMINISTRATOR),
            head=person(district, "head", Role.HEAD),
            accountant=person(district, "accountant", Role.ACCOUNTANT),
            deputy=person(district, "deputy", Role.DEPUTY, taker),
            outsider=person(other, "outsider", Role.METHODIST),
        )


def make_textbook(
    title: str = "Математика",
    subject: str = "Математика",
    grade: int | str = 5,
    *,
    parts: int = 1,
    authors: str = "Виленкин Н.Я., Жохов В.И.",
    publisher: str = "Просвещение",
    level: str = "",
    valid_until: str = "",
    appendix: int = 1,
    special_needs: bool = False,
    order: str = "769",
    edition: str = "",
    in_force_from: date = date(2025, 9, 1),
) -> Textbook:
    """Add a book to a federal list (by default to appendix 1 of the one in force), by loading a row."""
    row = {
        "Приложение": appendix,
        "Номер": f"1.1.1.1.1.1.{db.session.query(ListEntry).count() + 1}",
        "Предмет": subject,
        "Название": title,
        "Авторы": authors,
        "Класс": grade,
        "Уровень": level,
        "Частей": parts,
        "Издательство": publisher,
        "ОВЗ": "да" if special_needs else "",
        "Срок": valid_until,
    }
    text = io.StringIO()
    writer = csv.DictWriter(text, row, delimiter=";")
    writer.writeheader()
    writer.writerow(row)
    parsed = importer.read_list(
        io.BytesIO(text.getvalue().encode()), "учебник.csv", order=order, edition=edition
    )
    plan = catalog.plan_parsed(parsed, order=order, edition=edition, in_force_from=in_force_from, whole=False)
    catalog.apply_import(plan, by=None, clock=FrozenClock(datetime(2025, 9, 1, tzinfo=UTC)))
    return db.session.query(Textbook).filter_by(identity=parsed.entries[0].identity).one()
