"""How a search tells where it stands, and how it is ended: between two rounds, never within one."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Standing:
    """Where a search stands after ``round`` of at most ``rounds``.

    ``trips`` is what the trips of the best plan so far cost and ``bound`` what they cost at least: their
    number, or by road units of 100 m. ``seconds`` is the time since the problem was handed over.
    """

    trips: float
    bound: float
    round: int
    rounds: int
    seconds: float


#: Told after each round where the search stands; False ends it with the best plan so far.
Watch = Callable[[Standing], bool]


#: The share of a time limit that goes to the search; the rest is for what comes after it.
SEARCHING = 0.95


class Rounds:
    """The rounds of one search: counted, told to whoever watches, ended when time is up."""

    def __init__(self, most: int, started: float, watch: Watch | None, time_limit: float | None) -> None:
        """``started`` is the reading of ``time.perf_counter`` from which ``time_limit`` seconds count."""
        self.most = most
        self.done = 0
        self._started = started
        self._watch = watch
        self._time_limit = time_limit
        self.stopped = False

    def left(self) -> float | None:
        """Return the seconds that are left to search in; None: as many as it takes."""
        if self._time_limit is None:
            return None
        return max(0.0, self._started + SEARCHING * self._time_limit - time.perf_counter())

    def go_on(self, trips: float, bound: float) -> bool:
        """Tell where the search stands, and whether there is to be another round."""
        if not self.stopped:
            seconds = time.perf_counter() - self._started
            standing = Standing(trips, bound, self.done, self.most, seconds)
            told_to_stop = self._watch is not None and not self._watch(standing)
            self.stopped = told_to_stop or self.left() == 0.0
        if self.stopped or trips <= bound or self.done >= self.most:
            return False
        self.done += 1
        return True


@contextmanager
def uncollected() -> Iterator[None]:
    """Let the garbage collector rest: it would look through millions of records, none of them garbage."""
    resting = not gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not resting:
            gc.enable()
