"""A small world, made by walking the real steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import sqlalchemy as sa

from exchange.catalog import services as catalog
from exchange.catalog.models import FederalList, ListEntry, Textbook
from exchange.catalog.rules import SchoolYear, fold, identity, sort_key
from exchange.classes import services as classes
from exchange.clock import Clock
from exchange.db import db, unit_of_work
from exchange.schools import services as schools
from exchange.schools.models import District, Holder, User
from exchange.schools.rules import HolderKind, Role
from exchange.stock import services as stock

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
    *,
    authors: str = "Моро М.И.; Волкова С.И.; Степанова С.В.",
    subject: str = "Математика",
    grades: tuple[int | None, int | None] = (1, 1),
    parts: int = 1,
    publisher: str = "Просвещение",
    level: str = "",
    special_needs: bool = False,
    listed: bool = True,
    appendix: int = 1,
    valid_until: date | None = date(2035, 8, 31),
) -> Textbook:
    """Put a textbook into the catalogue and, unless ``listed`` is false, into a federal list in force."""
    low, high = grades
    written = f"{low}-{high}" if low != high else f"{low or 'СПО'}"
    with unit_of_work():
        textbook = Textbook(
            identity=identity(
                authors=authors.split("; "),
                subject=subject,
                title=title,
                grades=written,
                level=level,
                publisher_group=publisher,
                special_needs=special_needs,
            ),
            title=title,
            authors=authors,
            subject_area=subject,
            subject=subject,
            grade_from=low,
            grade_to=high,
            level=level,
            publisher=publisher,
            parts=parts,
            special_needs=special_needs,
            folded=fold(f"{authors} {title} {subject} {publisher} {written}"),
            sort_key=sort_key(f"{subject} {low or 99} {title} {authors}")[:300],
        )
        db.session.add(textbook)
        db.session.flush()
        if listed:
            federal_list = _federal_list()
            db.session.add(
                ListEntry(
                    list_id=federal_list.id,
                    appendix=appendix,
                    number=f"1.1.{textbook.id}",
                    row=textbook.id,
                    raw={},
                    valid_until=valid_until,
                    textbook_id=textbook.id,
                )
            )
    return textbook


def _federal_list() -> FederalList:
    found = db.session.scalar(sa.select(FederalList).where(FederalList.order_number == "858"))
    if found is None:
        found = FederalList(
            order_number="858",
            signed_on=date(2022, 9, 21),
            in_force_from=date(2022, 9, 21),
            loaded_at=datetime(2024, 1, 1, tzinfo=UTC),
        )
        db.session.add(found)
        db.session.flush()
    return found


def put_on_shelf(
    holder: Holder,
    textbook: Textbook,
    copies: int | Mapping[int, int],
    *,
    by: User,
    clock: Clock,
    year: int = 2023,
) -> None:
    """Count ``copies`` of every part (or, by part, of each) onto the holder's shelf."""
    by_part = copies if isinstance(copies, Mapping) else dict.fromkeys(range(1, textbook.parts + 1), copies)
    with unit_of_work():
        for part, number in by_part.items():
            stock.count(
                holder=holder,
                edition=catalog.edition_for(textbook.id, year, part),
                copies=number,
                reason="первый учёт на полке",
                by=by,
                clock=clock,
            )


def enrol(school: Holder, pupils_by_grade: Mapping[int, int], *, by: User, clock: Clock) -> None:
    """Store the pupils of the present school year."""
    year = SchoolYear.of(clock.today(school.district.timezone))
    with unit_of_work():
        classes.set_enrolment(
            school=school, school_year=year.start, pupils_by_grade=pupils_by_grade, by=by, clock=clock
        )
