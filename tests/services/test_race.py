"""Two processes and the last copies: one has them, the other is told so."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import sqlalchemy as sa

from exchange import runs
from exchange.approved import services as approved
from exchange.approved.models import ApprovedList
from exchange.approved.rules import ListState, Use
from exchange.classes import services as classes
from exchange.clock import FrozenClock
from exchange.db import db, unit_of_work
from exchange.intake.models import Intake
from exchange.intake.rules import IntakeState
from exchange.ledger import services as ledger
from exchange.ledger.models import Balance, Movement
from exchange.matching.models import Plan, PlanState
from exchange.postings.models import Offer
from exchange.runs import Run, RunState
from exchange.schools import services as schools
from exchange.schools.models import Holder, User
from exchange.schools.rules import Role
from exchange.transfers import services
from exchange.transfers.models import Transfer, TransferLine
from exchange.transfers.rules import PROMISING, Kind
from exchange.web.unit import Portal
from tests.factories import PASSWORD_HASH, World
from tests.intake_world import bring, shelf_of, text_table
from tests.plans_world import Town
from tests.postings_world import make_edition, make_textbook, offer_of, put_on_shelf
from tests.services import race_worker

ROUNDS = 15


def race(
    app: Portal,
    folder: Path,
    job: str,
    people: tuple[User, User],
    targets: tuple[list[int], list[int]],
    *,
    unguarded: bool = False,
) -> list[tuple[str, str]]:
    """Let two processes do the job at once, target by target; return the pairs of what came of it."""
    url = app.config["SQLALCHEMY_DATABASE_URI"]
    ids = [person.id for person in people]
    db.session.rollback()
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(2)
    queues = [spawn.SimpleQueue(), spawn.SimpleQueue()]
    processes = [
        spawn.Process(
            target=race_worker.run,
            args=(str(folder), url, job, person, wanted, start, answers, unguarded),
        )
        for person, wanted, answers in zip(ids, targets, queues, strict=True)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        if process.is_alive():
            process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = (answers.get() for answers in queues)
    return list(zip(first, second, strict=True))


def rivals(world: World, clock: FrozenClock, rounds: int) -> tuple[list[int], list[int]]:
    """Two proposals a round, of two schools, for the same three last copies of the fund."""
    wanted: tuple[list[int], list[int]] = ([], [])
    sides: list[tuple[Holder, User]] = [
        (world.recipient_school, world.recipient),
        (world.stranger_school, world.stranger),
    ]
    with unit_of_work():
        for number in range(rounds):
            edition = make_edition(make_textbook(f"Последняя {number}"))
            put_on_shelf(world.fund, edition, 3, by=world.methodist, clock=clock)
            for (school, librarian), ids in zip(sides, wanted, strict=True):
                transfer = services.ask_fund(
                    world.fund, edition, taker=school, kind=Kind.LOAN, copies=3, by=librarian, clock=clock
                )
                ids.append(transfer.id)
    return wanted


def promised_twice() -> bool:
    """Say whether agreed transfers have been promised more of an account than is there."""
    rows = db.session.execute(
        sa.select(sa.func.sum(TransferLine.agreed), sa.func.max(Balance.copies))
        .join(Transfer, Transfer.id == TransferLine.transfer_id)
        .join(
            Balance,
            sa.and_(
                Balance.owner_id == TransferLine.owner_id,
                Balance.holder_id == Transfer.giver_id,
                Balance.edition_id == TransferLine.edition_id,
            ),
        )
        .where(Transfer.state.in_(PROMISING))
        .group_by(TransferLine.edition_id)
    ).all()
    return any(agreed > copies for agreed, copies in rows)


def test_the_last_copies_are_promised_once(
    app: Portal, world: World, clock: FrozenClock, tmp_path: Path
) -> None:
    pairs = race(app, tmp_path, "agree", (world.methodist, world.methodist), rivals(world, clock, ROUNDS))
    assert len(pairs) == ROUNDS
    for pair in pairs:
        assert sorted(answer.split(":")[0] for answer in pair) == ["refused", "won"], pair
        assert "свободно 0" in max(pair, key=len)
    assert not promised_twice()
    assert db.session.scalar(sa.select(sa.func.sum(Balance.promised))) == 3 * ROUNDS
    assert ledger.verify() == []


def test_without_the_guard_the_race_is_lost(
    app: Portal, world: World, clock: FrozenClock, tmp_path: Path
) -> None:
    wanted = rivals(world, clock, 3)
    pairs = race(app, tmp_path, "agree", (world.methodist, world.methodist), wanted, unguarded=True)
    # SQLite refuses the second writer with «database is locked»; PostgreSQL lets both have the copies.
    locked = [answer for pair in pairs for answer in pair if answer == "error: OperationalError"]
    assert locked or promised_twice(), pairs


def test_the_last_copies_of_an_offer_are_asked_for_once(
    app: Portal, world: World, clock: FrozenClock, tmp_path: Path
) -> None:
    offers = []
    with unit_of_work():
        for number in range(ROUNDS):
            edition = make_edition(make_textbook(f"Излишек {number}"))
            put_on_shelf(world.donor_school, edition, 3, by=world.donor, clock=clock)
            offers.append(offer_of(world, clock, edition, 3).id)
    pairs = race(app, tmp_path, "ask", (world.recipient, world.stranger), (offers, offers))
    for pair in pairs:
        assert sorted(answer.split(":")[0] for answer in pair) == ["refused", "won"], pair
    assert set(db.session.scalars(sa.select(Offer.reserved))) == {3}
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Transfer)) == ROUNDS


def test_a_list_is_approved_once(app: Portal, world: World, clock: FrozenClock, tmp_path: Path) -> None:
    with unit_of_work():
        acting = schools.make_user(
            district_id=world.district.id,
            login="acting",
            full_name="Исполняющий Обязанности",
            password_hash=PASSWORD_HASH,
            role=Role.DIRECTOR,
            school_id=world.donor_school.id,
            clock=clock,
        )
        textbook = make_textbook("Физика 8")
        uses = [Use(textbook.grade_from or 8, "", textbook.id, textbook.subject)]
        ids = [
            approved.open_list(
                school=world.donor_school, school_year=2026 + number, by=world.donor, clock=clock
            ).id
            for number in range(5)
        ]
        for number in range(5):
            approved.add_uses(
                school=world.donor_school, school_year=2026 + number, uses=uses, by=world.donor, clock=clock
            )
    pairs = race(app, tmp_path, "approve_list", (world.donor_director, acting), (ids, ids))
    assert [sorted(pair) for pair in pairs] == [["error: WrongMoment", "won"]] * 5
    assert {db.session.get_one(ApprovedList, id_).state for id_ in ids} == {ListState.APPROVED}


def test_class_groups_are_not_overwritten_unseen(
    app: Portal, world: World, clock: FrozenClock, tmp_path: Path
) -> None:
    years = [2026 + number for number in range(5)]
    pairs = race(app, tmp_path, "set_groups", (world.recipient, world.deputy), (years, years))
    assert [sorted(pair) for pair in pairs] == [["error: Stale", "won"]] * 5
    for pair, year in zip(pairs, years, strict=True):
        winner = (world.recipient, world.deputy)[pair.index("won")]
        found = classes.groups([world.recipient_school.id], year)[world.recipient_school.id]
        assert [group.pupils for group in found] == [20 + winner.id]


def imports(world: World, clock: FrozenClock, folder: Path, rounds: int) -> list[int]:
    """Files of one book each, read and ready to be written."""
    ids = []
    for number in range(rounds):
        with unit_of_work():
            textbook = make_textbook(f"Из файла {number}")
        content = text_table([["Наименование", "Количество", "Код"], ["книга", 7, f"{textbook.id}-2023-1"]])
        intake = bring(content, holder=world.donor_school, by=world.donor, clock=clock, folder=folder)
        ids.append(intake.id)
    return ids


def test_an_import_is_written_once(app: Portal, world: World, clock: FrozenClock, tmp_path: Path) -> None:
    ids = imports(world, clock, tmp_path, 8)
    pairs = race(app, tmp_path, "write_import", (world.donor, world.donor), (ids, ids))
    assert pairs == [("won", "won")] * 8
    assert set(shelf_of(world.donor_school).values()) == {7}
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Movement)) == 8
    assert {db.session.get_one(Intake, id_).state for id_ in ids} == {IntakeState.APPLIED}
    assert ledger.verify() == []


def test_without_its_lock_an_import_is_not_safe(
    app: Portal, world: World, clock: FrozenClock, tmp_path: Path
) -> None:
    ids = imports(world, clock, tmp_path, 3)
    pairs = race(app, tmp_path, "write_import", (world.donor, world.donor), (ids, ids), unguarded=True)
    assert any(answer.startswith("error") for pair in pairs for answer in pair), pairs


def test_a_plan_is_published_once(app: Portal, world: World, clock: FrozenClock, tmp_path: Path) -> None:
    town = a_town(world, clock)
    plan_id = town.plan().id
    ((first, second),) = race(
        app, tmp_path, "publish_plan", (world.methodist, world.methodist), ([plan_id], [plan_id])
    )
    assert sorted([first, second]) == ["error: WrongMoment", "won"]
    (transfer,) = db.session.scalars(sa.select(Transfer)).all()
    assert [line.asked for line in transfer.lines] == [5]
    assert db.session.scalar(sa.select(Offer.reserved)) == 5


def test_of_two_plans_taken_up_at_once_one_is_the_draft(
    app: Portal, world: World, clock: FrozenClock, tmp_path: Path
) -> None:
    town = a_town(world, clock)
    first, second, third = (town.plan().id for _ in range(3))
    race(app, tmp_path, "restore_plan", (world.methodist, world.methodist), ([first], [second]))
    db.session.rollback()
    drafts = db.session.scalars(sa.select(Plan.id).where(Plan.state == PlanState.DRAFT)).all()
    assert len(drafts) == 1
    assert third not in drafts


def repairs(town: Town, clock: FrozenClock, district_id: int, by: User) -> list[int]:
    """Three runs that repair one plan, entered past the check for one at work: as if they had been lost."""
    with unit_of_work():
        return [
            runs.enter(
                "matching",
                district_id=district_id,
                by_id=by.id,
                clock=clock,
                input={"thorough": False, "repair": True, "controls": {}},
            ).id
            for _ in range(3)
        ]


def a_town(world: World, clock: FrozenClock) -> Town:
    """Return a town where one school gives five books that another lacks."""
    town = Town(world, clock)
    book = town.book("Физика")
    town.surplus(book, 5)
    town.need(book, 5)
    return town


def one_draft() -> Plan:
    """Return the only draft, whose lines all stand by themselves."""
    db.session.rollback()
    draft = db.session.scalars(sa.select(Plan).where(Plan.state == PlanState.DRAFT)).one()
    assert [line.copies for line in draft.lines] == [5]
    return draft


def test_of_two_repairs_at_once_one_is_the_draft(
    app: Portal, world: World, clock: FrozenClock, tmp_path: Path
) -> None:
    town = a_town(world, clock)
    base = town.plan()
    first, second, anew = repairs(town, clock, world.district.id, world.methodist)
    people = (world.methodist, world.methodist)
    ((one, other),) = race(app, tmp_path, "make_plan", people, ([first], [second]))
    answers = sorted(answer.split(":")[0] for answer in (one, other))
    # The slower one finds another draft than it began with, unless it began after the faster had ended.
    assert answers in (["refused", "won"], ["won", "won"])
    draft = one_draft()
    if answers == ["refused", "won"]:
        assert any("черновик изменили" in answer for answer in (one, other))
        assert draft.base_id == base.id
    ended = db.session.scalars(sa.select(Run).where(Run.id.in_([first, second]))).all()
    assert not any(run.is_live for run in ended)
    # Neither is in the way of the next.
    in_turn = town.run(anew)
    assert in_turn.is_done
    assert one_draft().id == (in_turn.result or {})["plan_id"] != draft.id


def test_a_run_is_done_once(app: Portal, world: World, clock: FrozenClock, tmp_path: Path) -> None:
    town = a_town(world, clock)
    town.plan()
    only = town.order(repair=True)
    race(app, tmp_path, "make_plan", (world.methodist, world.methodist), ([only], [only]))
    one_draft()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Plan)) == 2


def test_a_repair_ordered_twice_at_once_is_one_run(
    app: Portal, world: World, clock: FrozenClock, tmp_path: Path
) -> None:
    town = a_town(world, clock)
    town.plan()
    pairs = race(app, tmp_path, "order_repair", (world.methodist, world.methodist), ([1], [2]))
    assert pairs == [("won", "won")]
    db.session.rollback()
    waiting = db.session.scalars(sa.select(Run).where(Run.state == RunState.WAITING)).all()
    assert [run.input["repair"] for run in waiting] == [True]


def test_a_plan_published_while_it_is_repaired_stays_as_it_is(
    app: Portal, world: World, clock: FrozenClock, tmp_path: Path
) -> None:
    town = a_town(world, clock)
    base = town.plan()
    order = town.order(repair=True)
    race(
        app,
        tmp_path,
        "publish_or_repair",
        (world.methodist, world.methodist),
        ([base.id], [-order]),
    )
    db.session.rollback()
    states = sorted(db.session.scalars(sa.select(Plan.state)).all())
    moved = db.session.scalars(sa.select(Transfer)).all()
    # Either it was published, and the repair was refused or found nothing left; or it was replaced first.
    if db.session.get_one(Plan, base.id).state is PlanState.PUBLISHED:
        assert len(moved) == 1
    else:
        assert (states, moved) == ([PlanState.DISCARDED, PlanState.DRAFT], [])
    assert states.count(PlanState.DRAFT) <= 1
    assert (db.session.scalar(sa.select(Offer.reserved)) or 0) == 5 * len(moved)
