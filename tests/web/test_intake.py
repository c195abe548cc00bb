"""Pages of imports: bringing a file, reviewing, writing, undoing; fragments, wrong people, wrong moments."""

from __future__ import annotations

import io
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from exchange.catalog.models import Textbook
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.intake import services
from exchange.intake.models import Intake, IntakeRow
from exchange.intake.rules import IntakeState, Outcome
from exchange.web.unit import Portal
from tests import counting
from tests.conftest import SignIn
from tests.factories import World
from tests.intake_world import HEADER, line, make_books, rows_of, shelf_of, workbook

HTMX = {"HX-Request": "true"}

TABLE = workbook(
    [
        ["Учебный фонд школы"],
        HEADER,
        line("Перышкин И.М., Иванов А.И.", "Физика", 7, 2023, 25, 2),
        line("Перышкин И.М., Иванов А.И.", "Физика", "", 2023, 30),
        line("Моро М.И., Волкова С.И.", "Математика", 1, 2022, 12),
        line("Перышкин И.М., Иванов А.И.", "Физика", 8, "", 20),
        line("Перышкин И.М., Иванов А.И.", "Физика", 8, 2023, "много"),
        line("", "Атлас по географии 7 класс", 7, 2022, 30),
    ]
)


@pytest.fixture
def books(world: World) -> dict[str, Textbook]:
    return make_books()


@pytest.fixture
def librarian(world: World, sign_in: SignIn) -> FlaskClient:
    return sign_in(world.donor)


def bring(client: FlaskClient, content: bytes = TABLE, name: str = "фонд.xlsx", **form: Any) -> TestResponse:
    return client.post("/intake/bring", data={"file": (io.BytesIO(content), name), **form})


def brought(client: FlaskClient, content: bytes = TABLE) -> Intake:
    answer = bring(client, content)
    assert answer.status_code == 303, answer.text
    db.session.rollback()
    return db.session.scalars(sa.select(Intake).order_by(Intake.id.desc()).limit(1)).one()


def row_with(intake: Intake, outcome: Outcome) -> IntakeRow:
    return db.session.scalars(
        sa.select(IntakeRow)
        .where(IntakeRow.intake_id == intake.id, IntakeRow.outcome == outcome)
        .order_by(IntakeRow.id)
    ).first()


def test_a_file_is_read_reviewed_and_written(
    world: World, books: dict[str, Textbook], librarian: FlaskClient
) -> None:
    intake = brought(librarian)
    shown = librarian.get(f"/intake/{intake.id}")
    assert shown.status_code == 200
    assert "Что понято из столбцов" in shown.text
    assert "Подтвердите 3" in shown.text
    summary = librarian.get(f"/intake/{intake.id}/summary")
    assert "ждут ответа и записаны не будут" in summary.text
    answer = librarian.post(f"/intake/{intake.id}/apply", data={"_version": str(intake.version)})
    assert answer.status_code == 303
    assert shelf_of(world.donor_school) == {(books["physics"].id, 2023, 1): 25}
    after = librarian.get(f"/intake/{intake.id}")
    assert "Записан на полку" in after.text


def test_answers_come_back_as_the_rows_anew(
    world: World, books: dict[str, Textbook], librarian: FlaskClient
) -> None:
    intake = brought(librarian)
    row = row_with(intake, Outcome.TO_CONFIRM)
    answer = librarian.post(
        f"/intake/{intake.id}/rows/{row.id}/answer?show=to_confirm",
        data={"answer": f"book-{books['physics 8'].id}"},
        headers=HTMX,
    )
    assert answer.status_code == 200
    assert 'id="review"' in answer.text
    assert "<html" not in answer.text
    db.session.rollback()
    assert db.session.get_one(IntakeRow, row.id).outcome is Outcome.RECOGNISED
    back = librarian.post(f"/intake/{intake.id}/rows/{row.id}/answer", data={"answer": "undo"})
    assert back.status_code == 303
    db.session.rollback()
    assert db.session.get_one(IntakeRow, row.id).outcome is Outcome.TO_CONFIRM


def test_the_year_is_written_down_before_the_count(
    world: World, books: dict[str, Textbook], librarian: FlaskClient
) -> None:
    intake = brought(librarian, workbook([HEADER, line("Перышкин И.М., Иванов А.И.", "Физика", 8, "", "-3")]))
    row = row_with(intake, Outcome.ERROR)
    url = f"/intake/{intake.id}/rows/{row.id}/answer"
    assert librarian.post(url, data={"answer": "year", "year": "2019"}).status_code == 303
    db.session.rollback()
    row = db.session.get_one(IntakeRow, row.id)
    assert (row.outcome, row.year, row.copies) == (Outcome.ERROR, 2019, None)
    assert librarian.post(url, data={"answer": "copies", "copies": "3"}).status_code == 303
    db.session.rollback()
    row = db.session.get_one(IntakeRow, row.id)
    assert (row.outcome, row.year, row.copies) == (Outcome.RECOGNISED, 2019, 3)


