"""The matching problem: what is offered, what is needed, and the hard filters between them.

Formulation: givers (schools and the reserve fund) offer copies of editions, takers need copies of
textbooks; a *line* moves whole copies of one offer to one need, a *trip* is a pair (giver, taker) with at
least one line, and costs one act and one drive. Wanted, in this order: the most need covered (weighted),
the least taken from the fund, the fewest trips, the fewest copy-kilometres.

Several parts of one textbook are needed together. A need that lacks 5 copies of part 1 and 15 of part 2
is read as *layers*: 5 sets of both parts, then 10 single copies of part 2 (the taker has their part 1
already). A set counts when all its parts come, so the parts of a layer arrive in equal numbers.

Copies are whole copies, distances kilometres by road, identifiers are those of the stored offers,
requests and holders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

from exchange.errors import Invalid
from exchange.transfers.rules import Kind

# --- The problem ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Supply:
    """Copies of one edition that a holder offers.

    ``edition`` identifies textbook, ``year`` and ``part`` (0: in one volume). ``condition`` is a rank,
    higher is better. ``legal_until`` is the last day the book may be taught from; None: without limit.
    ``available_from`` is the first day it may leave; None: now.
    """

    id: int
    holder: int
    edition: int
    textbook: int
    part: int
    year: int
    copies: int
    kind: Kind = Kind.PERMANENT
    is_fund: bool = False
    condition: int = 0
    legal_until: date | None = None
    available_from: date | None = None


@dataclass(frozen=True)
class Need:
    """What a holder lacks of one textbook.

    ``parts`` pairs each part with the copies still missing of it. ``weight`` is the worth of one covered set.
    ``year_from`` is the oldest acceptable year, ``editions`` the only acceptable editions (None: any),
    ``condition_from`` the lowest acceptable rank, ``refused_by`` the holders that have declined this need,
    ``forbidden`` those the methodist rules out for it, ``preferred`` those the methodist wants first.
    With ``fetched_from`` those that it is fetched from however far the road.
    ``penalties`` pairs editions that serve as a substitute with what a copy of them costs, in kilometres of
    road. Without ``mixing`` all copies must be of one year of printing.
    """

    id: int
    taker: int
    textbook: int
    parts: tuple[tuple[int, int], ...]
    weight: int = 1
    kinds: frozenset[Kind] = frozenset(Kind)
    year_from: int | None = None
    editions: frozenset[int] | None = None
    condition_from: int = 0
    needed_by: date | None = None
    refused_by: frozenset[int] = frozenset()
    forbidden: frozenset[int] = frozenset()
    preferred: frozenset[int] = frozenset()
    fetched_from: frozenset[int] = frozenset()
    penalties: tuple[tuple[int, float], ...] = ()
    mixing: bool = True


@dataclass(frozen=True)
class Line:
    """At least so many copies of an offer go to a need, ``exact``: just so many. A locked proposal."""

    supply_id: int
    need_id: int
    copies: int
    exact: bool = False


class KeptBack(StrEnum):
    """Why copies that a holder has are not on offer."""

    OWN_NEED = "own_need"
    BUFFER = "buffer"
    NOT_OFFERED = "not_offered"
    LIMIT = "limit"
    FLOOR = "floor"


@dataclass(frozen=True)
class Kept:
    """Copies that a holder has and does not give, as a supply that no line may use.

    Its id is unlike that of every supply on offer: what would change a plan can be tried by moving it there.
    """

    supply: Supply
    reason: KeptBack


class FundUse(StrEnum):
    """When the reserve fund gives."""

    LAST = "last"
    """What the schools do not have, and nothing else."""
    FREELY = "freely"
    """Like a school."""
    NEVER = "never"


@dataclass(frozen=True)
class Controls:
    """What the methodist may turn. The defaults are strictly lexicographic: coverage before everything.

    ``give_up`` is the share of the best weighted coverage (0 to 1) that may be given up for fewer trips.
    ``fairness`` is the share (0 to 1) by which a school may fall behind what the fairest plan serves it;
    None: no such demand. ``smallest_parcel`` is the least number of copies worth a trip, fixed lines
    excepted. With ``by_road`` trips count as their kilometres, else as one each.
    """

    give_up: float = 0.0
    fairness: float | None = None
    fund: FundUse = FundUse.LAST
    smallest_parcel: int = 1
    by_road: bool = False


@dataclass(frozen=True)
class Problem:
    """Everything a plan is made from.

    ``supplies`` and ``needs`` include the copies of the ``fixed`` lines. ``km`` holds the road between
    two holders in either direction; a pair that is not there has no known road. ``year_end`` is the last
    day of the school year planned for. With ``max_km`` no line goes further, the fund's excepted.
    ``kept`` is what holders have and keep. ``forbidden`` are (giver, taker) between whom nothing may go,
    ``most_trips`` caps the trips of a giver, ``standing`` is the plan that a repair keeps to.
    ``lent`` are the copies that a holder has out on loan, each counted for every month begun, and ``balance``
    what it has given in the present school year less what it got: of plans that are equal otherwise, the one
    is made that asks those who wait for their books or have given the most for the least, and serves them
    first.
    """

    supplies: tuple[Supply, ...]
    needs: tuple[Need, ...]
    km: Mapping[tuple[int, int], float]
    today: date
    year_end: date
    fixed: tuple[Line, ...] = ()
    max_km: float | None = None
    kept: tuple[Kept, ...] = ()
    forbidden: frozenset[tuple[int, int]] = frozenset()
    most_trips: Mapping[int, int] = field(default_factory=dict)
    standing: tuple[Line, ...] = ()
    controls: Controls = Controls()
    lent: Mapping[int, int] = field(default_factory=dict)
    balance: Mapping[int, int] = field(default_factory=dict)

    def road(self, giver: int, taker: int) -> float | None:
        """Return the kilometres between two holders, None when the road is not known."""
        there = self.km.get((giver, taker))
        return self.km.get((taker, giver)) if there is None else there

    @property
    def limits_trips(self) -> bool:
        """Tell whether trips are capped or parcels may be too small: either may cost coverage."""
        return bool(self.most_trips) or self.controls.smallest_parcel > 1

    def in_order(self) -> Problem:
        """Return the same problem in the one order that a plan may depend on: by identifiers."""
        return replace(
            self,
            supplies=tuple(sorted(self.supplies, key=lambda supply: supply.id)),
            needs=tuple(sorted(self.needs, key=lambda need: need.id)),
            fixed=tuple(sorted(self.fixed, key=_by_ends)),
            kept=tuple(sorted(self.kept, key=lambda kept: kept.supply.id)),
            standing=tuple(sorted(self.standing, key=_by_ends)),
        )


def _by_ends(line: Line) -> tuple[int, int]:
    return line.supply_id, line.need_id


# --- The hard filters -----------------------------------------------------------------------------


class Refusal(StrEnum):
    """Why an offer may not serve a need."""

    OWN_SCHOOL = "own_school"
    NOT_LEGAL = "not_legal"
    LAST_YEAR = "last_year"
    EDITION = "edition"
    TOO_OLD = "too_old"
    LOAN_NOT_ACCEPTED = "loan_not_accepted"
    ONLY_LOAN_ACCEPTED = "only_loan_accepted"
    CONDITION = "condition"
    TOO_LATE = "too_late"
    REFUSED_BEFORE = "refused_before"
    FORBIDDEN = "forbidden"
    FUND_KEPT = "fund_kept"
    TOO_FAR = "too_far"


REFUSALS: Mapping[Refusal, str] = {
    Refusal.OWN_SCHOOL: "книга этой же школы",
    Refusal.NOT_LEGAL: "срок использования истекает до конца учебного года",
    Refusal.LAST_YEAR: "последний год использования: передавать насовсем не стоит, можно взять на время",
    Refusal.EDITION: "другое издание",
    Refusal.TOO_OLD: "год издания старше допустимого",
    Refusal.LOAN_NOT_ACCEPTED: "отдают только на время, а нужно насовсем",
    Refusal.ONLY_LOAN_ACCEPTED: "отдают только насовсем, а нужно на время",
    Refusal.CONDITION: "состояние хуже допустимого",
    Refusal.TOO_LATE: "освободится позже, чем нужно",
    Refusal.REFUSED_BEFORE: "держатель уже отказал по этой заявке",
    Refusal.FORBIDDEN: "методист исключил этого держателя",
    Refusal.FUND_KEPT: "резервный фонд в этом плане не участвует",
    Refusal.TOO_FAR: "слишком далеко",
}


def serves(supply: Supply, need: Need) -> bool:
    """Tell whether the offer is of a part of the textbook that is needed."""
    return supply.textbook == need.textbook and any(supply.part == part for part, _ in need.parts)


def allowed(supply: Supply, need: Need, problem: Problem) -> Refusal | None:
    """Return the first reason why the offer may not serve the need, None when it may.

    The offer is taken to be of the right textbook and part (`serves`). The reasons stand in the order in
    which a person would name them.
    """
    if supply.holder == need.taker:
        return Refusal.OWN_SCHOOL
    if supply.legal_until is not None:
        if supply.legal_until < problem.year_end:
            return Refusal.NOT_LEGAL
        year_after = problem.year_end.replace(year=problem.year_end.year + 1)
        if supply.kind is Kind.PERMANENT and supply.legal_until < year_after:
            return Refusal.LAST_YEAR
    if need.editions is not None and supply.edition not in need.editions:
        return Refusal.EDITION
    if need.year_from is not None and supply.year < need.year_from:
        return Refusal.TOO_OLD
    if supply.kind not in need.kinds:
        return Refusal.LOAN_NOT_ACCEPTED if supply.kind is Kind.LOAN else Refusal.ONLY_LOAN_ACCEPTED
    if supply.condition < need.condition_from:
        return Refusal.CONDITION
    # A date that has passed already no longer rules anything out: late is better than never.
    wanted_by = None if need.needed_by is None else max(need.needed_by, problem.today)
    if supply.available_from is not None and wanted_by is not None and supply.available_from > wanted_by:
        return Refusal.TOO_LATE
    if supply.holder in need.refused_by:
        return Refusal.REFUSED_BEFORE
    if supply.holder in need.forbidden or (supply.holder, need.taker) in problem.forbidden:
        return Refusal.FORBIDDEN
    if supply.is_fund and problem.controls.fund is FundUse.NEVER:
        return Refusal.FUND_KEPT
    if problem.max_km is not None and not supply.is_fund and supply.holder not in need.fetched_from:
        km = problem.road(supply.holder, need.taker)
        if km is None or km > problem.max_km:
            return Refusal.TOO_FAR
    return None


@dataclass(frozen=True)
class Layer:
    """Sets of the same parts that one need lacks; see the module's text."""

    need_id: int
    parts: tuple[int, ...]
    size: int


