"""One unit of work per unsafe request, and the action keys that make a repeated request harmless."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import Flask, Response, current_app, flash, g, request, session
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import ServiceUnavailable

from exchange.clock import Clock
from exchange.db import ATTEMPTS, Base, db, insert_if_absent, is_busy, is_retriable, unit_of_work
from exchange.errors import Invalid

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
KEPT = timedelta(days=7)
"""How long the answer to a form is kept for a repeat of it."""
View = TypeVar("View", bound=Callable[..., Any])


class ActionKey(Base):
    """A form that has been answered: the first answer is given again to a repeat."""

    __tablename__ = "action_key"

    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    status: Mapped[int | None]
    headers: Mapped[list[Any] | None] = mapped_column(sa.JSON)
    body: Mapped[str] = mapped_column(sa.Text, default="")
    notices: Mapped[list[Any] | None] = mapped_column(sa.JSON)
    created_at: Mapped[datetime] = mapped_column(sa.DateTime(), index=True)
    """Only for clearing out old keys; naive UTC."""


def outside_unit(view: View) -> View:
    """Mark an unsafe view that opens its own units, because it does slow work before it writes."""
    view.outside_unit = True  # type: ignore[attr-defined]
    return view


def new_action_key() -> str:
    """Return a key for one rendered form."""
    return secrets.token_urlsafe(24)


def forget_old_keys(now: datetime) -> int:
    """Forget forms answered more than a week before ``now``; return how many."""
    limit = (now - KEPT).astimezone(UTC).replace(tzinfo=None)
    result = db.session.execute(sa.delete(ActionKey).where(ActionKey.created_at < limit))
    return int(result.rowcount)  # type: ignore[attr-defined]


class Portal(Flask):
    """Flask, with each unsafe request in one transaction that is retried when the database asks for it."""

    def full_dispatch_request(self) -> Response:
        """Dispatch the request; commit when the answer's status is below 400."""
        view = self.view_functions.get(request.endpoint or "")
        if request.method in SAFE_METHODS or getattr(view, "outside_unit", False):
            return super().full_dispatch_request()
        before = copy.deepcopy(dict(session))
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._dispatch_in_unit()
            except sa.exc.DBAPIError as error:
                if attempt == ATTEMPTS or not is_retriable(error):
                    if not is_busy(error):
                        raise
                    return self.finalize_request(self.handle_user_exception(ServiceUnavailable()))
            _start_over(before)
            time.sleep(random.uniform(0, 0.02 * 2**attempt))
        raise AssertionError("unreachable")

    def _dispatch_in_unit(self) -> Response:
        answer: Response | None = None
        try:
            with unit_of_work():
                answer = super().full_dispatch_request()
                if answer.status_code >= 400:
                    db.session.rollback()
                else:
                    keep_answer(answer)
        except StaleDataError as error:
            return self.finalize_request(self.handle_user_exception(error))
        return answer


def _start_over(before: dict[str, Any]) -> None:
    """Forget what a failed attempt left in the request and the session."""
    vars(g).clear()
    session.clear()
    session.update(copy.deepcopy(before))
    for upload in request.files.values():
        upload.stream.seek(0)


def check_action_key() -> Response | None:
    """Answer a repeated form with its first answer; run before anything else of an unsafe request.

    Raises ``Invalid`` when the same key comes with other values.
    """
    view = current_app.view_functions.get(request.endpoint or "")
    if request.method in SAFE_METHODS or getattr(view, "outside_unit", False):
        return None
    return first_answer()


def first_answer() -> Response | None:
    """Return the first answer to a repeated form, ``None`` to a new one, whose key is taken by that.

    For views outside of a unit, in the unit in which they write; ``keep_answer`` belongs to it.
    """
    key = request.form.get("_key", "")[:64]
    if not key:
        return None
    fingerprint = _fingerprint()
    clock: Clock = current_app.extensions["clock"]
    if insert_if_absent(
        ActionKey,
        key=key,
        fingerprint=fingerprint,
        created_at=clock.now().astimezone(UTC).replace(tzinfo=None),
    ):
        g.action_key = key
        return None
    first = db.session.get_one(ActionKey, key)
    if first.fingerprint != fingerprint:
        raise Invalid("Эта форма уже отправлена с другими значениями. Обновите страницу и повторите.")
    for category, message in first.notices or []:
        flash(message, category)
    answer = Response(first.body, status=first.status or 204)
    for name, value in first.headers or []:
        answer.headers[name] = value
    return answer


def _fingerprint() -> str:
    fields = sorted((name, value) for name, value in request.form.items(multi=True) if name != "csrf_token")
    files = sorted((name, upload.filename or "") for name, upload in request.files.items(multi=True))
    payload = json.dumps([session.get("_user_id"), request.path, fields, files], ensure_ascii=False)
    return hashlib.sha256(payload.encode()).hexdigest()


def keep_answer(answer: Response) -> None:
    """Keep the answer to a form for a repeat of it."""
    key = g.get("action_key")
    if key is None:
        return
    kept = [
        (n, v) for n, v in answer.headers if n == "Location" or n == "Content-Type" or n.startswith("HX-")
    ]
    db.session.execute(
        sa.update(ActionKey)
        .where(ActionKey.key == key)
        .values(
            status=answer.status_code,
            headers=kept,
            body=answer.get_data(as_text=True),
            notices=session.get("_flashes") or [],
        )
    )
