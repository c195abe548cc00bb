"""Long work: a row that people can watch, a lease, and an executor that does it.

The page that started a run may be closed. A run whose process died is taken for failed when its lease
has passed; nothing is done twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy.orm import Mapped, mapped_column

from exchange.clock import Clock
from exchange.db import Identified, db, enum_column, in_unit
from exchange.errors import DomainError

LEASE = timedelta(minutes=10)
BROKEN = "Работа прервалась из-за ошибки на сервере. Повторите."
log = logging.getLogger(__name__)


class RunState(StrEnum):
    """How far the work is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


LIVE = frozenset({RunState.WAITING, RunState.RUNNING})


class Run(Identified):
    """One piece of long work: who started it, how far it is, what came out."""

    __tablename__ = "run"

    kind: Mapped[str] = mapped_column(sa.String(40))
    district_id: Mapped[int] = mapped_column(sa.ForeignKey("district.id"), index=True)
    started_by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    state: Mapped[RunState] = mapped_column(enum_column(RunState), default=RunState.WAITING)
    created_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    standing: Mapped[dict[str, Any]]
    """What the work has come to so far, as its page shows it."""
    stop_asked: Mapped[bool] = mapped_column(default=False)
    """Whether somebody wants the best found so far rather than the end."""
    input: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None]
    message: Mapped[str] = mapped_column(sa.String(1000), default="")
    """Why it failed, a Russian msgid; ``result`` holds its parameters then."""

    @property
    def is_live(self) -> bool:
        """Whether it waits or is being done."""
        return self.state in LIVE

    @property
    def is_done(self) -> bool:
        """Whether it came to its end well."""
        return self.state is RunState.DONE

    @property
    def has_failed(self) -> bool:
        """Whether it came to its end badly."""
        return self.state is RunState.FAILED


class InlineExecutor(Executor):
    """Does the work at once, in the caller's thread: for tests and the command line."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn`` and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # the future carries it, as any executor's would
            future.set_exception(error)
        return future


Work = Callable[[Run, Callable[[int, int], None]], dict[str, Any]]
"""What does a kind of run: gets the run and ``progress(done, total)``, returns the result."""


def init_runs(app: Flask, executor: str) -> None:
    """Attach the executor named in the settings."""
    if executor not in {"threads", "inline"}:
        raise ValueError(f"EXCHANGE_EXECUTOR must be threads or inline, not {executor!r}")
    app.extensions["run_executor"] = (
        InlineExecutor()
        if executor == "inline"
        else ThreadPoolExecutor(max_workers=2, thread_name_prefix="run")
    )
    app.extensions["run_works"] = {}


def register(app: Flask, kind: str, work: Work) -> None:
    """Say what does the runs of ``kind``."""
    app.extensions["run_works"][kind] = work


def enter(kind: str, *, district_id: int, by_id: int, clock: Clock, input: dict[str, Any]) -> Run:
    """Write down work to be done; call ``submit`` after the unit of work has committed."""
    run = Run(
        kind=kind,
        district_id=district_id,
        started_by_id=by_id,
        created_at=clock.now(),
        standing={},
        input=input,
    )
    db.session.add(run)
    db.session.flush()
    return run


def submit(run_id: int) -> None:
    """Hand a run over to the executor."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    app.extensions["run_executor"].submit(_perform, app, run_id)


def _perform(app: Flask, run_id: int) -> None:
    with app.app_context():
        clock: Clock = app.extensions["clock"]
        if not in_unit(lambda: _lease(run_id, clock)):
            return
        run = db.session.get_one(Run, run_id)
        try:
            result = app.extensions["run_works"][run.kind](
                run, lambda done, total: _progress(run_id, done, total, clock)
            )
        except DomainError as error:
            message, parameters = error.message, error.parameters
            db.session.rollback()
            in_unit(lambda: _finish(run_id, RunState.FAILED, dict(parameters), message, clock))
        except Exception:
            log.exception("run %s failed", run_id)
            db.session.rollback()
            in_unit(
                lambda: _finish(
                    run_id,
                    RunState.FAILED,
                    {},
                    "Работа прервалась из-за ошибки на сервере. Повторите.",
                    clock,
                )
            )
        else:
            in_unit(lambda: _finish(run_id, RunState.DONE, result, "", clock))


def _lease(run_id: int, clock: Clock) -> bool:
    result = db.session.execute(
        sa.update(Run)
        .where(Run.id == run_id, Run.state == RunState.WAITING)
        .values(state=RunState.RUNNING, leased_until=clock.now() + LEASE)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def _progress(run_id: int, done: int, total: int, clock: Clock) -> None:
    in_unit(
        lambda: db.session.execute(
            sa.update(Run)
            .where(Run.id == run_id)
            .values(done=done, total=total, leased_until=clock.now() + LEASE)
        )
    )


def report(run_id: int, standing: Mapping[str, Any], *, clock: Clock) -> bool:
    """Write down what the work has come to so far; say whether to go on: nobody wants it to end here."""

    def work() -> bool:
        db.session.execute(
            sa.update(Run)
            .where(Run.id == run_id)
            .values(standing=dict(standing), leased_until=clock.now() + LEASE)
        )
        return not db.session.scalar(sa.select(Run.stop_asked).where(Run.id == run_id))

    return in_unit(work)


def ask_stop(run_id: int) -> bool:
    """Ask the work to end with the best it has found; say whether it is still being done.

    Who may ask is for the feature to decide whose run it is.
    """
    result = db.session.execute(
        sa.update(Run).where(Run.id == run_id, Run.state.in_(LIVE)).values(stop_asked=True)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def _finish(run_id: int, state: RunState, result: dict[str, Any], message: str, clock: Clock) -> None:
    db.session.execute(
        sa.update(Run)
        .where(Run.id == run_id)
        .values(state=state, result=result, message=message, finished_at=clock.now())
    )


def lost(run: Run, *, clock: Clock) -> bool:
    """Say whether the run's process has died: nothing was heard of it for the length of a lease."""
    since = run.leased_until or run.created_at + LEASE
    return run.is_live and since < clock.now()
