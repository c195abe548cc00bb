"""What templates can call: formats, and the counters of the header."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, request, url_for
from flask_babel import get_locale
from flask_login import current_user

from exchange.web import formats, pages


def init_display(app: Flask) -> None:
    """Register filters and globals."""
    app.add_template_filter(formats.format_date, "date")
    app.add_template_filter(formats.format_number, "number")
    app.add_template_filter(formats.format_percent, "percent")
    app.add_template_filter(lambda value: formats.format_moment(value, _zone()), "moment")
    app.add_template_global(pages.htmx_config)
    app.add_template_global(with_arguments)
    app.add_template_global(lambda: str(get_locale()), "language")
    counters: dict[str, Callable[[], int]] = {}
    app.extensions["counters"] = counters
    app.add_template_global(lambda name: counters[name]() if name in counters else 0, "counter")


def _zone() -> str:
    return str(current_user.district.timezone) if current_user.is_authenticated else "UTC"


def with_arguments(**changes: Any) -> str:
    """Return the address of the present page with some query arguments changed (``None`` removes)."""
    arguments: Mapping[str, Any] = {
        **request.args.to_dict(flat=False),
        **(request.view_args or {}),
        **changes,
    }
    kept = {name: value for name, value in arguments.items() if value not in (None, "", [""])}
    return url_for(request.endpoint or "home.index", **kept)
