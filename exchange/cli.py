"""``flask exchange …``: what is done from the command line."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import flask_migrate
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask, current_app
from flask.cli import AppGroup

from exchange import mail, server
from exchange.catalog import importer
from exchange.catalog import services as catalog
from exchange.clock import Clock
from exchange.config import Settings
from exchange.db import db, in_unit, sqlite_module
from exchange.demo import season
from exchange.demo.district import PASSWORD as DEMO_PASSWORD
from exchange.errors import DomainError
from exchange.matching.rules import Result
from exchange.postings import services as postings
from exchange.regions import services as regions
from exchange.regions.importer import read_report
from exchange.regions.rules import Report, sums_of
from exchange.reserve import services as reserve
from exchange.schools import services as schools
from exchange.schools.models import District, User
from exchange.schools.rules import ROLE_NAMES, Role
from exchange.transfers import services as transfers
from exchange.web.unit import forget_old_keys

group = AppGroup("exchange", help="Commands of the textbook exchange.")


def init_cli(app: Flask) -> None:
    """Attach the commands."""
    app.cli.add_command(group)


def clock() -> Clock:
    """Return the application's clock."""
    result: Clock = current_app.extensions["clock"]
    return result


@group.command("init")
@click.option("--district", prompt="Район («Балахтинский район»)", help="Name of the district.")
@click.option("--office", prompt="Управление образования (полное название)", help="Its education office.")
@click.option("--region", prompt="Регион", help="The region it is in.")
@click.option("--timezone", prompt="Часовой пояс", default="Asia/Krasnoyarsk", help="IANA time zone.")
@click.option("--login", prompt="Логин первого методиста", help="Login of the first methodist.")
@click.option("--name", prompt="Фамилия, имя, отчество", help="Full name of the first methodist.")
@click.password_option("--password", prompt="Пароль", confirmation_prompt="Пароль ещё раз")
def init(
    district: str, office: str, region: str, timezone: str, login: str, name: str, password: str
) -> None:
    """Make a district and its first methodist, who invites everybody else."""
    try:
        password_hash = schools.hash_password(password)

        def work() -> None:
            made = schools.make_district(name=district, office=office, region=region, timezone=timezone)
            schools.make_user(
                district_id=made.id,
                login=login,
                full_name=name,
                password_hash=password_hash,
                role=Role.METHODIST,
                clock=clock(),
            )

        in_unit(work)
    except DomainError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Готово: {district}. Войдите на портал как «{login}».")


def settings() -> Settings:
    """Return the application's settings."""
    result: Settings = current_app.extensions["settings"]
    return result


@group.command("demo")
def make_demo() -> None:
    """Make the demo district, as it would stand today after a year of use."""
    password_hash = schools.hash_password(DEMO_PASSWORD)
    made = season.play(clock().now(), password_hash)
    click.echo(f"Готово: {made.name}. Пароль у всех: {DEMO_PASSWORD}")


@group.command("region")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--load", "name", help="Make a district of this name of the reports, to look around in.")
@click.option("--login", default="region", show_default=True, help="Login of its methodist.")
@click.option("--timezone", default="Asia/Krasnoyarsk", show_default=True, help="IANA time zone.")
@click.option("--password", envvar="EXCHANGE_REGION_PASSWORD", help="Password of its methodist; asked for.")
def region(
    files: tuple[Path, ...], name: str | None, login: str, timezone: str, password: str | None
) -> None:
    """Read regional provision reports and try an exchange between their districts."""
    try:
        reports = []
        for path in files:
            with path.open("rb") as file:
                reports.append(read_report(file, path.name))
        for report in reports:
            _tell_report(report)
        found = regions.recognise(reports)
        _tell_recognised(found)
        _tell_exchange(regions.tried(found.stocks, clock=clock()))
        if name is None:
            return
        asked = password or click.prompt("Пароль методиста", hide_input=True, confirmation_prompt=True)
        password_hash = schools.hash_password(asked)
        printed = max((report.day for report in reports if report.day), default=clock().now().date()).year
        made = in_unit(
            lambda: regions.load(
                found.stocks,
                name=name,
                login=login,
                password_hash=password_hash,
                timezone=timezone,
                printed=printed,
                source=f"сводный отчёт: {', '.join(report.file for report in reports)}"[:500],
                posting_days=settings().posting_days,
                clock=clock(),
            )
        )
    except DomainError as error:
        raise click.ClickException(str(error)) from None
    click.echo(
        f"На доске излишков {made.offers}, заявок {made.requests}; не размещено, потому что пользоваться "
        f"учебником уже нельзя: {made.refused}."
    )
    click.echo(
        f"Готово: {name}. Год издания в отчётах не указан, записан {printed}. Войдите как «{login}» "
        f"(методист) или «{login}-1» (первая школа)."
    )


