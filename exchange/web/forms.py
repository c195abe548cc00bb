"""The base of every form, and how a refusal is shown at its field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from flask import request
from flask_babel import gettext, lazy_gettext
from flask_wtf import FlaskForm
from wtforms import Field, StringField
from wtforms.validators import ValidationError

from exchange.db import db
from exchange.errors import DomainError, Invalid


class Form(FlaskForm):  # type: ignore[misc]
    """A form. CSRF and the action key are not its fields: ``guards()`` in the template adds both."""

    class Meta:
        """Settings of WTForms."""

        csrf = False

    def refuse(self, error: DomainError) -> None:
        """Undo what was half done and show ``error`` at its field, or above the form."""
        db.session.rollback()
        text = gettext(error.message, **error.parameters)
        name = getattr(error, "field", None)
        if name and name in self:
            field = self[name]
            field.errors = [*field.errors, text]
        else:
            self.form_errors.append(text)


YEARS = range(1900, 2101)
"""Years that anything here can be about; also keeps days away from the ends of the calendar."""
MOST_DIGITS = 9
"""Digits of the greatest number of a row."""


class RussianDateField(StringField):  # type: ignore[misc]
    """A date typed as дд.мм.гггг (or picked, which browsers send as гггг-мм-дд)."""

    data: Any

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return f"{self.data:%d.%m.%Y}" if isinstance(self.data, date) else ""

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Read the text; an empty one is ``None``."""
        text = valuelist[0].strip() if valuelist else ""
        self.data = None
        if not text:
            return
        for pattern in ("%d.%m.%Y", "%d.%m.%y", "%Y-%m-%d"):
            try:
                day = datetime.strptime(text, pattern).date()  # noqa: DTZ007
            except ValueError:
                continue
            if day.year in YEARS:
                self.data = day
                return
        raise ValueError(gettext("Дата не понята: «%(text)s». Напишите, например, 20.06.2027.", text=text))


class CopiesField(StringField):  # type: ignore[misc]
    """A whole number of copies, not negative; spaces inside are allowed («1 251»)."""

    data: Any

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else str(self.data)

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Read the number; an empty text is ``None``."""
        text = "".join((valuelist[0] if valuelist else "").split())
        self.data = None
        if not text:
            return
        if not text.isdecimal() or len(text) > 6:
            raise ValueError(gettext("Нужно целое число экземпляров, например 12."))
        self.data = int(text)


class DecimalField(StringField):  # type: ignore[misc]
    """A number with a decimal comma or point; ``pattern`` is how it may be written."""

    data: Any
    pattern: str

    def complaint(self) -> str:
        """Say what is wanted in place of what cannot be read."""
        raise NotImplementedError

    def shown(self) -> str:
        """Return the number with a decimal comma, nothing where there is none."""
        return "" if self.data is None else f"{self.data:g}".replace(".", ",")

    def _value(self) -> str:
        return str(self.raw_data[0]) if self.raw_data else self.shown()

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Read the number; an empty text is ``None``."""
        text = "".join((valuelist[0] if valuelist else "").split())
        self.data = None
        if not text:
            return
        if not re.fullmatch(self.pattern, text):
            raise ValueError(self.complaint())
        self.data = float(text.replace(",", "."))


class KilometresField(DecimalField):
    """A distance in km («12,5»)."""

    pattern = r"[0-9]{1,4}([.,][0-9]{1,2})?"

    def complaint(self) -> str:
        """Say what is wanted in place of what cannot be read."""
        return str(gettext("Нужно число километров, например 35 или 12,5."))


class Filled:
    """Validator: something must be entered. Says so itself, so that the browser does not block first."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message

    def __call__(self, form: Form, field: Field) -> None:
        """Raise ``ValidationError`` when the field is empty."""
        if field.data in (None, "") and not field.errors:
            raise ValidationError(self.message or lazy_gettext("Заполните это поле."))


def number(text: str) -> int:
    """Read the number of a row, as the ``type`` of an argument; ``ValueError`` for any other text."""
    if not text.isdecimal() or len(text) > MOST_DIGITS:
        raise ValueError("not the number of a row")
    return int(text)


def asked_number(values: Mapping[str, str], name: str, most_digits: int = 9) -> int | None:
    """Return the whole number that the address (or form) asks for under ``name``.

    ``None`` for anything else, so that an odd address shows the plain page instead of an error.
    """
    text = values.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= most_digits else None


def seen_version() -> int | None:
    """Return the version of the object the submitted form was rendered from."""
    text = request.form.get("_version", "")
    try:
        return number(text) if text else None
    except ValueError:
        raise Invalid("Форма повреждена. Обновите страницу.") from None
