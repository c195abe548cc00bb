"""Addresses of all routes, for tests that try every door."""

from __future__ import annotations

from flask import url_for
from werkzeug.routing import Rule
from werkzeug.routing.converters import AnyConverter


def address(rule: Rule) -> str:
    """Return an address of the route: the first word where words are listed, 1 for all else."""
    words = {
        name: min(converter.items)
        for name, converter in rule._converters.items()
        if isinstance(converter, AnyConverter)
    }
    return url_for(rule.endpoint, **{name: words.get(name, 1) for name in rule.arguments})
