"""Closing trips: what a trip carries takes another way, over trips that run anyhow.

Within a textbook whose coverage is settled copies move as a flow in a small network: offers, needs, the sets
they make up, one ground that unused copies go to; the second part of sets runs backwards. A trip can close
if each copy of it finds a chain of exchanges in there, over lines of trips that run, from its offer to its
need. Where none can close any more, one is opened and its neighbours are tried again (add and drop).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exchange.matching.solver.network import Network
from exchange.matching.solver.programme import Floats

Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]
NO_TRIP = -1
#: Arcs, and how many copies more each carries.
Moves = list[tuple[int, int]]


class Ways:
    """The ways that copies can still move, as arcs; columns first, then the slack of rows.

    Arc ``a`` leads from node ``tails[a]`` to ``heads[a]``, carries ``lowers[a]`` to ``uppers[a]`` copies and
    is on trip ``trips[a]``, or on none. Textbooks that are no network do not move, and neither do columns
    that a side condition counts.
    """

    def __init__(self, network: Network, trip_of_line: Integers, ends: Sequence[tuple[int, ...]]) -> None:
        """``ends`` are the giver and the taker of each trip."""
        self.network = network
        programme = network.programme
        height, lines = len(programme.row_lower), len(network.lines)
        sign = self._signs()
        entries = sign[programme.rows] * programme.entries
        # Each textbook has a ground of its own: its network is apart from all others.
        names, ground = np.unique(network.textbooks, return_inverse=True)
        tail, head = height + ground, height + ground
        tail[programme.columns[entries > 0]] = programme.rows[entries > 0]
        head[programme.columns[entries < 0]] = programme.rows[entries < 0]
        moves = (programme.upper > programme.lower) & ~network.rough & ~network.rugged & (tail != head)
        self.columns = np.flatnonzero(moves)
        of_row = np.full(height, NO_TRIP)
        of_row[programme.rows] = ground[programme.columns]
        rough = np.zeros(height, dtype=bool)
        rough[programme.rows[network.rough[programme.columns]]] = True
        offers = np.arange(height) < len(network.problem.supplies)
        loose = (programme.row_upper > programme.row_lower) & (of_row != NO_TRIP) & ~rough & offers
        self._loose = np.flatnonzero(loose)
        out = sign[self._loose] > 0
        grounds = height + of_row[self._loose]
        room = (programme.row_upper - programme.row_lower)[self._loose]
        trip = np.full(len(tail), NO_TRIP)
        trip[:lines] = trip_of_line
        self._trip_of_line = trip_of_line

        def listed(of_columns: NDArray[Any], of_slack: NDArray[Any]) -> list[int]:
            joined: list[int] = np.concatenate((of_columns[self.columns], of_slack)).astype(np.int64).tolist()
            return joined

        self.tails = listed(tail, np.where(out, self._loose, grounds))
        self.heads = listed(head, np.where(out, grounds, self._loose))
        self.to_head = list(enumerate(self.heads))
        self.to_tail = list(enumerate(self.tails))
        self.lowers = listed(programme.lower, 0.0 * room)
        self.uppers = listed(programme.upper, room)
        self.trips = listed(trip, np.full(len(room), NO_TRIP))
        self.nodes = height + len(names)
        self._at_rest = ~moves[:lines]
        #: The arcs of each trip; those of none at the end.
        self.arcs_of: list[list[int]] = [[] for _ in range(len(ends) + 1)]
        for arc, one in enumerate(self.trips):
            self.arcs_of[one].append(arc)
        textbook = ground[self.columns].tolist()
        self._ends = ends
        self._textbooks = [{textbook[arc] for arc in arcs} for arcs in self.arcs_of[:-1]]
        self._at_end: dict[tuple[int, int], list[int]] = defaultdict(list)
        for one, (giver, taker) in enumerate(ends):
            self._at_end[0, giver].append(one)
            self._at_end[1, taker].append(one)
        self._neighbours: dict[int, list[int]] = {}

    def _any(self, lines: Flags, trips: int) -> Flags:
        """Return the trips that any of the ``lines`` is on."""
        found = np.zeros(trips, dtype=bool)
        found[self._trip_of_line[lines]] = True
        return found

    def running(self, values: Floats) -> Flags:
        """Return the trips that carry anything."""
        return self._any(values[: len(self._trip_of_line)] > 0, len(self._ends))

    def stuck(self, values: Floats) -> Flags:
        """Return the trips with copies that cannot move."""
        return self._any(self._at_rest & (values[: len(self._at_rest)] > 0), len(self._ends))

    def neighbours(self, trip: int) -> list[int]:
        """Return the trips with the same giver or taker that have a textbook in common with this one."""
        if trip not in self._neighbours:
            giver, taker = self._ends[trip]
            own = self._textbooks[trip]
            self._neighbours[trip] = [
                other
                for other in (*self._at_end[0, giver], *self._at_end[1, taker])
                if other != trip and not own.isdisjoint(self._textbooks[other])
            ]
        return self._neighbours[trip]

    def _signs(self) -> Integers:
        """Return for each row whether its flow runs forwards (1) or backwards (-1), needs against offers."""
        network, programme = self.network, self.network.programme
        backwards = {need.textbook: max(layer.parts) for need, layer in network.sets if len(layer.parts) > 1}
        sign = np.ones(len(programme.row_lower), dtype=np.int64)
        offers = len(network.problem.supplies)
        sign[:offers] = [
            -1 if backwards.get(supply.textbook) == supply.part else 1 for supply in network.problem.supplies
        ]
        sign[offers : offers + len(network.need_rows)] = [
            1 if backwards.get(textbook) == part else -1 for textbook, part in network.need_rows
        ]
        return sign

    def flow(self, values: Floats) -> Integers:
        """Return what each arc carries when the columns have these values."""
        programme = self.network.programme
        slack = programme.row_upper - programme.activity(values)
        return np.rint(np.concatenate((values[self.columns], slack[self._loose]))).astype(np.int64)


class Exchanges:
    """A flow and the trips that it runs on, changed step by step: trips are closed, or opened for others.

    Plain lists hold it: chains are short, and found by the hundred thousand.
    """

    def __init__(self, ways: Ways) -> None:
        self.ways = ways
        self.flow: list[int] = []
        #: Whether a trip runs; the last one is no trip, and always does.
        self.runs: list[bool] = []
        self._start: Floats = np.zeros(0)
        self._firm: list[bool] = []
        self._price: list[float] = []
        #: (arc, node at its other end) at each node: for arcs that leave there, and that arrive there.
        self._leaving: list[list[tuple[int, int]]] = [[] for _ in range(ways.nodes)]
        self._arriving: list[list[tuple[int, int]]] = [[] for _ in range(ways.nodes)]
        self._laid = [False] * len(ways.arcs_of)
        self._lay(NO_TRIP)

    def begin(self, values: Floats, firm: Flags, price: Floats) -> None:
        """Start from these values; ``firm`` trips never close, ``price`` is what each trip costs."""
        self._start = values
        self.flow = self.ways.flow(values).tolist()
        self._firm = (firm | self.ways.stuck(values)).tolist()
        self._price = price.tolist()
        running = self.ways.running(values)
        self.runs = [*running.tolist(), True]
        for trip in np.flatnonzero(running).tolist():
            self._lay(trip)

    def _lay(self, trip: int) -> None:
        """Put the arcs of a trip into the network, if they are not there."""
        if not self._laid[trip]:
            self._laid[trip] = True
            ways = self.ways
            for arc in ways.arcs_of[trip]:
                self._leaving[ways.tails[arc]].append(ways.to_head[arc])
                self._arriving[ways.heads[arc]].append(ways.to_tail[arc])

    def values(self) -> Floats:
        """Return the values of all columns."""
        found = self._start.copy()
        columns = self.ways.columns
        found[columns] = self.flow[: len(columns)]
        return found

    def load(self, trip: int) -> int:
        """Return the copies on a trip that can move."""
        return sum(self.flow[arc] for arc in self.ways.arcs_of[trip])

    def _emptiest_first(self, trips: Iterable[int]) -> list[int]:
        """Return those that run and may close, those first that carry least for what they cost."""
        open_trips = (trip for trip in trips if self.runs[trip] and not self._firm[trip])
        loads = [(self.load(trip) / self._price[trip], trip) for trip in open_trips]
        return [trip for _, trip in sorted(loads)]

    def close_all(self) -> None:
        """Close every trip whose copies find another way."""
        for trip in self._emptiest_first(range(len(self._price))):
            self._close(trip)

    def swap(self, new: int) -> float:
        """Open a trip and close others for it; return what is saved, less than nothing if it did not help.

        A trip that is worth what it costs and no more stays open: that leads out of dead ends.
        """
        self._lay(new)
        self.runs[new] = True
        undo: list[Moves] = []
        closed = []
        for trip in self._emptiest_first(self.ways.neighbours(new)):
            if trip != new and (moves := self._close(trip)) is not None:
                undo.append(moves)
                closed.append(trip)
        saved = sum(self._price[trip] for trip in closed)
        if not self.load(new):
            self.runs[new] = False
            return saved
        saved -= self._price[new]
        if saved < 0:
            for moves in reversed(undo):
                self._take_back(moves)
            for trip in closed:
                self.runs[trip] = True
            self.runs[new] = False
        return saved

    def _take_back(self, moves: Moves) -> None:
        for arc, copies in moves:
            self.flow[arc] -= copies

    def _close(self, trip: int) -> Moves | None:
        """Give all that a trip carries another way and return what moved; None and no change if it can't."""
        flow, ways = self.flow, self.ways
        lower, upper = ways.lowers, ways.uppers
        moves: Moves = []
        self.runs[trip] = False
        loaded = [arc for arc in ways.arcs_of[trip] if flow[arc]]
        for arc in loaded:
            if self._dead_end(ways.tails[arc], ways.heads[arc]):
                self.runs[trip] = True
                return None
        for arc in sorted(loaded, key=flow.__getitem__, reverse=True):
            while flow[arc]:
                chain = shortest_chain(
                    ways.tails[arc],
                    ways.heads[arc],
                    flow=self.flow,
                    lowers=ways.lowers,
                    uppers=ways.uppers,
                    trips=ways.trips,
                    runs=self.runs,
                    leaving=self._leaving,
                    arriving=self._arriving,
                )
                if not chain:
                    self._take_back(moves)
                    self.runs[trip] = True
                    return None
                copies = flow[arc]
                for step, back in chain:
                    copies = min(copies, flow[step] - lower[step] if back else upper[step] - flow[step])
                for step, back in chain:
                    more = -copies if back else copies
                    flow[step] += more
                    moves.append((step, more))
                flow[arc] -= copies
                moves.append((arc, -copies))
        return moves

    def _dead_end(self, start: int, end: int) -> bool:
        """Tell whether no other copy can leave ``start``, or none can come to ``end``, in one step."""
        return not (
            self._any_room(self._arriving[end], self._leaving[end])
            and self._any_room(self._leaving[start], self._arriving[start])
        )

    def _any_room(self, more: list[tuple[int, int]], less: list[tuple[int, int]]) -> bool:
        """Tell whether any arc can take another copy (``more``) or give one back (``less``)."""
        flow, runs, ways = self.flow, self.runs, self.ways
        trip = ways.trips
        for arc, _ in more:
            if flow[arc] < ways.uppers[arc] and runs[trip[arc]]:
                return True
        return any(flow[arc] > ways.lowers[arc] and runs[trip[arc]] for arc, _ in less)