def layers(need: Need) -> tuple[Layer, ...]:
    """Split a need into layers of sets, those that lack the most parts first."""
    if len(need.parts) == 1:
        part, copies = need.parts[0]
        return (Layer(need.id, (part,), copies),) if copies > 0 else ()
    found = []
    below = 0
    for level in sorted({copies for _, copies in need.parts if copies > 0}):
        parts = tuple(sorted(part for part, copies in need.parts if copies >= level))
        found.append(Layer(need.id, parts, level - below))
        below = level
    return tuple(found)


def covered_by_layer(need: Need, received: Mapping[int, int]) -> tuple[int, ...]:
    """Return how many sets of each of the need's `layers` the ``received`` copies of each part complete.

    The total is the largest possible: layers are nested, so a set of a deep layer that gives way to one of a
    shallow layer never frees room for two.
    """
    left = dict(received)
    sets = []
    for layer in layers(need):
        complete = min(layer.size, *(left.get(part, 0) for part in layer.parts))
        for part in layer.parts:
            left[part] = left.get(part, 0) - complete
        sets.append(complete)
    return tuple(sets)


def completing(need: Need, received: Mapping[int, int]) -> dict[int, int]:
    """Return how many of the ``received`` copies of each of the need's parts complete a set."""
    complete = list(zip(covered_by_layer(need, received), layers(need), strict=True))
    return {part: sum(sets for sets, layer in complete if part in layer.parts) for part, _ in need.parts}


