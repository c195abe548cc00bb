"""People, slips, sign-in, schools and roads on a database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from exchange import journal
from exchange.clock import FrozenClock
from exchange.db import db, in_unit, unit_of_work
from exchange.errors import DomainError, Forbidden, Invalid, NotFound
from exchange.schools import access, services
from exchange.schools.models import Holder, Invitation, Membership, User
from exchange.schools.rules import ATTEMPTS_PER_WINDOW, SLIP_REFUSALS, Action, HolderKind, Role, SlipState
from exchange.web.unit import Portal
from tests.factories import PASSWORD_HASH, World

DAYS = 30


def at_once(app: Portal, count: int, work: Callable[[int], object]) -> list[object]:
    """Do ``work`` in ``count`` threads that start together; return what each returned or raised."""
    db.session.rollback()
    barrier = threading.Barrier(count)
    results: list[object] = [None] * count

    def run(number: int) -> None:
        with app.app_context():
            barrier.wait()
            try:
                results[number] = in_unit(lambda: work(number))
            except Exception as error:
                results[number] = error
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def slip_for(world: World, clock: FrozenClock, **values: object) -> tuple[int, str]:
    settings = {"role": Role.LIBRARIAN, "school": world.donor_school, "full_name": "Новая", **values}
    with unit_of_work():
        slip, code = services.invite(days=DAYS, by=world.methodist, clock=clock, **settings)  # type: ignore[arg-type]
    return slip.id, code


def accept(code: str, clock: FrozenClock, login: str = "new") -> User:
    return services.accept_invitation(
        code, login=login, full_name="Новая Тестовая", email="", password_hash=PASSWORD_HASH, clock=clock
    )


def refusal(code: str, clock: FrozenClock) -> str:
    with pytest.raises(Invalid) as caught:
        services.open_invitation(code, clock=clock)
    return caught.value.message


# --- Slips ---------------------------------------------------------------------------------------------


def test_a_slip_makes_an_account_with_its_role(world: World, clock: FrozenClock) -> None:
    _, code = slip_for(world, clock)
    with unit_of_work():
        user = accept(code, clock)
    assert [(m.role, m.school_id) for m in user.memberships] == [(Role.LIBRARIAN, world.donor_school.id)]
    assert refusal(code, clock) == SLIP_REFUSALS[SlipState.USED]


def test_the_code_itself_is_stored_nowhere(world: World, clock: FrozenClock) -> None:
    _, code = slip_for(world, clock)
    digits = code.replace("-", "")
    for table in db.metadatas[None].tables.values():
        for row in db.session.execute(sa.select(table)):
            assert code not in str(row)
            assert digits not in str(row)


def test_a_slip_grows_old(world: World, clock: FrozenClock) -> None:
    _, code = slip_for(world, clock)
    clock.advance(days=DAYS)
    assert services.open_invitation(code, clock=clock)
    clock.advance(seconds=1)
    assert refusal(code, clock) == SLIP_REFUSALS[SlipState.EXPIRED]


def test_a_revoked_slip_and_an_unknown_code(world: World, clock: FrozenClock) -> None:
    number, code = slip_for(world, clock)
    with unit_of_work():
        services.revoke_invitation(number, by=world.methodist, clock=clock)
    assert refusal(code, clock) == SLIP_REFUSALS[SlipState.REVOKED]
    assert "Такого кода нет" in refusal("0000-0000-0000-0000", clock)
    assert "Такого кода нет" in refusal("", clock)


def test_a_new_code_makes_the_old_one_worthless(world: World, clock: FrozenClock) -> None:
    number, old = slip_for(world, clock)
    clock.advance(days=DAYS + 1)
    with unit_of_work():
        _, new = services.renew_invitation(number, days=DAYS, by=world.methodist, clock=clock)
    assert services.open_invitation(new, clock=clock).id == number
    assert "Такого кода нет" in refusal(old, clock)


def test_a_slip_is_used_once_however_many_try_at_once(app: Portal, world: World, clock: FrozenClock) -> None:
    _, code = slip_for(world, clock)
    results = at_once(app, 4, lambda number: accept(code, clock, f"new{number}").login)
    assert sum(isinstance(result, str) for result in results) == 1, results
    assert sum(isinstance(result, Invalid) for result in results) == 3, results
    made = db.session.scalar(sa.select(sa.func.count()).select_from(User).where(User.login.like("new%")))
    assert made == 1


def test_two_slips_one_login_at_once(app: Portal, world: World, clock: FrozenClock) -> None:
    codes = [slip_for(world, clock)[1], slip_for(world, clock)[1]]
    results = at_once(app, 2, lambda number: accept(codes[number], clock).login)
    assert sorted(type(result).__name__ for result in results) == ["Invalid", "str"], results


def test_only_who_manages_people_makes_slips(world: World, clock: FrozenClock) -> None:
    for by in (world.donor, world.donor_director, world.head, world.accountant, world.deputy):
        with pytest.raises(Forbidden), unit_of_work():
            services.invite(
                role=Role.LIBRARIAN, school=world.donor_school, full_name="", days=1, by=by, clock=clock
            )
    with pytest.raises(NotFound), unit_of_work():
        services.invite(
            role=Role.LIBRARIAN,
            school=world.donor_school,
            full_name="",
            days=1,
            by=world.outsider,
            clock=clock,
        )


def test_a_role_has_its_place(world: World, clock: FrozenClock) -> None:
    with pytest.raises(Invalid, match="районная"):
        slip_for(world, clock, role=Role.METHODIST)
    with pytest.raises(Invalid, match="школьная"):
        slip_for(world, clock, school=None)


def test_slips_of_another_district_are_not_there(world: World, clock: FrozenClock) -> None:
    number, _ = slip_for(world, clock)
    for change in (services.revoke_invitation, lambda n, **k: services.renew_invitation(n, days=1, **k)):
        with pytest.raises(NotFound), unit_of_work():
            change(number, by=world.outsider, clock=clock)


def test_a_sheet_for_every_school_without_a_librarian(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        services.set_active(world.donor.id, False, by=world.methodist, clock=clock)
        services.set_active(world.stranger.id, False, by=world.methodist, clock=clock)
    slip_for(world, clock, school=world.stranger_school)
    with unit_of_work():
        slips = services.invite_librarians(days=DAYS, by=world.methodist, clock=clock)
    assert [slip.school_id for slip, _ in slips] == [world.donor_school.id]
    with unit_of_work():
        assert services.invite_librarians(days=DAYS, by=world.methodist, clock=clock) == []


def test_two_people_make_one_sheet(app: Portal, world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        services.set_active(world.donor.id, False, by=world.methodist, clock=clock)
    ids = [world.methodist.id, world.administrator.id]
    results = at_once(
        app,
        2,
        lambda number: len(
            services.invite_librarians(days=DAYS, by=db.session.get_one(User, ids[number]), clock=clock)
        ),
    )
    assert sorted(results) == [0, 1]  # type: ignore[type-var]


# --- The former librarian ------------------------------------------------------------------------------


def test_a_new_librarian_replaces_the_old_one(world: World, clock: FrozenClock) -> None:
    slip_for(world, clock, former_leave=True)
    assert not db.session.get_one(User, world.donor.id).active
    assert db.session.get_one(User, world.donor_director.id).active


def test_who_has_another_duty_keeps_it(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        services.add_role(world.donor.id, role=Role.HEAD, school=None, by=world.methodist, clock=clock)
    slip_for(world, clock, former_leave=True)
    donor = db.session.get_one(User, world.donor.id)
    assert donor.active
    assert [m.role for m in donor.memberships] == [Role.HEAD]
    assert not access.allowed(donor, Action.COUNT, world.donor_school)


# --- Roles ---------------------------------------------------------------------------------------------


def test_roles_are_added_once_and_taken_away(world: World, clock: FrozenClock) -> None:
    for _ in range(2):
        with unit_of_work():
            services.add_role(world.donor.id, role=Role.HEAD, school=None, by=world.methodist, clock=clock)
    added = db.session.scalars(
        sa.select(Membership).where(Membership.user_id == world.donor.id).order_by(Membership.id)
    ).all()
    assert [m.role for m in added] == [Role.LIBRARIAN, Role.HEAD]
    with unit_of_work():
        services.remove_role(added[1].id, by=world.methodist, clock=clock)
    with pytest.raises(Invalid, match="единственная"), unit_of_work():
        services.remove_role(added[0].id, by=world.methodist, clock=clock)


def test_nobody_takes_their_own_role(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        services.add_role(
            world.methodist.id, role=Role.HEAD, school=None, by=world.administrator, clock=clock
        )
    own = world.methodist.memberships[0]
    with pytest.raises(Invalid, match="Свою роль"), unit_of_work():
        services.remove_role(own.id, by=world.methodist, clock=clock)


def test_the_same_role_given_by_two_people_at_once(app: Portal, world: World, clock: FrozenClock) -> None:
    ids, donor = [world.methodist.id, world.administrator.id], world.donor.id
    results = at_once(
        app,
        2,
        lambda number: (
            services.add_role(
                donor, role=Role.HEAD, school=None, by=db.session.get_one(User, ids[number]), clock=clock
            ).id
        ),
    )
    assert results == [donor, donor]
    held = db.session.scalars(sa.select(Membership.role).where(Membership.user_id == donor)).all()
    assert sorted(held) == [Role.HEAD, Role.LIBRARIAN]


def test_two_who_close_each_other_leave_one(app: Portal, world: World, clock: FrozenClock) -> None:
    ids = [world.methodist.id, world.administrator.id]
    results = at_once(
        app,
        2,
        lambda number: (
            services.set_active(
                ids[1 - number], False, by=db.session.get_one(User, ids[number]), clock=clock
            ).id
        ),
    )
    assert sum(isinstance(result, DomainError) for result in results) == 1, results
    active = db.session.scalars(sa.select(User.active).where(User.id.in_(ids))).all()
    assert sorted(active) == [False, True]


def test_people_of_another_district_are_not_there(world: World, clock: FrozenClock) -> None:
    membership = world.donor.memberships[0].id
    for attempt in (
        lambda: services.set_active(world.donor.id, False, by=world.outsider, clock=clock),
        lambda: services.add_role(
            world.donor.id, role=Role.HEAD, school=None, by=world.outsider, clock=clock
        ),
        lambda: services.remove_role(membership, by=world.outsider, clock=clock),
        lambda: services.password_slip(world.donor.id, days=1, by=world.outsider, clock=clock),
    ):
        with pytest.raises(NotFound), unit_of_work():
            attempt()
    assert {row.user_id for row in services.people(by=world.outsider)} == {world.outsider.id}


def test_people_are_found_by_name_and_school(world: World, clock: FrozenClock) -> None:
    assert {row.user_id for row in services.people(by=world.methodist, words="БЕРУЩАЯ direct")} == {
        world.recipient_director.id
    }
    with unit_of_work():
        services.set_active(world.donor.id, False, by=world.methodist, clock=clock)
    assert [row.user_id for row in services.people(by=world.methodist, active=False)] == [world.donor.id]


# --- Passwords and sign-in -----------------------------------------------------------------------------


def test_a_password_slip_renews_the_password_once(world: World, clock: FrozenClock) -> None:
    session_id = world.donor.get_id()
    with unit_of_work():
        _, first = services.password_slip(world.donor.id, days=1, by=world.methodist, clock=clock)
    with unit_of_work():
        _, second = services.password_slip(world.donor.id, days=1, by=world.methodist, clock=clock)
    assert refusal(first, clock) == SLIP_REFUSALS[SlipState.REVOKED]
    with pytest.raises(Invalid), unit_of_work():
        accept(second, clock)
    with unit_of_work():
        services.renew_password(second, password_hash="another hash", clock=clock)
    assert db.session.get_one(User, world.donor.id).password_hash == "another hash"
    assert services.user_by_session(session_id) is None
    assert refusal(second, clock) == SLIP_REFUSALS[SlipState.USED]


def test_closing_an_account_revokes_its_password_slips(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        _, code = services.password_slip(world.donor.id, days=1, by=world.methodist, clock=clock)
    with unit_of_work():
        services.set_active(world.donor.id, False, by=world.methodist, clock=clock)
    assert refusal(code, clock) == SLIP_REFUSALS[SlipState.REVOKED]


@pytest.mark.parametrize("login", ["donor", "nobody"])
def test_tries_at_once_are_counted_before_the_password_is_compared(
    app: Portal, world: World, clock: FrozenClock, login: str
) -> None:
    results = at_once(app, 12, lambda number: services.begin_try(login, clock=clock))
    allowed = [result for result in results if isinstance(result, services.Try)]
    assert len(allowed) == ATTEMPTS_PER_WINDOW if login == "donor" else len(allowed) >= ATTEMPTS_PER_WINDOW
    assert in_unit(lambda: services.begin_try(login, clock=clock)) is None
    assert in_unit(lambda: services.begin_try("recipient", clock=clock)) is not None
    clock.advance(minutes=15, seconds=1)
    assert in_unit(lambda: services.begin_try(login, clock=clock)) is not None


def test_a_closed_account_looks_like_one_nobody_has(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        services.set_active(world.donor.id, False, by=world.methodist, clock=clock)
    with unit_of_work():
        assert services.begin_try("donor", clock=clock) == services.begin_try("nobody", clock=clock)


def test_an_unknown_login_costs_as_much_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Hasher:
        def verify(self, password_hash: str, password: str) -> bool:
            seen.append(password_hash)
            return True

    monkeypatch.setattr(services, "_hasher", Hasher())
    assert services.password_matches("a hash", "a password")
    assert not services.password_matches(None, "a password")
    assert len(seen) == 2


def test_a_person_closed_while_the_password_was_compared_does_not_get_in(
    world: World, clock: FrozenClock
) -> None:
    attempt = in_unit(lambda: services.begin_try("donor", clock=clock))
    assert attempt is not None
    with unit_of_work():
        services.set_active(world.donor.id, False, by=world.methodist, clock=clock)
    assert in_unit(lambda: services.finish_sign_in(attempt, clock=clock)) is None


# --- Schools and roads ---------------------------------------------------------------------------------

SCHOOL = {
    "name": "МБОУ «Новая СОШ»",
    "short_name": "Новая СОШ",
    "settlement": "с. Новое",
    "inn": "7707329152",
    "kpp": "240301001",
    "km_to_centre": 12.5,
}


def test_schools_are_added_and_changed(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        school = services.save_school(None, **SCHOOL, by=world.methodist, clock=clock)
    with unit_of_work():
        services.save_school(school, **{**SCHOOL, "settlement": "с. Другое"}, by=world.methodist, clock=clock)
    kept = db.session.get_one(Holder, school.id)
    assert (kept.kind, kept.settlement, kept.km_to_centre) == (HolderKind.SCHOOL, "с. Другое", 12.5)
    assert access.holder_of_district(world.methodist, school.id).id == school.id


@pytest.mark.parametrize(
    ("field", "value"),
    [("inn", "7707329153"), ("kpp", "24"), ("km_to_centre", -1), ("short_name", "Третья СОШ")],
)
def test_wrong_particulars_name_their_field(
    world: World, clock: FrozenClock, field: str, value: object
) -> None:
    with pytest.raises(Invalid) as caught, unit_of_work():
        services.save_school(None, **{**SCHOOL, field: value}, by=world.methodist, clock=clock)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_schools_added_at_once_get_codes_of_their_own(app: Portal, world: World, clock: FrozenClock) -> None:
    methodist = world.methodist.id
    results = at_once(
        app,
        4,
        lambda number: (
            services.save_school(
                None,
                **{**SCHOOL, "short_name": f"Новая СОШ № {number}"},
                by=db.session.get_one(User, methodist),
                clock=clock,
            ).code
        ),
    )
    assert len(set(results)) == 4, results
    assert all(isinstance(result, str) for result in results), results


def test_only_the_methodist_changes_schools_storage_and_roads(world: World, clock: FrozenClock) -> None:
    for by, error in ((world.donor, Forbidden), (world.administrator, Forbidden), (world.outsider, NotFound)):
        with pytest.raises(error), unit_of_work():
            services.save_school(world.donor_school, **SCHOOL, by=by, clock=clock)
        with pytest.raises(error), unit_of_work():
            services.save_storage_place(
                world.fund, name="Фонд", short_name="Фонд", located_at=None, by=by, clock=clock
            )
        with pytest.raises(error), unit_of_work():
            services.set_road(world.donor_school, world.recipient_school, 5, by=by, clock=clock)


def test_a_storage_place_is_where_its_school_is(world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        place = services.save_storage_place(
            None,
            name="ОРФ в Третьей СОШ",
            short_name="ОРФ-2",
            located_at=world.stranger_school,
            by=world.methodist,
            clock=clock,
        )
        services.set_road(world.stranger_school, world.donor_school, 7, by=world.methodist, clock=clock)
    km = services.distances(world.district.id)
    assert km[place.id, world.stranger_school.id] == 0
    assert km[place.id, world.donor_school.id] == km[world.donor_school.id, place.id] == 7


def test_roads_are_the_same_both_ways_and_default_by_the_centre(world: World, clock: FrozenClock) -> None:
    giver, taker = world.donor_school, world.recipient_school
    assert services.distances(world.district.id)[giver.id, taker.id] == 35
    for km in (12.5, 13):
        with unit_of_work():
            services.set_road(taker, giver, km, by=world.methodist, clock=clock)
        found = services.distances(world.district.id)
        assert found[giver.id, taker.id] == found[taker.id, giver.id] == km
    with unit_of_work():
        services.set_road(giver, taker, None, by=world.methodist, clock=clock)
    assert services.distances(world.district.id)[giver.id, taker.id] == 35


def test_one_road_measured_by_several_at_once(app: Portal, world: World, clock: FrozenClock) -> None:
    methodist, first, second = world.methodist.id, world.donor_school.id, world.recipient_school.id
    results = at_once(
        app,
        4,
        lambda number: services.set_road(
            db.session.get_one(Holder, first),
            db.session.get_one(Holder, second),
            number,
            by=db.session.get_one(User, methodist),
            clock=clock,
        ),
    )
    assert results == [None] * 4
    assert services.distances(world.district.id)[first, second] in range(4)


# --- Journal -------------------------------------------------------------------------------------------


def test_the_journal_of_a_district_is_its_own(world: World, clock: FrozenClock) -> None:
    slip_for(world, clock)
    own = db.session.execute(journal.events(district_id=world.district.id)).all()
    assert [row.message for row in own] == ["Приглашение: %(name)s, %(role)s"]
    assert db.session.execute(journal.events(district_id=world.outsider.district_id)).all() == []
    later = clock.now() + timedelta(seconds=1)
    assert db.session.execute(journal.events(district_id=world.district.id, since=later)).all() == []
    assert len(db.session.execute(journal.events(district_id=world.district.id, before=later)).all()) == 1


def test_every_slip_counts_for_its_own_district_only(world: World, clock: FrozenClock) -> None:
    slip_for(world, clock)
    assert len(services.open_slips(by=world.methodist, clock=clock)) == 1
    assert services.open_slips(by=world.outsider, clock=clock) == []
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Invitation)) == 1