def _tell_report(report: Report) -> None:
    sums = sums_of(report.holdings)
    electronic = sum(each.electronic for each in report.holdings)
    disagree = sum(not each.agrees for each in report.holdings)
    day = f" на {report.day:%d.%m.%Y}" if report.day else ""
    click.echo(f"{report.file}: {report.region or 'регион не назван'}{day}")
    click.echo(
        f"  строк с учебниками {len(report.holdings)} (из них электронных {electronic}), заголовков "
        f"{report.headings}, итогов {report.totals}, не понято {len(report.left_aside)}"
    )
    if disagree:
        click.echo(f"  «К» или потребность не сходится с другими числами в строках: {disagree}")
    click.echo(
        f"  в наличии {sums.stock}, учащихся {sums.pupils}, не хватает {sums.missing}, лишних {sums.surplus}"
    )
    if sums.coverage is not None and sums.mean_ratio is not None:
        click.echo(f"  обеспеченность {sums.coverage:.1%}; средний «К» отчёта {sums.mean_ratio:.2f}")


def _tell_recognised(found: regions.Recognised) -> None:
    click.echo(
        f"Распознано строк: {found.sure} (у {found.by_pupils} класс назвало число учащихся); осталось "
        f"вопросов: {len(found.unclear)}. Например:"
    )
    for holding in found.unclear[:5]:
        click.echo(f"  {holding.title}")


def _tell_exchange(result: Result) -> None:
    wanted = sum(asked for _, _, asked in result.covered)
    click.echo(
        f"Обмен между ними закрыл бы {result.figures.sets} из {wanted} недостающих: перевозок "
        f"{result.figures.trips}. Сроки использования и дороги не учтены."
    )


@group.command("password")
@click.argument("login")
@click.password_option("--password", prompt="Новый пароль", confirmation_prompt="Новый пароль ещё раз")
def password(login: str, password: str) -> None:
    """Give LOGIN a new password and end its sessions: when no methodist can sign in any more."""
    try:
        password_hash = schools.hash_password(password)
        in_unit(lambda: schools.reset_password(login, password_hash=password_hash, clock=clock()))
    except DomainError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Пароль изменён: {login}.")


@group.command("mail")
@click.option("--digest", is_flag=True, help="Send the morning digests too.")
def deliver_mail(digest: bool) -> None:
    """Send the letters that wait: the urgent ones and, with --digest, the digest of the day.

    Meant to run every few minutes; safe to run twice at once.
    """
    _deliver(digest=digest)


@group.command("daily")
def daily() -> None:
    """Do what the new day asks for and send the digests. Meant to run once every morning."""
    refused = in_unit(lambda: len(transfers.expire(clock())))
    ended = in_unit(lambda: postings.expire(clock=clock()))
    reminded = in_unit(lambda: postings.remind(clock=clock()))
    in_unit(lambda: forget_old_keys(clock().now()))
    click.echo(f"Предложений без ответа: {refused}; вышел срок: {ended}; напомнено о сроке: {reminded}.")
    _deliver(digest=True)


def _deliver(*, digest: bool) -> None:
    try:
        transport = mail.transport_for(settings())
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    report = mail.deliver(transport=transport, settings=settings(), clock=clock(), digest=digest)
    click.echo(f"Писем отправлено: {report.sent}.")
    if report.refused:
        click.echo(f"Не принято почтовым сервером: {report.refused}.", err=True)
    if report.without_address:
        click.echo(f"Нет адреса: {', '.join(report.without_address)}.", err=True)
    if report.unreachable:
        raise click.ClickException(f"Почтовый сервер недоступен: {report.unreachable}")


@group.command("prepare")
@click.option("--demo/--empty", default=False, help="What to do with a server that has no district yet.")
@click.pass_context
def prepare(context: click.Context, demo: bool) -> None:
    """Bring the database up to date and, when it has no district, make the demo one or ask for a real one."""
    if _behind():
        click.echo("Обновляю базу данных…")
        flask_migrate.upgrade()
    if db.session.scalar(sa.select(District.id).limit(1)) is not None:
        return
    if demo:
        click.echo("Создаю демонстрационный район (около минуты)…")
        try:
            context.invoke(make_demo)
        except BaseException:
            # Half a season would look like a district: the next start must find none.
            db.session.rollback()
            flask_migrate.downgrade(revision="base")
            raise
    elif sys.stdin.isatty():
        click.echo("На портале ещё нет района. Ответьте на несколько вопросов (Ctrl-C – отменить).")
        init.main([], prog_name="flask exchange init", standalone_mode=False)
    else:
        click.echo("На портале ещё нет района. Заведите его: .venv/bin/flask --app app exchange init")


def _behind() -> bool:
    """Say whether migrations wait to be run."""
    folder = current_app.extensions["migrate"].directory
    with db.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_heads()
    return set(present) != set(ScriptDirectory(folder).get_heads())


