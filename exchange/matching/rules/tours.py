"""Route sheets: the trips of a plan gathered into tours, by who drives where anyway.

The bus follows the savings method of G. Clarke and J. W. Wright, «Scheduling of Vehicles from a Central Depot
to a Number of Delivery Points», Operations Research 12 (1964) 568–581, with picking up before delivering.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate, combinations, count, pairwise

CENTRE = 0
"""The education office as a place; the others are ids of schools and storage places."""
KG_PER_COPY = 0.4
"""Assumed weight of a textbook: 200–250 pages of about A5, bound."""
COPIES_PER_BOX = 20
"""At 0.4 kg a copy a box of 8 kg, which a person can carry."""
MOST_KM = 250.0
MOST_BOXES = 60
_SAME = 1e-9


class Carrying(StrEnum):
    """Who drives."""

    DIRECT = "direct"
    """Every giver drives to each of its takers; whoever swaps does both on one drive."""
    HUB = "hub"
    """A day at one place: every giver brings, every taker fetches."""
    BUS = "bus"
    """One car goes round several schools."""


@dataclass(frozen=True)
class Load:
    """Copies that go from one place to another together, in boxes of their own.

    ``number`` says which trip of the plan it is; ``piece`` tells apart the parts of one that was too large.
    """

    number: int
    start: int
    end: int
    copies: int
    boxes: int
    piece: int = 0


@dataclass(frozen=True)
class Leg:
    """A drive from place to place, and what is on board."""

    start: int
    end: int
    km: float
    carried: tuple[Load, ...] = ()

    @property
    def copies(self) -> int:
        """Return the copies on board."""
        return sum(load.copies for load in self.carried)

    @property
    def boxes(self) -> int:
        """Return the boxes on board."""
        return sum(load.boxes for load in self.carried)


@dataclass(frozen=True)
class Tour:
    """A round trip: it ends where it began."""

    legs: tuple[Leg, ...]

    @property
    def km(self) -> float:
        """Return the kilometres, the way back included."""
        return sum(leg.km for leg in self.legs)

    @property
    def loads(self) -> tuple[Load, ...]:
        """Return all that is carried, by number."""
        return tuple(
            sorted({load for leg in self.legs for load in leg.carried}, key=lambda x: (x.number, x.piece))
        )

    @property
    def most_boxes(self) -> int:
        """Return the most boxes that are on board at once."""
        return max((leg.boxes for leg in self.legs), default=0)

    def put_in(self, index: int) -> tuple[Load, ...]:
        """Return what is loaded at the beginning of a leg."""
        before = set(self.legs[index - 1].carried) if index else set()
        return tuple(load for load in self.legs[index].carried if load not in before)

    def taken_out(self, index: int) -> tuple[Load, ...]:
        """Return what is unloaded at the end of a leg."""
        after = set(self.legs[index + 1].carried) if index + 1 < len(self.legs) else set()
        return tuple(load for load in self.legs[index].carried if load not in after)


@dataclass(frozen=True)
class Limits:
    """What a tour of the bus may come to: km in all, boxes on board at once."""

    km: float = MOST_KM
    boxes: int = MOST_BOXES


@dataclass(frozen=True)
class Routes:
    """A way to carry everything.

    ``on_the_spot`` need not be driven, ``beyond`` are farther than a tour may go.
    """

    way: Carrying
    tours: tuple[Tour, ...]
    on_the_spot: tuple[Load, ...] = ()
    beyond: tuple[Load, ...] = ()

    @property
    def km(self) -> float:
        """Return the kilometres of all tours."""
        return sum(tour.km for tour in self.tours)

    @property
    def drives(self) -> int:
        """Return the number of tours."""
        return len(self.tours)


Roads = Mapping[tuple[int, int], float]
"""Kilometres by (place, place), both ways; every place is 0 km from itself."""


def boxes_for(copies: int, copies_per_box: int) -> int:
    """Return how many boxes so many copies fill; nobody else's books go into them."""
    return -(-copies // copies_per_box)


def routes(
    way: Carrying,
    loads: Iterable[Load],
    roads: Roads,
    *,
    place: int = CENTRE,
    limits: Limits | None = None,
    copies_per_box: int = COPIES_PER_BOX,
) -> Routes:
    """Return the tours that carry all ``loads``. ``place`` is where all meet, or where the bus starts.

    Only the bus has ``limits``. The same loads always give the same tours, in whichever order they come.
    """
    in_order = sorted(loads, key=lambda load: (load.number, load.piece))
    here = tuple(load for load in in_order if load.start == load.end)
    moving = [load for load in in_order if load.start != load.end]
    if way is Carrying.DIRECT:
        return Routes(way, _direct(moving, roads), here)
    if way is Carrying.HUB:
        return Routes(way, _hub(moving, roads, place), here)
    bus = _Bus(roads, place, limits or Limits(), copies_per_box)
    tours, beyond = bus.tours(moving)
    return Routes(way, tours, here, beyond)


# --- Each drives for itself -------------------------------------------------------------------------------


def _direct(loads: Sequence[Load], roads: Roads) -> tuple[Tour, ...]:
    """Return a drive there and back for each two places; who gets something back takes it home."""
    between: defaultdict[tuple[int, int], list[Load]] = defaultdict(list)
    for load in loads:
        between[load.start, load.end].append(load)
    tours = []
    for start, end in sorted(between):
        if (end, start) in between and end < start:
            continue
        there, back = between[start, end], between.get((end, start), [])
        tours.append(_there_and_back(start, end, there, back, roads))
    return tuple(tours)


def _hub(loads: Sequence[Load], roads: Roads, hub: int) -> tuple[Tour, ...]:
    """Return a drive to the hub and back for every place but the hub itself."""
    brought: defaultdict[int, list[Load]] = defaultdict(list)
    fetched: defaultdict[int, list[Load]] = defaultdict(list)
    for load in loads:
        brought[load.start].append(load)
        fetched[load.end].append(load)
    return tuple(
        _there_and_back(place, hub, brought[place], fetched[place], roads)
        for place in sorted({*brought, *fetched} - {hub})
    )


def _there_and_back(start: int, end: int, there: Sequence[Load], back: Sequence[Load], roads: Roads) -> Tour:
    return Tour(
        (
            Leg(start, end, roads[start, end], tuple(there)),
            Leg(end, start, roads[end, start], tuple(back)),
        )
    )


# --- The bus ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Stop:
    """Something to do on the way: pick a load up, or deliver it."""

    place: int
    load: Load
    picks: bool


_Way = tuple[_Stop, ...]


@dataclass(frozen=True)
class _Bus:
    """Round trips from ``depot``."""

    roads: Roads
    depot: int
    limits: Limits
    copies_per_box: int

    def tours(self, loads: Sequence[Load]) -> tuple[tuple[Tour, ...], tuple[Load, ...]]:
        """Return the tours, and the loads that no tour within the limit of km can carry."""
        beyond = tuple(load for load in loads if self._km(_alone(load)) > self.limits.km + _SAME)
        pieces = [piece for load in loads if load not in beyond for piece in self._pieces(load)]
        ways = {index: _alone(piece) for index, piece in enumerate(pieces)}
        in_way = {index: index for index in ways}
        # A way that has taken in another gets a new number: what did not go together never will.
        refused: set[tuple[int, int]] = set()
        numbers = count(len(pieces))
        for first, second in self._by_savings(pieces):
            one, other = sorted((in_way[first], in_way[second]))
            if one == other or (one, other) in refused:
                continue
            together = self._joined(ways[one], ways[other])
            if together is None:
                refused.add((one, other))
                continue
            number = next(numbers)
            ways[number] = together
            del ways[one], ways[other]
            in_way = {index: number if way in (one, other) else way for index, way in in_way.items()}
        tours = [self._tour(way) for way in ways.values()]
        return tuple(sorted(tours, key=lambda tour: _key(tour.loads[0]))), beyond

    def _pieces(self, load: Load) -> list[Load]:
        """Return a load in parts none of which is more than a full car."""
        full = self.limits.boxes * self.copies_per_box
        counts = [full] * (load.copies // full) + ([load.copies % full] if load.copies % full else [])
        return [
            replace(load, copies=copies, boxes=boxes_for(copies, self.copies_per_box), piece=piece)
            for piece, copies in enumerate(counts)
        ]

    def _by_savings(self, pieces: Sequence[Load]) -> list[tuple[int, int]]:
        """Return the pairs of loads that are worth one drive instead of two, the largest saving first."""
        savings = []
        for (first, one), (second, other) in combinations(enumerate(pieces), 2):
            saving = max(
                self.roads[self.depot, near] + self.roads[self.depot, far] - self.roads[near, far]
                for near in (one.start, one.end)
                for far in (other.start, other.end)
            )
            if saving > _SAME:
                savings.append((-saving, first, second))
        return [(first, second) for _saving, first, second in sorted(savings)]

    def _joined(self, one: _Way, other: _Way) -> _Way | None:
        """Return one way instead of two, ``None`` where that is no shorter or beyond the limits."""
        kept, taken_in = (one, other) if len(one) >= len(other) else (other, one)
        apart = self._km(one) + self._km(other)
        for stop in taken_in:
            if stop.picks:
                longer = self._with(kept, stop.load)
                if longer is None:
                    return None
                kept = longer
        return kept if self._km(kept) < apart - _SAME else None

    def _with(self, way: _Way, load: Load) -> _Way | None:
        """Return the way with a load put in where that makes it least longer, within the limits."""
        gaps = [
            gap for gap in range(len(way) + 1) if gap in (0, len(way)) or way[gap - 1].place != way[gap].place
        ]
        on_board = _on_board(way)
        most = self.limits.km - self._km(way) + _SAME
        best: tuple[float, int, int] | None = None
        for index, pick in enumerate(gaps):
            heaviest = 0
            for deliver in gaps[index:]:
                # With all that is carried from the one stop to the other.
                heaviest = max(heaviest, *on_board[pick : deliver + 1])
                if heaviest + load.boxes > self.limits.boxes:
                    break
                longer = self._longer(way, load, pick, deliver)
                if longer <= most and (best is None or longer < best[0] - _SAME):
                    best = longer, pick, deliver
        if best is None:
            return None
        _longer, pick, deliver = best
        return (
            *way[:pick],
            _Stop(load.start, load, picks=True),
            *way[pick:deliver],
            _Stop(load.end, load, picks=False),
            *way[deliver:],
        )

    def _longer(self, way: _Way, load: Load, pick: int, deliver: int) -> float:
        """Return by how many km the way grows when a load is put in."""
        before = way[pick - 1].place if pick else self.depot
        at_pick = way[pick].place if pick < len(way) else self.depot
        if pick == deliver:
            return (
                self.roads[before, load.start]
                + self.roads[load.start, load.end]
                + self.roads[load.end, at_pick]
                - self.roads[before, at_pick]
            )
        last = way[deliver - 1].place
        following = way[deliver].place if deliver < len(way) else self.depot
        return (
            self.roads[before, load.start]
            + self.roads[load.start, at_pick]
            - self.roads[before, at_pick]
            + self.roads[last, load.end]
            + self.roads[load.end, following]
            - self.roads[last, following]
        )

    def _km(self, way: _Way) -> float:
        places = [self.depot, *(stop.place for stop in way), self.depot]
        return sum(self.roads[pair] for pair in pairwise(places))

    def _tour(self, way: _Way) -> Tour:
        legs = []
        carried: list[Load] = []
        at = self.depot
        for stop in way:
            if stop.place != at:
                legs.append(Leg(at, stop.place, self.roads[at, stop.place], tuple(carried)))
                at = stop.place
            if stop.picks:
                carried.append(stop.load)
            else:
                carried.remove(stop.load)
        if at != self.depot:
            legs.append(Leg(at, self.depot, self.roads[at, self.depot]))
        return Tour(tuple(legs))


def _alone(load: Load) -> _Way:
    return _Stop(load.start, load, picks=True), _Stop(load.end, load, picks=False)


def _on_board(way: _Way) -> list[int]:
    """Return the boxes on board before each stop, and after the last."""
    return list(accumulate((stop.load.boxes if stop.picks else -stop.load.boxes for stop in way), initial=0))


def _key(load: Load) -> tuple[int, int]:
    return load.number, load.piece