def locked_years(problem: Problem) -> dict[int, frozenset[int]]:
    """Return the years of printing that fixed lines bring to needs without mixing: no other year may join."""
    years = {supply.id: supply.year for supply in problem.supplies}
    unmixed = {need.id for need in problem.needs if not need.mixing}
    found: dict[int, frozenset[int]] = {}
    for line in problem.fixed:
        if line.need_id in unmixed:
            found[line.need_id] = found.get(line.need_id, frozenset()) | {years[line.supply_id]}
    return found


def serveable(problem: Problem) -> dict[int, int]:
    """Return the most sets that each need could have if all that may serve it went to it alone, by its id."""
    offers: dict[tuple[int, int], list[Supply]] = {}
    for supply in problem.supplies:
        offers.setdefault((supply.textbook, supply.part), []).append(supply)
    fixed = {(line.supply_id, line.need_id): line for line in problem.fixed}
    years = locked_years(problem)
    found = {}
    for need in problem.needs:
        missing = dict(need.parts)
        room: dict[int, Counter[int]] = {}
        for part in missing:
            for supply in offers.get((need.textbook, part), ()):
                line = fixed.get((supply.id, need.id))
                copies = 0 if allowed(supply, need, problem) else supply.copies
                if line is not None:
                    copies = line.copies if line.exact else max(copies, line.copies)
                if need.mixing:
                    year = 0
                elif need.id not in years:
                    year = supply.year  # the best year counts
                elif supply.year in years[need.id]:
                    year = 0
                else:
                    continue
                room.setdefault(year, Counter())[part] += copies
        found[need.id] = max(
            (
                sum(
                    covered_by_layer(need, {part: min(copies, missing[part]) for part, copies in got.items()})
                )
                for got in room.values()
            ),
            default=0,
        )
    return found