@group.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Copy the SQLite database to FILE while the portal runs; an older FILE is replaced once that is done."""
    source = db.engine.url.database
    if db.engine.dialect.name != "sqlite" or source is None:
        raise click.ClickException("Это не SQLite: для PostgreSQL есть pg_dump.")
    sqlite = sqlite_module()
    unfinished = file.with_name(f"{file.name}.part")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite.connect(source)) as original, closing(sqlite.connect(unfinished)) as copy:
        original.backup(copy)
    unfinished.replace(file)
    click.echo(f"Скопировано: {file}, {file.stat().st_size / 1024 / 1024:.1f} МБ.")


@group.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, help="Port; the next free one when it is taken.")
def serve(host: str, port: int) -> None:
    """Run the portal until Ctrl-C or SIGTERM; requests in flight are finished."""
    if _behind():
        raise click.ClickException("База данных не обновлена. Выполните: flask --app app db upgrade")
    try:
        listening, got = server.listen_on(host, port)
    except OSError as error:
        raise click.ClickException(f"Не получается слушать {host}:{port}: {error.strerror}.") from None
    if port not in {0, got}:
        click.echo(f"Порт {port} занят, беру {got}.")
    people = _demo_people()
    db.session.remove()

    def ready() -> None:
        click.echo(f"\nПортал работает: http://{f'[{host}]' if ':' in host else host}:{got}/")
        for line in people:
            click.echo(line)
        click.echo("Остановить: Ctrl-C")

    app: Any = current_app
    finished = server.serve(
        app._get_current_object(), listening, largest_body=app.config["MAX_CONTENT_LENGTH"], ready=ready
    )
    app.extensions["run_executor"].shutdown(cancel_futures=True)
    if not finished:
        raise click.ClickException("Остановлен, но не все запросы успели закончиться.")
    click.echo("Остановлен.")


def _demo_people() -> list[str]:
    """Return lines that say how to sign in to a demo district: nothing for a real one."""
    everybody = db.session.scalars(
        sa.select(User)
        .join(District)
        .where(District.is_demo.is_(True), User.active.is_(True))
        .order_by(User.id)
    ).all()
    if not everybody:
        return []
    schools_of = sorted({user.school.id for user in everybody if user.school is not None})
    # A large school in the town and a small one in a village stand for all.
    shown = {None, *schools_of[:1], *schools_of[-1:]}
    people = [user for user in everybody if (user.school.id if user.school else None) in shown]
    width = max(len(user.login) for user in people)
    return [
        "",
        f"Войти можно так (пароль у всех: {DEMO_PASSWORD}):",
        *(
            f"  {user.login:<{width}}  {ROLE_NAMES[user.memberships[0].role]}"
            f"{f', {user.school.short_name}' if user.school else ''}"
            for user in people
        ),
        "Люди остальных школ – на странице «Люди» у методиста.",
        "",
    ]


@group.command("verify")
def verify() -> None:
    """Derive every running number anew from ledger and transfers; report differences, repair nothing."""
    mismatches = reserve.audit()
    for mismatch in mismatches:
        click.echo(str(mismatch))
    if mismatches:
        raise click.ClickException(f"Книги не сходятся: расхождений {len(mismatches)}.")
    click.echo("Книги сходятся.")


_DAY = click.DateTime(["%d.%m.%Y", "%Y-%m-%d"])


@group.command("import-list")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--order", required=True, help="Number of the order: 858.")
@click.option("--edition", default="", help="Number of the amending order whose changes are in: 119.")
@click.option("--in-force-from", required=True, type=_DAY, help="Its first day in force, дд.мм.гггг.")
@click.option("--signed-on", type=_DAY, help="The day it was signed, дд.мм.гггг.")
@click.option("--dry-run", is_flag=True, help="Only report what would change.")
def import_list(
    file: Path, order: str, edition: str, in_force_from: datetime, signed_on: datetime | None, dry_run: bool
) -> None:
    """Load a federal list from FILE (XLSX, XLS, ODS, DOCX or CSV) and print what changed, row by row."""
    try:
        plan = catalog.plan_import(
            file,
            order=order,
            edition=edition,
            in_force_from=in_force_from.date(),
            signed_on=signed_on.date() if signed_on else None,
        )
        for what, sheet, row, *details in plan.table:
            place = f"строка {row}" if row else ""
            click.echo(" · ".join(text for text in (what, sheet, place, *details) if text))
        if not dry_run:
            in_unit(lambda: catalog.apply_import(plan, by=None, clock=clock()))
    except DomainError as error:
        raise click.ClickException(str(error)) from None
    accounted = plan.parsed.accounted
    click.echo(
        f"Строк в файле: {plan.parsed.rows_read}, учебников: {accounted[importer.Outcome.IMPORTED]}, "
        f"пропущено с указанием причины: {accounted[importer.Outcome.LISTED]}."
    )
    counts = plan.counts
    click.echo(
        f"Новых: {counts['new']}, изменённых: {counts['changed']}, без изменений: {counts['unchanged']}, "
        f"выбывших: {counts['excluded']}, проверить: {counts['doubtful']}."
    )
    click.echo("Это проверка: ничего не записано." if dry_run else "Перечень загружен.")
