"""Route sheets: everything is carried once, from its giver to its taker, within the limits."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.rules import CENTRE, Carrying, Limits, Load, Roads, Routes, Tour, boxes_for, routes

PER_BOX = 10
PLACES = 7


@st.composite
def carriages(draw: st.DrawFn) -> tuple[list[Load], Roads]:
    """Loads between places of a plane, the education office in its middle."""
    points = draw(
        st.lists(st.tuples(st.integers(-40, 40), st.integers(-40, 40)), min_size=PLACES, max_size=PLACES)
    )
    spots = dict(enumerate([(0, 0), *points]))
    roads = {(a, b): math.dist(spots[a], spots[b]) for a in spots for b in spots}
    place = st.integers(CENTRE, PLACES)
    rows = draw(st.lists(st.tuples(place, place, st.integers(1, 90)), max_size=12))
    loads = [
        Load(number, start, end, copies, boxes_for(copies, PER_BOX))
        for number, (start, end, copies) in enumerate(rows, start=1)
    ]
    return loads, roads


limits = st.builds(Limits, km=st.integers(20, 400).map(float), boxes=st.integers(1, 12))


def carried(found: Routes) -> Counter[int]:
    """Return the copies by load that are carried, need not be, or cannot be."""
    count: Counter[int] = Counter()
    for load in (
        *(load for tour in found.tours for load in tour.loads),
        *found.on_the_spot,
        *found.beyond,
    ):
        count[load.number] += load.copies
    return count


def check_drive(tour: Tour, roads: Roads) -> None:
    """Check that a tour is one round trip along the roads."""
    assert tour.legs[0].start == tour.legs[-1].end
    for leg, following in pairwise(tour.legs):
        assert leg.end == following.start
    for leg in tour.legs:
        assert leg.km == roads[leg.start, leg.end]
        assert leg.start != leg.end


def check_aboard(tour: Tour) -> None:
    """Check that every load is put in once, at its giver's, and taken out once after that, at its taker's."""
    on = {load: [i for i, leg in enumerate(tour.legs) if load in leg.carried] for load in tour.loads}
    for load, legs in on.items():
        assert legs == list(range(legs[0], legs[-1] + 1))
        assert tour.legs[legs[0]].start == load.start
        assert tour.legs[legs[-1]].end == load.end
    for index, leg in enumerate(tour.legs):
        assert set(tour.put_in(index)) == {load for load, legs in on.items() if legs[0] == index}
        assert set(tour.taken_out(index)) == {load for load, legs in on.items() if legs[-1] == index}
        assert len(set(leg.carried)) == len(leg.carried)


@given(carriages(), limits, st.sampled_from([Carrying.DIRECT, Carrying.BUS]), st.integers(CENTRE, PLACES))
def test_every_copy_is_picked_up_once_and_then_delivered_once(
    carriage: tuple[list[Load], Roads], within: Limits, way: Carrying, place: int
) -> None:
    loads, roads = carriage
    found = routes(way, loads, roads, place=place, limits=within, copies_per_box=PER_BOX)
    assert carried(found) == Counter({load.number: load.copies for load in loads})
    for tour in found.tours:
        check_drive(tour, roads)
        check_aboard(tour)
    aboard = [load for tour in found.tours for load in tour.loads]
    assert len(set(aboard)) == len(aboard)
    assert {load.number for load in found.on_the_spot} == {x.number for x in loads if x.start == x.end}


@given(carriages(), st.integers(CENTRE, PLACES))
def test_at_the_hub_what_was_brought_is_fetched(carriage: tuple[list[Load], Roads], hub: int) -> None:
    loads, roads = carriage
    found = routes(Carrying.HUB, loads, roads, place=hub)
    brought: defaultdict[int, list[int]] = defaultdict(list)
    fetched: defaultdict[int, list[int]] = defaultdict(list)
    for tour in found.tours:
        check_drive(tour, roads)
        there, back = tour.legs
        assert there.end == hub
        for load in there.carried:
            brought[load.number].append(there.start)
        for load in back.carried:
            fetched[load.number].append(back.end)
    moving = [load for load in loads if load.start != load.end]
    for load in moving:
        assert brought[load.number] == ([load.start] if load.start != hub else [])
        assert fetched[load.number] == ([load.end] if load.end != hub else [])
    # A drive for every school, not for every trip.
    assert found.drives == len({place for load in moving for place in (load.start, load.end)} - {hub})


@given(carriages(), limits, st.integers(CENTRE, PLACES))
def test_no_tour_of_the_bus_is_beyond_its_limits(
    carriage: tuple[list[Load], Roads], within: Limits, depot: int
) -> None:
    loads, roads = carriage
    found = routes(Carrying.BUS, loads, roads, place=depot, limits=within, copies_per_box=PER_BOX)
    for tour in found.tours:
        assert tour.km <= within.km + 1e-6
        assert tour.most_boxes <= within.boxes
        assert tour.legs[0].start == depot
        for load in tour.loads:
            assert load.boxes == boxes_for(load.copies, PER_BOX)
    for load in found.beyond:
        alone = roads[depot, load.start] + roads[load.start, load.end] + roads[load.end, depot]
        assert alone > within.km


@given(carriages(), limits)
def test_the_bus_drives_no_farther_than_a_drive_for_each(
    carriage: tuple[list[Load], Roads], within: Limits
) -> None:
    loads, roads = carriage
    found = routes(Carrying.BUS, loads, roads, limits=within, copies_per_box=PER_BOX)
    apart = sum(
        roads[CENTRE, load.start] + roads[load.start, load.end] + roads[load.end, CENTRE]
        for tour in found.tours
        for load in tour.loads
    )
    assert found.km <= apart + 1e-6


@given(carriages(), limits, st.sampled_from(Carrying), st.randoms(use_true_random=False))
def test_the_same_loads_give_the_same_tours(
    carriage: tuple[list[Load], Roads], within: Limits, way: Carrying, random: object
) -> None:
    loads, roads = carriage
    shuffled = list(loads)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert routes(way, loads, roads, limits=within, copies_per_box=PER_BOX) == routes(
        way, shuffled, roads, limits=within, copies_per_box=PER_BOX
    )


def on_a_line(*spots: float) -> Roads:
    """Return the roads between the office at 0 km and schools 1, 2, … along one road."""
    at = dict(enumerate([0.0, *spots]))
    return {(a, b): abs(at[a] - at[b]) for a in at for b in at}


def stops(tour: Tour) -> Sequence[int]:
    return [tour.legs[0].start, *(leg.end for leg in tour.legs)]


def test_one_bus_serves_a_row_of_schools() -> None:
    loads = [Load(1, 1, 2, 10, 1), Load(2, 2, 3, 10, 1), Load(3, 1, 3, 10, 1)]
    (tour,) = routes(Carrying.BUS, loads, on_a_line(10, 20, 30)).tours
    assert stops(tour) == [0, 1, 2, 3, 0]
    assert [leg.copies for leg in tour.legs] == [0, 20, 20, 0]
    assert tour.km == 60


def test_a_full_car_goes_twice() -> None:
    loads = [Load(1, 1, 2, 50, 5)]
    found = routes(Carrying.BUS, loads, on_a_line(10, 20), limits=Limits(50, 2), copies_per_box=10)
    assert [[load.copies for load in tour.loads] for tour in found.tours] == [[20], [20], [10]]


def test_what_is_too_far_is_named() -> None:
    loads = [Load(1, 1, 2, 10, 1), Load(2, 1, 3, 10, 1)]
    found = routes(Carrying.BUS, loads, on_a_line(10, 20, 90), limits=Limits(50, 9))
    assert [load.number for load in found.beyond] == [2]
    assert found.km == 40


def test_who_swaps_drives_once() -> None:
    loads = [Load(1, 1, 2, 14, 1), Load(2, 2, 1, 9, 1), Load(3, 1, 3, 5, 1)]
    found = routes(Carrying.DIRECT, loads, on_a_line(10, 20, 30))
    assert [[leg.copies for leg in tour.legs] for tour in found.tours] == [[14, 9], [5, 0]]
    assert found.km == 2 * 10 + 2 * 20


@pytest.mark.parametrize(("copies", "boxes"), [(1, 1), (20, 1), (21, 2), (40, 2)])
def test_a_box_begun_is_a_box(copies: int, boxes: int) -> None:
    assert boxes_for(copies, 20) == boxes


def shortest(loads: Sequence[Load], roads: Roads) -> float:
    """Return the length of the best single round trip, trying every order of the stops."""
    doings = [(load.number, at, picks) for load in loads for at, picks in ((load.start, 1), (load.end, 0))]
    best = math.inf
    for order in permutations(doings):
        if any(order.index((x.number, x.start, 1)) > order.index((x.number, x.end, 0)) for x in loads):
            continue
        places = [CENTRE, *(at for _number, at, _picks in order), CENTRE]
        best = min(best, sum(roads[pair] for pair in pairwise(places)))
    return best


@given(carriages())
def test_the_bus_is_never_better_than_the_best(carriage: tuple[list[Load], Roads]) -> None:
    loads, roads = carriage
    few = [load for load in loads if load.start != load.end][:3]
    found = routes(Carrying.BUS, few, roads, limits=Limits(10_000, 1_000), copies_per_box=PER_BOX)
    if found.drives == 1:
        assert found.km >= shortest(few, roads) - 1e-6