def shortest_chain(
    start: int,
    end: int,
    *,
    flow: Sequence[int],
    lowers: Sequence[int],
    uppers: Sequence[int],
    trips: Sequence[int],
    runs: Sequence[bool],
    leaving: Sequence[list[tuple[int, int]]],
    arriving: Sequence[list[tuple[int, int]]],
) -> list[tuple[int, bool]]:
    """Return the fewest steps from ``start`` to ``end`` that can take another copy; none: no way.

    A step is an arc and whether copies are taken off it. ``leaving`` and ``arriving`` pair, by node, the arcs
    with the node at their other end.
    """
    came: dict[int, tuple[int, int, bool]] = {start: (NO_TRIP, start, False)}
    waiting = deque((start,))
    while waiting:
        node = waiting.popleft()
        for arc, there in leaving[node]:
            if there not in came and flow[arc] < uppers[arc] and runs[trips[arc]]:
                came[there] = (arc, node, False)
                waiting.append(there)
        for arc, there in arriving[node]:
            if there not in came and flow[arc] > lowers[arc] and runs[trips[arc]]:
                came[there] = (arc, node, True)
                waiting.append(there)
        if end in came:
            found = []
            while end != start:
                arc, end, back = came[end]
                found.append((arc, back))
            return found
    return []
