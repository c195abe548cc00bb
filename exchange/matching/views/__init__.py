"""Pages of the matching."""

from __future__ import annotations

from flask import Flask

from exchange import runs
from exchange.matching import services
from exchange.matching.views import comparing, plans, sandbox, swaps, tours, why
from exchange.matching.views.blueprint import bp
from exchange.schools.views import clock
from exchange.transfers.views import add_notes

__all__ = ["bp", "comparing", "init_matching", "plans", "sandbox", "swaps", "tours", "why"]


def init_matching(app: Flask) -> None:
    """Say what does the runs of the matching, and what it knows about transfers."""
    runs.register(app, services.RUN_KIND, lambda run, progress: services.perform(run, clock=clock()))
    runs.register(
        app,
        services.FRONTIER_KIND,
        lambda run, progress: services.perform_frontier(run, clock=clock(), progress=progress),
    )
    add_notes(app, swaps.notes_on)
