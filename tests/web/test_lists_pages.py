"""Uploading a federal list: check, report, load, cancel; who may, and what is refused."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import openpyxl
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from exchange import runs
from exchange.catalog import services
from exchange.catalog.models import FederalList, ListEntry, Textbook
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from tests.conftest import SignIn
from tests.counting import count_queries
from tests.factories import World

HTMX = {"HX-Request": "true"}
HEADER = "Приложение;Номер;Предмет;Название;Авторы;Класс;Частей;Издательство;Срок"
ONE = "1;1.1.1.1.1.1.2;Русский язык;Русский язык;Канакина В.П.;2;2;Просвещение;25.04.2027"
TWO = "2;1.1.2.5.1.7.1;Физика;Физика;Пёрышкин А.В.;7;1;Дрофа;31.08.2027"
BAD = "1;1.1..2.5.1.7.2;Физика;Физика;Пёрышкин А.В.;8;1;Дрофа;31.08.2027"


def send(client: FlaskClient, *rows: str, content: bytes | None = None, **fields: str) -> TestResponse:
    content = content if content is not None else "\n".join([HEADER, *rows]).encode()
    return client.post(
        "/lists/import",
        data={
            "file": (io.BytesIO(content), fields.pop("name", "перечень.csv")),
            "order": "858",
            "edition": "119",
            "in_force_from": "01.09.2023",
            **fields,
        },
        headers=fields.pop("headers", {}),
    )


@pytest.fixture
def methodist(world: World, sign_in: SignIn) -> FlaskClient:
    return sign_in(world.methodist)


def test_check_then_load(methodist: FlaskClient, world: World) -> None:
    answer = send(methodist, ONE, TWO, BAD)
    assert answer.status_code == 303
    report = methodist.get(answer.location)
    assert report.status_code == 200
    assert "Пока ничего не изменено" in report.text
    assert "лишняя точка" in report.text
    assert db.session.query(Textbook).count() == 0
    loaded = methodist.post(f"{answer.location}/load")
    assert loaded.status_code == 303
    assert "Перечень загружен" in methodist.get(loaded.location).text
    assert db.session.query(ListEntry).count() == 3
    assert db.session.query(FederalList).one().loaded_by_id == world.methodist.id
    again = methodist.post(f"{answer.location}/load")
    assert again.location == loaded.location
    assert "уже отдан на загрузку" in methodist.get(answer.location).text
    lists = methodist.get("/lists").text
    assert "858" in lists
    assert "действует" in lists


def test_the_report_by_kind_and_as_a_file(methodist: FlaskClient) -> None:
    where = send(methodist, ONE, TWO, BAD).location
    doubtful = methodist.get(f"{where}?kind=doubtful").text
    assert "лишняя точка" in doubtful
    assert "Канакина" not in doubtful
    sheet = openpyxl.load_workbook(io.BytesIO(methodist.get(f"{where}?format=xlsx").data)).active
    kinds = [row[0] for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert kinds.count("новый") == 3
    assert kinds.count("проверить") == 1
    assert "новый" in methodist.get(f"{where}?format=csv&kind=new").data.decode("utf-8-sig")


def test_the_page_of_a_run_is_polled_until_its_end(methodist: FlaskClient, world: World, clock) -> None:
    with unit_of_work():
        run = services.enter_check(
            file="перечень.csv", order="858", edition="", in_force_from=clock.now().date(),
            signed_on=None, by=world.methodist, clock=clock,
        )  # fmt: skip
        run_id = run.id
    live = methodist.get(f"/lists/runs/{run_id}", headers=HTMX)
    assert live.status_code == 200
    assert 'hx-trigger="every 2s"' in live.text
    assert "Обновить" in live.text
    assert methodist.post(f"/lists/runs/{run_id}/load").status_code == 409
    runs.submit(run_id)
    db.session.rollback()
    ended = methodist.get(f"/lists/runs/{run_id}", headers=HTMX)
    assert ended.status_code == 286
    assert "every 2s" not in ended.text
    assert "файла больше нет" in ended.text
    assert methodist.get(f"/lists/runs/{run_id}").status_code == 200


def test_a_run_that_died_says_so(methodist: FlaskClient, world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        run = services.enter_check(
            file="перечень.csv", order="858", edition="", in_force_from=clock.now().date(),
            signed_on=None, by=world.methodist, clock=clock,
        )  # fmt: skip
        run_id = run.id
    clock.advance(minutes=11)
    page = methodist.get(f"/lists/runs/{run_id}").text
    assert "прервалась" in page
    assert "every 2s" not in page


def test_a_cancelled_check_cannot_be_loaded(methodist: FlaskClient) -> None:
    where = send(methodist, ONE).location
    assert methodist.post(f"{where}/cancel").status_code == 303
    assert methodist.post(f"{where}/load").status_code == 409
    assert "отменена" in methodist.get(where).text
    assert db.session.query(ListEntry).count() == 0


def test_a_loaded_check_cannot_be_cancelled(methodist: FlaskClient) -> None:
    where = send(methodist, ONE).location
    methodist.post(f"{where}/load")
    assert methodist.post(f"{where}/cancel").status_code == 409


def test_what_somebody_else_loaded_meanwhile_is_not_overwritten(methodist: FlaskClient) -> None:
    mine = send(methodist, ONE, TWO).location
    other = send(methodist, ONE).location
    methodist.post(f"{other}/load")
    loaded = methodist.post(f"{mine}/load").location
    assert "Проверьте файл ещё раз" in methodist.get(loaded).text
    assert db.session.query(ListEntry).count() == 1


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_an_incomplete_form_comes_back_as_typed(methodist: FlaskClient, headers: dict[str, str]) -> None:
    answer = methodist.post(
        "/lists/import",
        data={"order": "8 пятьдесят", "edition": "1" * 30, "in_force_from": "завтра"},
        headers=headers,
    )
    assert answer.status_code == 422
    assert ("<html" in answer.text) is not bool(headers)
    assert 'value="8 пятьдесят"' in answer.text
    assert 'value="завтра"' in answer.text
    assert "Выберите файл" in answer.text
    assert "Дата не понята" in answer.text
    assert "Не длиннее 20" in answer.text
    assert db.session.query(runs.Run).count() == 0


def bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", b" " * 60_000_000)
    return packed.getvalue()


def formulas() -> bytes:
    book = openpyxl.Workbook()
    for row in (HEADER.split(";"), ["1", "1.1.1.1.1.1.1", "Физика", "=1+1", "Автор А.А.", "7", "1", "Д", ""]):
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"%PDF-1.7 ...", "формате PDF"),
        (b"\x00\x01\x02\x03" * 100, "не читается как таблица"),
        (b"", "не читается как таблица"),
        (b"<html><script>alert(1)</script></html>", "не читается как таблица"),
        (bomb(), "устроен подозрительно"),
        (formulas(), "есть формулы"),
    ],
    ids=["pdf", "binary", "empty", "html", "bomb", "formulas"],
)
def test_a_hostile_file_is_refused_with_a_sentence(
    methodist: FlaskClient, content: bytes, sentence: str
) -> None:
    answer = send(methodist, content=content, name='<img src="x">.xlsx')
    page = methodist.get(answer.location)
    assert sentence in page.text
    assert "<img" not in page.text
    assert db.session.query(ListEntry).count() == 0
    assert methodist.post(f"{answer.location}/load").status_code == 409


def test_a_huge_file_is_refused_unread(methodist: FlaskClient) -> None:
    size = 21 * 1024 * 1024
    answer = methodist.post(
        "/lists/import",
        input_stream=io.BytesIO(b"x" * size),
        content_length=size,
        content_type="multipart/form-data; boundary=b",
    )
    assert answer.status_code == 413
    assert db.session.query(runs.Run).count() == 0


def test_the_name_of_a_file_is_no_path(methodist: FlaskClient, tmp_path: Path) -> None:
    where = send(methodist, ONE, name="../../../evil.csv").location
    kept = sorted(path.name for path in (tmp_path / "uploads").iterdir())
    assert kept == [where.rpartition("/")[2]]


def test_two_lists_from_one_day_are_refused(methodist: FlaskClient) -> None:
    first = send(methodist, ONE).location
    methodist.post(f"{first}/load")
    second = send(methodist, ONE, order="769", edition="").location
    assert "уже действует перечень 858/119" in methodist.get(second).text


def test_only_the_methodist_loads(world: World, sign_in: SignIn) -> None:
    where = send(sign_in(world.methodist), ONE).location
    for who in (world.donor, world.donor_director, world.head, world.administrator):
        client = sign_in(who)
        assert client.get("/lists/import").status_code == 403
        assert send(client, ONE).status_code == 403
        assert client.get(where).status_code == 403
        assert client.post(f"{where}/load").status_code == 403
        assert client.post(f"{where}/cancel").status_code == 403
        page = client.get("/lists")
        assert page.status_code == 200
        assert "/lists/runs/" not in page.text
    outsider = sign_in(world.outsider)
    assert outsider.get(where).status_code == 404
    assert outsider.post(f"{where}/load").status_code == 404
    assert outsider.post(f"{where}/cancel").status_code == 404
    assert db.session.query(ListEntry).count() == 0


def test_lists_have_few_queries(methodist: FlaskClient, world: World, clock: FrozenClock) -> None:
    with unit_of_work():
        services.load_demo_lists(by=world.methodist, clock=clock)
    where = send(methodist, ONE).location
    for address in ("/lists", where):
        with count_queries() as queries:
            assert methodist.get(address).status_code == 200
        assert len(queries) <= 8


def test_the_command_line(app, world: World, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("\n".join([HEADER, ONE, BAD]), encoding="utf-8")
    words = ["exchange", "import-list", str(path), "--order", "858", "--in-force-from", "01.09.2023"]
    runner = app.test_cli_runner()
    dry = runner.invoke(args=[*words, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "лишняя точка" in dry.output
    assert re.search(r"Новых: 2\b", dry.output)
    assert db.session.query(ListEntry).count() == 0
    assert runner.invoke(args=words).exit_code == 0
    db.session.rollback()
    assert db.session.query(ListEntry).count() == 2
    assert "без изменений: 2" in runner.invoke(args=words).output
    path.write_text("ничего", encoding="utf-8")
    refused = runner.invoke(args=words)
    assert refused.exit_code == 1
    assert "не нашлась шапка" in refused.output
