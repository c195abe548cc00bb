"""Pages of the matching."""

from __future__ import annotations

from flask import Flask

from exchange import runs
from exchange.matching import services
from exchange.matching.views import comparing, plans
from exchange.matching.views.blueprint import bp
from exchange.schools.views import clock

__all__ = ["bp", "comparing", "init_matching", "plans"]


def init_matching(app: Flask) -> None:
    """Say what does the runs of the matching."""
    runs.register(app, services.RUN_KIND, lambda run, progress: services.perform(run, clock=clock()))