def distance(km: float | None) -> float:
    """Order roads by length, unknown ones last."""
    return float("inf") if km is None else km


def check_fixed(problem: Problem) -> None:
    """Refuse fixed lines that name unknown offers or needs, or more copies than there are."""
    supplies = {supply.id: supply for supply in problem.supplies}
    needs = {need.id: need for need in problem.needs}
    given: Counter[int] = Counter()
    taken: Counter[tuple[int, int]] = Counter()
    for line in problem.fixed:
        supply, need = supplies.get(line.supply_id), needs.get(line.need_id)
        if supply is None or need is None or line.copies < 1 or not serves(supply, need):
            raise Invalid("Закреплённая строка не подходит ни к одной заявке: её нужно снять.")
        given[supply.id] += line.copies
        taken[need.id, supply.part] += line.copies
        if given[supply.id] > supply.copies:
            raise Invalid(
                "Закреплено %(fixed)s экз., а отдают %(copies)s.",
                fixed=given[supply.id],
                copies=supply.copies,
            )
        missing = dict(need.parts)[supply.part]
        if taken[need.id, supply.part] > missing:
            raise Invalid(
                "Закреплено %(fixed)s экз., а нужно %(copies)s.",
                fixed=taken[need.id, supply.part],
                copies=missing,
            )


# --- The worth of a need ----------------------------------------------------------------------------

#: A pupil without a book in these grades counts double: the first, and those that end in an examination.
FIRST_AND_EXAM_GRADES = frozenset({1, 9, 11})


def weight_of(grades: Iterable[int], missing: int, pupils: int) -> int:
    """Return the worth of one covered set: double for first and exam grades, doubled again where more than
    half of the pupils have no book.
    """
    weight = 2 if FIRST_AND_EXAM_GRADES.intersection(grades) else 1
    return weight * 2 if pupils and missing * 2 > pupils else weight
