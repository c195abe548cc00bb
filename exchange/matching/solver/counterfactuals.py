"""What each change would bring, by solving the coverage of its textbook again.

Thousands of small problems of one textbook each are put side by side into one programme: they share no row,
and one programme costs the optimiser far less than a thousand.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from exchange.matching.rules import (
    Alteration,
    Controls,
    Counterfactual,
    FundUse,
    Kept,
    Line,
    Need,
    Problem,
    Result,
    Step,
    StepKind,
    Supply,
    applied,
    possible_changes,
    worth_telling,
)
from exchange.matching.solver.network import Network
from exchange.matching.solver.programme import Floats

#: So many needs stand in one programme.
AT_ONCE = 1500
#: Where copies of several years must not be mixed each trial is an integer programme of its own: so many are
#: tried at most, those of the largest needs.
MOST_UNMIXED = 60


@dataclass(frozen=True)
class _Reached:
    """Coverage of one textbook: weight, and over all plans of this weight the least sets of it, and the least
    and the most sets of the need in question.
    """

    weight: int
    sets: int
    own: int
    own_at_most: int


@dataclass(frozen=True)
class _Trial:
    """One textbook's problem, and the need in question."""

    problem: Problem
    need_id: int


def counterfactuals(
    problem: Problem, result: Result, need_ids: Collection[int] | None = None
) -> dict[int, tuple[Counterfactual, ...]]:
    """Return for each uncovered need (of ``need_ids``, else all) the changes that would cover more.

    The most worth come first; what is worth no more than a smaller change is left out.
    """
    open_needs = {item.need_id for item in result.uncovered}
    wanted = open_needs if need_ids is None else open_needs & set(need_ids)
    covered = {need_id: sets for need_id, sets, _ in result.covered}
    limited = _is_limited(problem)
    by_textbook = _by_textbook(problem, {need.textbook for need in problem.needs if need.id in wanted})

    asked: list[tuple[Problem, Need, Alteration]] = []
    for own in by_textbook.values():
        for need in own.needs:
            if need.id not in wanted:
                continue
            if limited:
                asked.append((own, need, Alteration(need.id, (Step(StepKind.LIMITS),))))
            asked += [(own, need, change) for change in possible_changes(own, need)]
    missing = {item.need_id: item.missing for item in result.uncovered}
    hard = {textbook for textbook, own in by_textbook.items() if _is_hard(own)}
    largest = sorted(
        (number for number, (_, need, _) in enumerate(asked) if need.textbook in hard),
        key=lambda number: (-missing[asked[number][1].id], number),
    )
    left_out = set(largest[MOST_UNMIXED:])
    asked = [one for number, one in enumerate(asked) if number not in left_out]
    trials = (_Trial(applied(own, change), need.id) for own, need, change in asked)
    found: dict[int, list[Counterfactual]] = defaultdict(list)
    for (own, need, change), reached in zip(asked, _reached(trials), strict=True):
        weight = sum(other.weight * covered[other.id] for other in own.needs)
        if reached.weight <= weight or reached.own_at_most <= covered[need.id]:
            continue
        found[need.id].append(
            Counterfactual(
                change=change,
                more=reached.sets - sum(covered[other.id] for other in own.needs),
                own=max(0, reached.own - covered[need.id]),
                weight=reached.weight - weight,
                certain=not limited or change.steps[0].kind is StepKind.LIMITS,
            )
        )
    return {need_id: worth_telling(changes) for need_id, changes in sorted(found.items())}


def without_giver(problem: Problem, need_id: int, giver: int) -> tuple[int, int]:
    """Return the weighted coverage and the sets that the district loses where ``giver`` gives nothing for the
    need. What is locked there is let go for the trial.
    """
    need = next(need for need in problem.needs if need.id == need_id)
    own = _by_textbook(problem, {need.textbook})[need.textbook]
    without = replace(
        own,
        needs=tuple(
            replace(other, forbidden=other.forbidden | {giver}) if other.id == need_id else other
            for other in own.needs
        ),
        fixed=tuple(
            line for line in own.fixed if line.need_id != need_id or _holder_of(own, line.supply_id) != giver
        ),
    )
    now, then = _reached([_Trial(own, need_id), _Trial(without, need_id)])
    return now.weight - then.weight, now.sets - then.sets


def _holder_of(problem: Problem, supply_id: int) -> int:
    return next(supply.holder for supply in problem.supplies if supply.id == supply_id)


def _is_limited(problem: Problem) -> bool:
    """Tell whether coverage is given up for trips."""
    return problem.controls.give_up > 0 or problem.limits_trips


