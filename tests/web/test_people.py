"""Pages of people, schools, roads and the journal."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.schools import services
from exchange.schools.models import Holder, Invitation, User
from exchange.schools.rules import Role
from exchange.web.subjects import SUBJECTS, url_of
from exchange.web.unit import Portal
from tests.conftest import SignIn
from tests.factories import World

HTMX = {"HX-Request": "true"}
PASSWORD = "тихая синяя река"
PAGES = [
    ("/account", "contacts", "donor"),
    ("/people", "list", "methodist"),
    ("/people/invite", "invite-form", "methodist"),
    ("/people/slip", None, "methodist"),
    ("/schools", "list", "stranger"),
    ("/schools/new", "school-form", "methodist"),
    ("/schools/storage/new", "storage-form", "methodist"),
    ("/roads", None, "methodist"),
    ("/journal", "list", "methodist"),
]


def newcomer(world: World, clock: FrozenClock, **values: object) -> str:
    settings = {"role": Role.LIBRARIAN, "school": world.donor_school, "full_name": "Новая Тестовая", **values}
    with unit_of_work():
        _, code = services.invite(days=30, by=world.methodist, clock=clock, **settings)  # type: ignore[arg-type]
    return code


def give_password(user: User, clock: FrozenClock) -> None:
    with unit_of_work():
        services.set_password(services.hash_password(PASSWORD), by=user, clock=clock)


def key(client: FlaskClient, url: str) -> str:
    found = re.search(r'name="_key" value="([^"]+)"', client.get(url).text)
    assert found
    return found.group(1)


@pytest.mark.parametrize(("url", "block", "who"), PAGES)
def test_page_and_fragment(world: World, sign_in: SignIn, url: str, block: str | None, who: str) -> None:
    client = sign_in(getattr(world, who))
    whole = client.get(url)
    assert whole.status_code == 200
    assert whole.text.count("<h1") == 1
    part = client.get(url, headers=HTMX)
    assert part.status_code == 200
    if block is not None:
        assert "<html" not in part.text
        assert f'id="{block}"' in part.text


@pytest.mark.parametrize("url", ["/people", "/people/invite", "/people/slip", "/journal"])
def test_who_does_not_manage_people_sees_none_of_it(world: World, sign_in: SignIn, url: str) -> None:
    for user in (world.donor, world.donor_director, world.deputy, world.head, world.accountant):
        assert sign_in(user).get(url).status_code == 403
    for user in (world.methodist, world.administrator):
        assert sign_in(user).get(url).status_code == 200


def test_only_the_methodist_opens_the_forms_of_schools(world: World, sign_in: SignIn) -> None:
    for url in ("/schools/new", "/schools/storage/new", f"/schools/{world.donor_school.id}/edit"):
        for user in (world.donor, world.administrator, world.head):
            assert sign_in(user).get(url).status_code == 403
        assert sign_in(world.methodist).get(url).status_code == 200


def test_another_district_is_not_there(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    newcomer(world, clock)
    outsider = sign_in(world.outsider)
    slip = db.session.scalars(sa.select(Invitation.id)).one()
    membership = world.donor.memberships[0].id
    here, there = world.donor_school.id, world.recipient_school.id
    for url in (f"/people/{world.donor.id}", f"/schools/{here}/edit", f"/roads/{here}"):
        assert outsider.get(url).status_code == 404
    for url in (
        f"/people/{world.donor.id}/deactivate",
        f"/people/{world.donor.id}/activate",
        f"/people/{world.donor.id}/roles",
        f"/people/{world.donor.id}/password-slip",
        f"/people/roles/{membership}/remove",
        f"/people/invitations/{slip}/revoke",
        f"/people/invitations/{slip}/renew",
        f"/schools/{here}/edit",
        f"/roads/{here}/{there}",
    ):
        assert outsider.post(url, data={"role": "head"}).status_code == 404
    for url in ("/people", "/schools", "/roads", "/journal"):
        text = outsider.get(url).text
        assert "Дающая" not in text
        assert "Новая Тестовая" not in text


# --- The own account ---------------------------------------------------------------------------------


def test_contacts_are_changed(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    answer = client.post("/account", data={"full_name": "  Иная   Тестовая ", "email": "inaya@школа.рф"})
    assert answer.status_code == 303
    donor = db.session.get_one(User, world.donor.id)
    assert (donor.full_name, donor.email) == ("Иная Тестовая", "inaya@школа.рф")


def test_a_wrong_address_is_refused_and_kept(world: World, sign_in: SignIn) -> None:
    data = {"full_name": "Иная Тестовая", "email": "адрес без собаки"}
    answer = sign_in(world.donor).post("/account", data=data, headers=HTMX)
    assert answer.status_code == 422
    assert all(value in answer.text for value in data.values())
    assert 'id="email-error"' in answer.text
    assert db.session.get_one(User, world.donor.id).email == "donor@school.example"


def test_a_new_password_keeps_this_session_and_ends_the_others(
    world: World, sign_in: SignIn, clock: FrozenClock
) -> None:
    give_password(world.donor, clock)
    here, elsewhere = sign_in(world.donor), sign_in(world.donor)
    new = "другая длинная фраза"
    data = {"old": PASSWORD, "password": new, "again": new}
    assert here.post("/account/password", data=data).status_code == 303
    assert here.get("/account").status_code == 200
    assert elsewhere.get("/account").status_code == 303
    assert elsewhere.post("/sign-in", data={"login": "donor", "password": PASSWORD}).status_code == 422
    assert elsewhere.post("/sign-in", data={"login": "donor", "password": new}).status_code == 303


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"old": "не тот"}, "old"),
        ({"again": "иная фраза"}, "again"),
        ({"password": "x", "again": "x"}, "password"),
    ],
)
def test_a_password_refused(
    world: World, sign_in: SignIn, clock: FrozenClock, changes: dict[str, str], field: str
) -> None:
    give_password(world.donor, clock)
    before = world.donor.password_hash
    data = {"old": PASSWORD, "password": "новая длинная", "again": "новая длинная", **changes}
    answer = sign_in(world.donor).post("/account/password", data=data, headers=HTMX)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert PASSWORD not in answer.text
    assert db.session.get_one(User, world.donor.id).password_hash == before


def test_guessing_the_old_password_is_slowed_down(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    give_password(world.donor, clock)
    client = sign_in(world.donor)
    data = {"old": "не тот", "password": PASSWORD, "again": PASSWORD}
    for _ in range(5):
        assert "Нынешний пароль не подходит" in client.post("/account/password", data=data).text
    data["old"] = PASSWORD
    assert "Слишком много попыток" in client.post("/account/password", data=data).text


def test_sign_out_everywhere(world: World, sign_in: SignIn) -> None:
    here, elsewhere = sign_in(world.donor), sign_in(world.donor)
    assert here.post("/account/sign-out-everywhere").status_code == 303
    for client in (here, elsewhere):
        assert client.get("/account").status_code == 303


# --- A slip becomes an account -----------------------------------------------------------------------

ACCOUNT = {
    "full_name": "Новая Тестовая",
    "email": "",
    "login": "Novaya",
    "password": PASSWORD,
    "again": PASSWORD,
}


def test_from_the_code_to_the_first_page(app: Portal, world: World, clock: FrozenClock) -> None:
    code = newcomer(world, clock)
    client = app.test_client()
    assert "У меня есть код" in client.get("/sign-in").text
    assert client.get("/invitation").status_code == 200
    form = client.get("/invitation", query_string={"code": f" {code.replace('-', ' ')} "})
    assert form.status_code == 200
    assert "педагог-библиотекарь, МБОУ «Дающая СОШ»" in form.text
    assert 'value="Новая Тестовая"' in form.text
    assert client.post("/invitation", data={"code": code, **ACCOUNT}).status_code == 303
    assert "Новая Тестовая" in client.get("/account").text
    again = app.test_client().post("/invitation", data={"code": code, **ACCOUNT, "login": "second"})
    assert again.status_code == 422
    assert "уже использован" in again.text


def test_a_wrong_code_is_one_clear_sentence(app: Portal, world: World, clock: FrozenClock) -> None:
    newcomer(world, clock)
    answer = app.test_client().get("/invitation?code=1234-1234-1234-1234")
    assert answer.status_code == 422
    assert "Такого кода нет. Проверьте цифры на талоне." in answer.text
    assert "1234-1234-1234-1234" in answer.text
    post = app.test_client().post("/invitation", data={"code": "1234", **ACCOUNT}, headers=HTMX)
    assert post.status_code == 422
    assert "Такого кода нет" in post.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"login": "donor"}, "login"),
        ({"login": "две части"}, "login"),
        ({"email": "nowhere"}, "email"),
        ({"password": "x", "again": "x"}, "password"),
        ({"again": "иначе"}, "again"),
        ({"full_name": " "}, "full_name"),
    ],
)
def test_a_refused_account_keeps_what_was_typed(
    app: Portal, world: World, clock: FrozenClock, changes: dict[str, str], field: str
) -> None:
    code = newcomer(world, clock)
    data = {"code": code, **ACCOUNT, "email": "n@school.example", **changes}
    answer = app.test_client().post("/invitation", data=data, headers=HTMX)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert f'value="{data["login"]}"' in answer.text
    assert f'value="{data["email"]}"' in answer.text
    assert PASSWORD not in answer.text
    assert services.open_invitation(code, clock=clock)


def test_a_password_slip_at_the_page(app: Portal, world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        _, code = services.password_slip(world.donor.id, days=1, by=world.methodist, clock=clock)
    client = app.test_client()
    form = client.get("/invitation", query_string={"code": code})
    assert "«donor»" in form.text
    assert 'name="login"' not in form.text
    data = {"code": code, "password": PASSWORD, "again": PASSWORD}
    assert client.post("/invitation", data=data).status_code == 303
    other = app.test_client()
    assert other.post("/sign-in", data={"login": "donor", "password": PASSWORD}).status_code == 303


# --- People ------------------------------------------------------------------------------------------


def test_the_list_names_roles_addresses_and_last_sign_in(
    app: Portal, world: World, sign_in: SignIn, clock: FrozenClock
) -> None:
    give_password(world.donor, clock)
    app.test_client().post("/sign-in", data={"login": "donor", "password": PASSWORD})
    with unit_of_work():
        services.set_contacts(full_name="Стран Ник", email="", by=world.stranger, clock=clock)
    text = sign_in(world.methodist).get("/people").text
    assert "14.09.2026 10:00" in text
    assert "ещё не входил" in text
    assert text.count("нет адреса") == 1
    assert "руководитель РМО" in text
    found = sign_in(world.methodist).get("/people?q=стран", headers=HTMX).text
    assert "Стран Ник" in found
    assert "Donor" not in found


def test_the_list_as_files(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    for url in ("/people", "/schools", "/roads", "/journal"):
        assert client.get(f"{url}?format=xlsx").status_code == 200
        assert client.get(f"{url}?format=csv").data.decode("utf-8-sig").splitlines()
        assert client.get(f"{url}?format=exe").status_code == 404
    assert "Дающая СОШ" in client.get("/people?format=csv&q=дающая").data.decode("utf-8-sig")


def test_a_slip_is_shown_once_and_can_be_hidden(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    with unit_of_work():
        services.set_active(world.donor.id, False, by=world.methodist, clock=clock)
    client = sign_in(world.methodist)
    data = {"role": "librarian", "school": str(world.donor_school.id), "full_name": "Новая Тестовая"}
    answer = client.post("/people/invite", data=data)
    assert (answer.status_code, answer.location) == (303, "/people/slip")
    text = client.get("/people/slip").text
    code = re.search(r"\d{4}-\d{4}-\d{4}-\d{4}", text)
    assert code
    assert "http://127.0.0.1:5000/invitation" in text
    assert services.open_invitation(code.group(), clock=clock).full_name == "Новая Тестовая"
    assert code.group() not in sign_in(world.methodist).get("/people/slip").text
    client.post("/people/slip/hide")
    assert code.group() not in client.get("/people/slip").text


def test_a_double_click_makes_one_slip(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    data = {
        "role": "accountant",
        "school": str(world.donor_school.id),
        "full_name": "Новая",
        "_key": key(client, "/people/invite"),
    }
    first, second = (client.post("/people/invite", data=data) for _ in range(2))
    assert (first.status_code, first.location) == (second.status_code, second.location)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Invitation)) == 1
    assert "Новая" in client.get("/people/slip").text


def test_where_somebody_holds_the_role_it_is_asked_whether_they_leave(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    data = {"role": "librarian", "school": str(world.donor_school.id), "full_name": "Новая Тестовая"}
    asked = client.post("/people/invite", data=data, headers=HTMX)
    assert asked.status_code == 422
    assert "Donor Тестовый" in asked.text
    assert 'value="Новая Тестовая"' in asked.text
    assert db.session.get_one(User, world.donor.id).active
    answer = client.post("/people/invite", data={**data, "former": "leave"}, headers=HTMX)
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/people/slip")
    db.session.rollback()
    assert not db.session.get_one(User, world.donor.id).active


def test_a_role_of_a_school_asks_for_the_school(world: World, sign_in: SignIn) -> None:
    answer = sign_in(world.methodist).post("/people/invite", data={"role": "director", "school": ""})
    assert answer.status_code == 422
    assert "Укажите школу" in answer.text


def test_a_sheet_of_slips(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    with unit_of_work():
        services.set_active(world.donor.id, False, by=world.methodist, clock=clock)
        services.set_active(world.stranger.id, False, by=world.methodist, clock=clock)
    client = sign_in(world.methodist)
    assert "Приглашения всем библиотекарям" in client.get("/people").text
    assert client.post("/people/invite/librarians").location == "/people/slip"
    assert len(set(re.findall(r"\d{4}-\d{4}-\d{4}-\d{4}", client.get("/people/slip").text))) == 2
    assert "Приглашения всем библиотекарям" not in client.get("/people").text


def test_invitations_are_renewed_and_revoked(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    newcomer(world, clock)
    number = db.session.scalars(sa.select(Invitation.id)).one()
    client = sign_in(world.methodist)
    assert "Новая Тестовая" in client.get("/people").text
    assert client.post(f"/people/invitations/{number}/renew").location == "/people/slip"
    assert client.post(f"/people/invitations/{number}/revoke").status_code == 303
    assert "Новая Тестовая" not in client.get("/people").text
    refused = client.post(f"/people/invitations/{number}/renew", headers=HTMX)
    assert refused.status_code == 422
    assert refused.headers["HX-Retarget"] == "#notices"


def test_deactivation_ends_the_session_at_once(world: World, sign_in: SignIn) -> None:
    donor, methodist = sign_in(world.donor), sign_in(world.methodist)
    assert donor.get("/account").status_code == 200
    assert methodist.post(f"/people/{world.donor.id}/deactivate").status_code == 303
    assert donor.get("/account").status_code == 303
    assert "отключена" in methodist.get(f"/people/{world.donor.id}").text
    assert methodist.post(f"/people/{world.donor.id}/activate").status_code == 303
    assert donor.get("/account").status_code == 303
    assert methodist.post(f"/people/{world.methodist.id}/deactivate").status_code == 422


def test_roles_are_added_and_taken_at_the_page(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    url = f"/people/{world.donor.id}"
    assert client.post(f"{url}/roles", data={"role": "head", "school": ""}).status_code == 303
    refused = client.post(f"{url}/roles", data={"role": "director", "school": ""}, headers=HTMX)
    assert refused.status_code == 422
    assert f'id="person-{world.donor.id}"' in refused.text
    db.session.rollback()
    added = db.session.get_one(User, world.donor.id).memberships[-1]
    assert added.role is Role.HEAD
    assert "Снять: руководитель РМО" in client.get(url).text
    assert client.post(f"/people/roles/{added.id}/remove").status_code == 303
    assert "Снять: руководитель РМО" not in client.get(url).text


def test_a_form_with_fields_left_out_is_no_error(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    school = {"name": "Школа", "short_name": "Школа", "settlement": "Село", "km_to_centre": "1"}
    assert client.post("/schools/new", data=school).status_code == 303
    assert client.post("/people/invite", data={"role": "head"}).status_code == 303
    assert client.post("/account", data={"full_name": "Кто-то"}).status_code == 303
    for url in ("/account", "/account/password", "/schools/new", "/schools/storage/new", "/invitation"):
        assert client.post(url, data={}).status_code == 422, url


# --- Schools, roads, journal -------------------------------------------------------------------------


def test_a_school_is_added(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    data = {
        "name": "МБОУ «Новая СОШ»",
        "short_name": "Новая СОШ",
        "settlement": "с. Новое",
        "km_to_centre": "12,5",
        "inn": "7707329153",
        "kpp": "",
    }
    refused = client.post("/schools/new", data=data, headers=HTMX)
    assert refused.status_code == 422
    assert 'id="inn-error"' in refused.text
    assert 'value="12,5"' in refused.text
    assert client.post("/schools/new", data={**data, "inn": "7707329152"}).status_code == 303
    assert "12,5" in client.get("/schools?q=нОвОе").text
    assert sign_in(world.donor).post("/schools/new", data=data).status_code == 403


def test_a_storage_place_is_put_into_a_school_and_moved(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.methodist)
    data = {"name": "ОРФ в школе", "short_name": "ОРФ-2", "located_at": str(world.donor_school.id)}
    assert client.post("/schools/storage/new", data=data).status_code == 303
    place = db.session.scalars(sa.select(Holder).where(Holder.short_name == "ОРФ-2")).one()
    assert place.located_at_id == world.donor_school.id
    url = f"/schools/{place.id}/edit"
    assert f'selected value="{world.donor_school.id}"' in client.get(url).text
    assert client.post(url, data={**data, "located_at": ""}).status_code == 303
    db.session.rollback()
    assert db.session.get_one(Holder, place.id).located_at_id is None


def test_a_road_is_measured_in_place(world: World, sign_in: SignIn) -> None:
    one, other = world.donor_school.id, world.recipient_school.id
    client = sign_in(world.methodist)
    url = f"/roads/{one}/{other}"
    row = client.post(url, data={f"to{other}-km": "17,5"}, headers=HTMX)
    assert row.status_code == 200
    assert row.text.count("<tr") == 1
    assert f'id="road-{one}-{other}"' in row.text
    assert "17,5" in row.text
    assert "Расстояние сохранено" in row.text
    assert "<b>17,5</b>" in client.get("/roads").text
    wrong = client.post(url, data={f"to{other}-km": "далеко"}, headers=HTMX)
    assert wrong.status_code == 422
    assert 'value="далеко"' in wrong.text
    whole = client.post(url, data={f"to{other}-km": "далеко"})
    assert whole.status_code == 422
    assert "<html" in whole.text
    assert 'value="далеко"' in whole.text
    assert client.post(url, data={f"to{other}-km": ""}).status_code == 303
    assert "≈35" in client.get("/roads").text


def test_others_see_the_roads_and_change_nothing(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.donor)
    one, other = world.donor_school.id, world.recipient_school.id
    assert "<input" not in client.get(f"/roads/{one}").text.partition("<main")[2].partition("</main")[0]
    assert client.post(f"/roads/{one}/{other}", data={f"to{other}-km": "1"}).status_code == 403
    assert client.post(f"/roads/{one}/{other}", data={f"to{other}-km": "x"}).status_code == 403


def test_the_journal_is_filtered(world: World, sign_in: SignIn, clock: FrozenClock) -> None:
    newcomer(world, clock)
    client = sign_in(world.methodist)
    assert "Приглашение: Новая Тестовая" in client.get("/journal").text
    for query, seen in (
        ("subject=invitation", True),
        ("subject=transfer", False),
        (f"who={world.methodist.id}", True),
        (f"who={world.donor.id}", False),
        ("since=14.09.2026&until=14.09.2026", True),
        ("since=15.09.2026", False),
        ("until=13.09.2026", False),
    ):
        text = client.get(f"/journal?{query}", headers=HTMX).text
        assert ("Новая Тестовая" in text) is seen, query
    wrong = client.get("/journal?since=вчера")
    assert wrong.status_code == 422
    assert 'value="вчера"' in wrong.text


@pytest.mark.parametrize("url", ["/people", "/schools", "/roads", "/journal"])
def test_a_list_asks_the_database_as_often_for_many_rows_as_for_few(
    world: World, sign_in: SignIn, clock: FrozenClock, url: str
) -> None:
    few = queries_of(sign_in(world.methodist), url)
    with unit_of_work():
        for number in range(15):
            school = services.save_school(
                None,
                name=f"Школа {number}",
                short_name=f"Школа {number}",
                settlement="",
                inn="",
                kpp="",
                km_to_centre=number,
                by=world.methodist,
                clock=clock,
            )
            services.make_user(
                district_id=world.district.id,
                login=f"person{number}",
                full_name="Некто",
                password_hash="-",
                role=Role.DIRECTOR,
                school_id=school.id,
                clock=clock,
            )
            services.invite(
                role=Role.LIBRARIAN, school=school, full_name="", days=1, by=world.methodist, clock=clock
            )
    many = queries_of(sign_in(world.methodist), url)
    assert many <= few
    assert many <= 8


def queries_of(client: FlaskClient, url: str) -> int:
    seen: list[str] = []
    db.session.rollback()

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", count)
    try:
        assert client.get(url).status_code == 200
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", count)
    return sum(statement.lstrip().upper().startswith("SELECT") for statement in seen)


def test_every_subject_of_the_journal_has_a_title(app: Portal) -> None:
    """What services record must be known to the journal's filter."""
    from pathlib import Path

    code = "".join(path.read_text() for path in Path("exchange").rglob("*.py"))
    recorded = set(re.findall(r'journal\.record\(\s*"([a-z_]+)"', code))
    assert recorded
    assert recorded <= SUBJECTS.keys()


def test_every_subject_leads_to_a_page_that_is_there(app: Portal) -> None:
    for name, subject in SUBJECTS.items():
        if subject.endpoint is not None:
            assert subject.endpoint in app.view_functions, name
            with app.test_request_context():
                assert url_of(name, 1)
