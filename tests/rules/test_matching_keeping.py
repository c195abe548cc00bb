"""What schools keep for themselves: no copy is lost, none is given that is needed."""

from __future__ import annotations

from collections import Counter
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.rules import KeptBack, Spare, Supply, keep_back
from exchange.transfers.rules import Kind

PLACES = [(holder, 1, part) for holder in (1, 2) for part in (1, 2)]


@st.composite
def supplies(draw: st.DrawFn) -> list[Supply]:
    return [
        Supply(
            id=number,
            holder=draw(st.integers(1, 2)),
            edition=draw(st.integers(1, 3)),
            textbook=1,
            part=draw(st.integers(1, 2)),
            year=draw(st.integers(2015, 2022)),
            copies=draw(st.integers(1, 30)),
            kind=draw(st.sampled_from(Kind)),
        )
        for number in range(draw(st.integers(0, 6)))
    ]


@st.composite
def spares(draw: st.DrawFn) -> dict[tuple[int, int, int], Spare]:
    found = {}
    for place in PLACES:
        if draw(st.booleans()):
            beyond_buffer, buffer = draw(st.integers(0, 30)), draw(st.integers(0, 10))
            found[place] = Spare(beyond_buffer, beyond_buffer + buffer, draw(st.booleans()))
    return found


def by_place(some: list[Supply]) -> Counter[tuple[int, int, int]]:
    found: Counter[tuple[int, int, int]] = Counter()
    for supply in some:
        found[supply.holder, supply.textbook, supply.part] += supply.copies
    return found


@given(supplies(), supplies(), spares())
def test_what_goes_and_what_stays_is_what_was_there(
    offered: list[Supply], unoffered: list[Supply], known: dict[tuple[int, int, int], Spare]
) -> None:
    goes, stays = keep_back(offered, unoffered, known, count(100))
    assert len({each.supply.id for each in stays} | {each.id for each in goes}) == len(stays) + len(goes)
    there, gone = by_place(offered), by_place(goes)
    for place in PLACES:
        spare = known.get(place)
        if spare is None or spare.estimated:
            assert gone[place] == there[place]
        else:
            assert gone[place] == min(there[place], spare.beyond_buffer)
            kept = Counter[KeptBack]()
            for each in stays:
                if (each.supply.holder, each.supply.textbook, each.supply.part) == place:
                    kept[each.reason] += each.supply.copies
            everything = there[place] + by_place(unoffered)[place]
            free = min(everything, spare.beyond_buffer)
            assert gone[place] + kept[KeptBack.NOT_OFFERED] == free
            assert kept[KeptBack.BUFFER] == min(everything, spare.beyond_need) - free
            assert kept[KeptBack.OWN_NEED] == max(0, there[place] - spare.beyond_need)


def test_the_oldest_copies_stay() -> None:
    old = Supply(id=1, holder=1, edition=1, textbook=1, part=1, year=2015, copies=5)
    new = Supply(id=2, holder=1, edition=2, textbook=1, part=1, year=2022, copies=5)
    goes, stays = keep_back([old, new], [], {(1, 1, 1): Spare(6, 8)}, count(100))
    assert [(supply.year, supply.copies) for supply in goes] == [(2022, 5), (2015, 1)]
    assert [(each.supply.year, each.supply.copies, each.reason) for each in stays] == [
        (2015, 2, KeptBack.BUFFER),
        (2015, 2, KeptBack.OWN_NEED),
    ]


def test_an_estimate_keeps_nothing_that_the_school_offers() -> None:
    offer = Supply(id=1, holder=1, edition=1, textbook=1, part=1, year=2022, copies=5)
    beside = Supply(id=2, holder=1, edition=1, textbook=1, part=1, year=2022, copies=4)
    goes, stays = keep_back([offer], [beside], {(1, 1, 1): Spare(7, 7, estimated=True)}, count(100))
    assert goes == [offer]
    assert [(each.supply.copies, each.reason) for each in stays] == [(2, KeptBack.NOT_OFFERED)]