def _is_hard(own: Problem) -> bool:
    """Tell whether needs of one textbook, on offer in several years, compete for copies of one year each."""
    return len({supply.year for supply in own.supplies}) > 1 and not all(need.mixing for need in own.needs)


def _by_textbook(problem: Problem, wanted: Collection[int]) -> dict[int, Problem]:
    """Return the part of the problem that concerns each textbook."""
    supplies: dict[int, list[Supply]] = defaultdict(list)
    for supply in problem.supplies:
        supplies[supply.textbook].append(supply)
    needs: dict[int, list[Need]] = defaultdict(list)
    for need in problem.needs:
        needs[need.textbook].append(need)
    kept: dict[int, list[Kept]] = defaultdict(list)
    for one in problem.kept:
        kept[one.supply.textbook].append(one)
    textbook_of = {supply.id: supply.textbook for supply in problem.supplies}
    fixed: dict[int, list[Line]] = defaultdict(list)
    for line in problem.fixed:
        fixed[textbook_of[line.supply_id]].append(line)
    return {
        textbook: replace(
            problem,
            supplies=tuple(supplies[textbook]),
            needs=tuple(needs[textbook]),
            kept=tuple(kept[textbook]),
            fixed=tuple(fixed[textbook]),
            standing=(),
        )
        for textbook in sorted(wanted)
    }


def _reached(trials: Iterable[_Trial]) -> Iterator[_Reached]:
    """Solve the trials, as many at once as are good for the optimiser."""
    waiting: list[_Trial] = []
    size = 0
    for trial in trials:
        waiting.append(trial)
        size += len(trial.problem.needs)
        if size >= AT_ONCE:
            yield from _solved(waiting)
            waiting, size = [], 0
    if waiting:
        yield from _solved(waiting)


def _solved(trials: Sequence[_Trial]) -> Iterator[_Reached]:
    together, in_question = _side_by_side(trials)
    network = Network(together)
    network.minimise(network.coverage_cost())
    weights = _totals(network, weighted=True)
    network.keep()
    own = np.array([float(need.id in in_question) for need, _ in network.sets])
    network.minimise(network.set_cost(np.ones(len(network.sets))))
    least = _totals(network)
    network.minimise(network.set_cost(own))
    own_least = _totals(network, in_question)
    network.minimise(network.set_cost(-own))
    own_most = _totals(network, in_question)
    for number in range(len(trials)):
        yield _Reached(weights[number], least[number], own_least[number], own_most[number])


def _totals(network: Network, only: Collection[int] | None = None, *, weighted: bool = False) -> Counter[int]:
    """Return the covered sets of each trial (its number is its textbook), of the needs ``only`` if given."""
    totals: Counter[int] = Counter()
    count = len(network.lines)
    values: Floats = network.values[count : count + len(network.sets)]
    for (need, _), sets in zip(network.sets, values, strict=True):
        if only is None or need.id in only:
            totals[need.textbook] += round(sets) * (need.weight if weighted else 1)
    return totals


def _side_by_side(trials: Sequence[_Trial]) -> tuple[Problem, set[int]]:
    """Return one problem of all trials, each a textbook of its own; and the needs in question."""
    supplies: list[Supply] = []
    needs: list[Need] = []
    fixed: list[Line] = []
    in_question: set[int] = set()
    for number, trial in enumerate(trials):
        own = trial.problem
        supply_ids, need_ids = {}, {}
        fund = frozenset(supply.holder for supply in own.supplies if supply.is_fund)
        shut = fund if own.controls.fund is FundUse.NEVER else frozenset()
        for supply in sorted(own.supplies, key=lambda supply: supply.id):
            supply_ids[supply.id] = len(supplies)
            supplies.append(replace(supply, id=len(supplies), textbook=number))
        for need in sorted(own.needs, key=lambda need: need.id):
            if need.id == trial.need_id:
                in_question.add(len(needs))
            need_ids[need.id] = len(needs)
            # What the trials' problems differ in goes into their needs.
            pairs = frozenset(giver for giver, taker in own.forbidden if taker == need.taker)
            forbidden = need.forbidden | pairs | shut
            needs.append(replace(need, id=len(needs), textbook=number, forbidden=forbidden))
        for line in own.fixed:
            fixed.append(replace(line, supply_id=supply_ids[line.supply_id], need_id=need_ids[line.need_id]))
    together = replace(
        trials[0].problem,
        supplies=tuple(supplies),
        needs=tuple(needs),
        fixed=tuple(fixed),
        kept=(),
        standing=(),
        forbidden=frozenset(),
        most_trips={},
        controls=Controls(),
    )
    return together, in_question