def test_rows_left_without_an_answer_are_told_of(
    world: World, books: dict[str, Textbook], librarian: FlaskClient
) -> None:
    intake = brought(librarian)
    librarian.post(f"/intake/{intake.id}/apply", data={"_version": str(intake.version)})
    assert "без ответа не записан" in librarian.get(f"/intake/{intake.id}").text


def test_an_empty_shelf_and_the_methodist_find_the_way_here(world: World, sign_in: SignIn) -> None:
    assert "Загрузить таблицу из файла" in sign_in(world.donor).get("/shelf", follow_redirects=True).text
    assert "Загрузка из файла" in sign_in(world.methodist).get("/shelf").text
    assert "Загрузка из файла" not in sign_in(world.donor_director).get("/shelf", follow_redirects=True).text


def test_one_year_for_all_rows_without_one(
    world: World, books: dict[str, Textbook], librarian: FlaskClient
) -> None:
    intake = brought(librarian)
    assert librarian.post(f"/intake/{intake.id}/year", data={"year": "2019"}).status_code == 303
    assert librarian.post(f"/intake/{intake.id}/year", data={"year": "1900"}).status_code == 422
    assert "взят для всего файла" in librarian.get(f"/intake/{intake.id}?show=recognised").text


def test_a_column_is_corrected_and_remembered(
    world: World, books: dict[str, Textbook], librarian: FlaskClient
) -> None:
    intake = brought(librarian)
    answer = librarian.post(
        f"/intake/{intake.id}/columns/0",
        data={"role-7": "other", "used": "1", "_version": str(intake.version)},
    )
    assert answer.status_code == 303
    db.session.rollback()
    again = db.session.get_one(Intake, intake.id)
    assert again.state is IntakeState.REVIEW
    assert row_with(again, Outcome.RECOGNISED).worn is None
    second = brought(librarian)
    assert "как в прошлый раз" in librarian.get(f"/intake/{second.id}").text


def test_a_row_has_its_own_page_with_search_and_numbers(
    world: World, books: dict[str, Textbook], librarian: FlaskClient
) -> None:
    intake = brought(librarian)
    row = row_with(intake, Outcome.ERROR)
    page = librarian.get(f"/intake/{intake.id}/rows/{row.id}")
    assert "много" in page.text
    found = librarian.get(f"/intake/{intake.id}/rows/{row.id}?q=геометрия", headers=HTMX)
    assert "Это она" in found.text
    assert "<html" not in found.text
    wrong = librarian.post(
        f"/intake/{intake.id}/rows/{row.id}/numbers", data={"copies": "полно", "worn": "3", "year": "2020"}
    )
    assert wrong.status_code == 422
    assert "полно" in wrong.text
    right = librarian.post(
        f"/intake/{intake.id}/rows/{row.id}/numbers", data={"copies": "12", "worn": "", "year": "2020"}
    )
    assert right.status_code == 303
    db.session.rollback()
    assert db.session.get_one(IntakeRow, row.id).copies == 12


def test_numbers_are_typed_beside_the_row(
    world: World, books: dict[str, Textbook], librarian: FlaskClient
) -> None:
    intake = brought(librarian)
    row = row_with(intake, Outcome.ERROR)
    address = f"/intake/{intake.id}/rows/{row.id}/answer?show=error"
    wrong = librarian.post(address, data={"answer": "copies", "copies": "полно"}, headers=HTMX)
    assert wrong.status_code == 422
    assert librarian.post(address, data={"answer": "copies", "copies": "12"}, headers=HTMX).status_code == 200
    db.session.rollback()
    assert db.session.get_one(IntakeRow, row.id).outcome is Outcome.RECOGNISED
    without_year = next(
        each for each in rows_of(intake) if "year" in each.remark.get("questions", []) and each.textbook_id
    )
    librarian.post(
        f"/intake/{intake.id}/rows/{without_year.id}/answer", data={"answer": "year", "year": "2020"}
    )
    db.session.rollback()
    assert db.session.get_one(IntakeRow, without_year.id).year == 2020


@pytest.mark.parametrize("page", ["?show=all", "?show=to_confirm", "/summary"])
def test_pages_ask_few_questions_of_the_database(
    world: World, books: dict[str, Textbook], librarian: FlaskClient, page: str
) -> None:
    """As many with 120 rows as with 6, and never more than eight."""

    def queries(intake: Intake) -> int:
        with counting.count_queries() as seen:
            assert librarian.get(f"/intake/{intake.id}{page}").status_code == 200
        return len(seen)

    many = workbook(
        [HEADER]
        + [line("Перышкин И.М., Иванов А.И.", "Физика", 7, 2000 + n % 25, n) for n in range(60)]
        + [line("Перышкин И.М.", "Физика", "", 2000 + n % 25, n) for n in range(60)]
    )
    few, lots = queries(brought(librarian)), queries(brought(librarian, many))
    assert few == lots
    assert lots <= 8


def test_nothing_chosen_is_said_at_the_field(world: World, librarian: FlaskClient) -> None:
    answer = librarian.post("/intake/bring", data={}, headers=HTMX)
    assert answer.status_code == 422
    assert "Выберите файл" in answer.text


def test_a_pasted_table_is_read(world: World, books: dict[str, Textbook], librarian: FlaskClient) -> None:
    text = "Автор\tНаименование\tКласс\tГод\tКоличество\nПерышкин И.М.\tФизика\t7\t2023\t25\n"
    answer = librarian.post("/intake/bring", data={"text": text})
    assert answer.status_code == 303
    assert "Распознано 1" in librarian.get(answer.headers["Location"]).text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"%PDF-1.7 nothing", "PDF"),
        (b"PK\x03\x04 broken", "Файл"),
        (b"\x89PNG\r\n", "изображение"),
        (b"", "Файл"),
    ],
)
def test_what_is_no_table_is_answered_by_a_sentence(
    world: World, librarian: FlaskClient, content: bytes, sentence: str
) -> None:
    intake = brought(librarian, content)
    shown = librarian.get(f"/intake/{intake.id}")
    assert shown.status_code == 200
    assert intake.state is IntakeState.FAILED
    assert sentence in shown.text
    assert "Выбрать другой файл" in shown.text


def test_other_schools_see_nothing(
    world: World, books: dict[str, Textbook], librarian: FlaskClient, sign_in: SignIn
) -> None:
    intake = brought(librarian)
    stranger = sign_in(world.stranger)
    assert stranger.get(f"/intake/{intake.id}").status_code == 404
    assert stranger.post(f"/intake/{intake.id}/apply").status_code == 404
    methodist = sign_in(world.methodist)
    assert methodist.get(f"/intake/{intake.id}").status_code == 200
    assert methodist.post(f"/intake/{intake.id}/apply").status_code == 403


def test_the_wrong_moment_is_said(world: World, books: dict[str, Textbook], librarian: FlaskClient) -> None:
    intake = brought(librarian)
    assert librarian.post(f"/intake/{intake.id}/undo").status_code == 409
    assert librarian.post(f"/intake/{intake.id}/apply", data={"_version": "0"}).status_code == 409
    assert librarian.post(f"/intake/{intake.id}/discard").status_code == 303
    row = row_with(intake, Outcome.TO_CONFIRM)
    late = librarian.post(f"/intake/{intake.id}/rows/{row.id}/answer", data={"answer": "skip"})
    assert late.status_code == 409
    assert "не понадобился" in late.text


def test_the_methodist_brings_a_table_of_the_fund(
    world: World, books: dict[str, Textbook], sign_in: SignIn
) -> None:
    methodist = sign_in(world.methodist)
    assert bring(methodist, holder=str(world.fund.id)).status_code == 303
    db.session.rollback()
    assert db.session.scalars(sa.select(Intake)).one().holder_id == world.fund.id


def test_the_rows_are_a_file_too(world: World, books: dict[str, Textbook], librarian: FlaskClient) -> None:
    intake = brought(librarian)
    answer = librarian.get(f"/intake/{intake.id}?show=all&format=csv")
    assert answer.status_code == 200
    assert "много" in answer.get_data().decode("utf-8-sig")


def test_the_list_of_imports(world: World, books: dict[str, Textbook], librarian: FlaskClient) -> None:
    assert "ещё не загружали" in librarian.get("/intake").text
    brought(librarian)
    page = librarian.get("/intake")
    assert "на сверке" in page.text
    assert "фонд.xlsx" in page.text


def test_a_file_sent_twice_by_one_form_is_one_import(
    world: World, books: dict[str, Textbook], librarian: FlaskClient
) -> None:
    """Without JavaScript a second press of the button sends the form again."""
    first, second = (bring(librarian, _key="one-form") for _ in range(2))
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.location == second.location
    db.session.rollback()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Intake)) == 1
    assert bring(librarian, _key="another").location != first.location


def test_the_content_of_a_reading_that_died_does_not_stay_on_the_disk(
    app: Portal, world: World, clock: FrozenClock, books: dict[str, Textbook], librarian: FlaskClient
) -> None:
    folder = app.extensions["settings"].instance / "uploads"
    with unit_of_work():
        dead = services.start(holder=world.donor_school, file="фонд.xlsx", by=world.donor, clock=clock)
        dead_id, run_id = dead.id, dead.run_id
    folder.mkdir(exist_ok=True)
    path = services.upload_path(folder, run_id)
    path.write_bytes(TABLE)
    brought(librarian)
    assert path.exists()
    clock.advance(hours=1)
    assert librarian.post(f"/intake/{dead_id}/revive").status_code == 303
    brought(librarian)
    assert list(folder.iterdir()) == []
