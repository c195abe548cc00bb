"""What would cover more: changes of one need's conditions, each of which comes true when it is tried.

A **change** is one or two steps away from the problem as it is. Needs of different textbooks share no copies,
so a change of one textbook's problem leaves the coverage of every other textbook where it is: what a change
is worth is found, and proven, on that textbook alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any

from exchange.matching.rules.explanations import Sentence
from exchange.matching.rules.problem import (
    FundUse,
    Kept,
    KeptBack,
    Need,
    Problem,
    Refusal,
    Supply,
    allowed,
)
from exchange.transfers.rules import Kind


class StepKind(StrEnum):
    """What a step gives way in."""

    YEAR = "year"
    """The need accepts printings from the year ``number`` on."""
    EDITION = "edition"
    """The need accepts the edition ``number`` too."""
    CONDITION = "condition"
    """The need accepts copies of the rank ``number`` and better."""
    LOAN = "loan"
    """The need accepts loans."""
    FOR_GOOD = "for_good"
    """The need accepts copies for good."""
    LEND = "lend"
    """Copies in their last year, offered for good, are lent."""
    DATE = "date"
    """The need waits until ``day``."""
    ASK = "ask"
    """The holder ``number``, who refused, gives after all."""
    PERMIT = "permit"
    """The methodist no longer rules out the holder ``number`` for this need."""
    FUND = "fund"
    """The reserve fund gives for this need."""
    FETCH = "fetch"
    """This need is fetched from the holder ``number``, though it is too far or the road is not known."""
    RELEASE = "release"
    """The holder ``number`` gives what it keeps of this textbook for the reason ``kept``."""
    MIXING = "mixing"
    """The need accepts copies of several years."""
    LIMITS = "limits"
    """Nothing is given up for fewer trips: no smallest parcel, no most trips."""


@dataclass(frozen=True)
class Step:
    """One concession; what its numbers mean is said at `StepKind`."""

    kind: StepKind
    number: int | None = None
    day: date | None = None
    kept: KeptBack | None = None

    def includes(self, other: Step) -> bool:
        """Tell whether whoever takes this step has taken the other too."""
        if self.kind is not other.kind:
            return False
        if self.kind in {StepKind.YEAR, StepKind.CONDITION}:
            return (self.number or 0) <= (other.number or 0)
        if self.kind is StepKind.DATE:
            return (self.day or date.min) >= (other.day or date.min)
        return self == other


@dataclass(frozen=True)
class Alteration:
    """Steps, taken together, that concern one need."""

    need_id: int
    steps: tuple[Step, ...]

    def includes(self, other: Alteration) -> bool:
        """Tell whether whoever makes this change has made the other too."""
        return all(any(mine.includes(step) for mine in self.steps) for step in other.steps)


@dataclass(frozen=True)
class Counterfactual:
    """What a change is worth, in a plan made anew.

    ``weight`` is what the district's weighted coverage gains, ``more`` the sets that the need's textbook
    gains in the whole district, ``own`` those that the need itself gains at the least: rivals of equal worth
    may get the rest. Where a textbook comes in several volumes and plans of equal worth differ in sets,
    ``more`` is the least of them. Without ``certain`` the plan gives coverage up for fewer trips, and the
    numbers are the most that the change can bring.
    """

    change: Alteration
    more: int
    own: int
    weight: int
    certain: bool = True


# --- Making a change ----------------------------------------------------------------------------------


def applied(problem: Problem, change: Alteration) -> Problem:
    """Return the problem as it would be after the change; no other need is better off at first hand, except
    that copies released or lent are there for every need of the textbook.
    """
    for step in change.steps:
        problem = _APPLIED[step.kind](problem, change.need_id, step)
    return problem


def _for_need(change: Callable[[Need, Step], Need]) -> Callable[[Problem, int, Step], Problem]:
    def apply(problem: Problem, need_id: int, step: Step) -> Problem:
        needs = (change(need, step) if need.id == need_id else need for need in problem.needs)
        return replace(problem, needs=tuple(needs))

    return apply


def _with_year(need: Need, step: Step) -> Need:
    return replace(need, year_from=step.number)


def _with_edition(need: Need, step: Step) -> Need:
    return replace(need, editions=(need.editions or frozenset()) | {step.number or 0})


def _with_condition(need: Need, step: Step) -> Need:
    return replace(need, condition_from=step.number or 0)


def _with_loans(need: Need, step: Step) -> Need:
    return replace(need, kinds=need.kinds | {Kind.LOAN})


def _for_good(need: Need, step: Step) -> Need:
    return replace(need, kinds=need.kinds | {Kind.PERMANENT})


def _later(need: Need, step: Step) -> Need:
    return replace(need, needed_by=step.day)


def _asked_again(need: Need, step: Step) -> Need:
    return replace(need, refused_by=need.refused_by - {step.number or 0})


def _fetched(need: Need, step: Step) -> Need:
    return replace(need, fetched_from=need.fetched_from | {step.number or 0})


def _mixed(need: Need, step: Step) -> Need:
    return replace(need, mixing=True)


def _permitted(problem: Problem, need_id: int, step: Step) -> Problem:
    """Lift what forbids the holder for this need alone: the taker's other needs stay without it."""
    giver = step.number or 0
    taker = next(need.taker for need in problem.needs if need.id == need_id)
    pair_forbidden = (giver, taker) in problem.forbidden
    needs = []
    for need in problem.needs:
        if need.id == need_id:
            need = replace(need, forbidden=need.forbidden - {giver})
        elif need.taker == taker and pair_forbidden:
            need = replace(need, forbidden=need.forbidden | {giver})
        needs.append(need)
    return replace(problem, needs=tuple(needs), forbidden=problem.forbidden - {(giver, taker)})


def _from_fund(problem: Problem, need_id: int, step: Step) -> Problem:
    """Let the fund give for this need alone."""
    everything = (*problem.supplies, *(kept.supply for kept in problem.kept))
    fund = frozenset(supply.holder for supply in everything if supply.is_fund)
    needs = (
        need if need.id == need_id else replace(need, forbidden=need.forbidden | fund)
        for need in problem.needs
    )
    return replace(problem, needs=tuple(needs), controls=replace(problem.controls, fund=FundUse.LAST))


def _released(problem: Problem, need_id: int, step: Step) -> Problem:
    textbook = next(need.textbook for need in problem.needs if need.id == need_id)

    def freed(kept: Kept) -> bool:
        return (kept.supply.textbook, kept.supply.holder, kept.reason) == (textbook, step.number, step.kept)

    return replace(
        problem,
        supplies=problem.supplies + tuple(kept.supply for kept in problem.kept if freed(kept)),
        kept=tuple(kept for kept in problem.kept if not freed(kept)),
    )


def _lent(problem: Problem, need_id: int, step: Step) -> Problem:
    """Lend what is in its last year; what is locked stays as it was agreed."""
    need = next(need for need in problem.needs if need.id == need_id)
    fixed = {line.supply_id for line in problem.fixed}

    def lend(supply: Supply) -> Supply:
        last = supply.textbook == need.textbook and _is_last_year(supply, problem) and supply.id not in fixed
        return replace(supply, kind=Kind.LOAN) if last else supply

    return replace(problem, supplies=tuple(lend(supply) for supply in problem.supplies))


def _is_last_year(supply: Supply, problem: Problem) -> bool:
    anybody = Need(id=0, taker=-1, textbook=supply.textbook, parts=((supply.part, 1),))
    return supply.holder != -1 and allowed(supply, anybody, problem) is Refusal.LAST_YEAR


def _without_limits(problem: Problem, need_id: int, step: Step) -> Problem:
    controls = replace(problem.controls, give_up=0.0, smallest_parcel=1)
    return replace(problem, controls=controls, most_trips={})


_APPLIED: Mapping[StepKind, Callable[[Problem, int, Step], Problem]] = {
    StepKind.YEAR: _for_need(_with_year),
    StepKind.EDITION: _for_need(_with_edition),
    StepKind.CONDITION: _for_need(_with_condition),
    StepKind.LOAN: _for_need(_with_loans),
    StepKind.FOR_GOOD: _for_need(_for_good),
    StepKind.LEND: _lent,
    StepKind.DATE: _for_need(_later),
    StepKind.ASK: _for_need(_asked_again),
    StepKind.PERMIT: _permitted,
    StepKind.FUND: _from_fund,
    StepKind.FETCH: _for_need(_fetched),
    StepKind.RELEASE: _released,
    StepKind.MIXING: _for_need(_mixed),
    StepKind.LIMITS: _without_limits,
}


# --- Which changes there are ----------------------------------------------------------------------------

#: A change of more steps is nothing that a person would try.
MOST_STEPS = 2


def possible_changes(problem: Problem, need: Need) -> tuple[Alteration, ...]:
    """Return the changes after which a copy could serve the need that cannot now, the smallest first.

    What a holder keeps for its own pupils is left to them.
    """
    found: dict[Alteration, None] = {}
    missing = {part for part, copies in need.parts if copies}
    on_offer = [(supply, None) for supply in problem.supplies]
    kept = [(kept.supply, kept.reason) for kept in problem.kept if kept.reason is not KeptBack.OWN_NEED]
    for supply, reason in [*on_offer, *kept]:
        if supply.textbook == need.textbook and supply.part in missing and supply.holder != need.taker:
            steps = _steps_to(supply, reason, need, problem)
            if steps:
                found[Alteration(need.id, steps)] = None
    if not need.mixing:
        found[Alteration(need.id, (Step(StepKind.MIXING),))] = None
    return tuple(sorted(found, key=_simplest_first))


def _simplest_first(change: Alteration) -> tuple[object, ...]:
    return len(change.steps), [
        # The least concession first: newer years, better condition, earlier days.
        (list(StepKind).index(step.kind), -(step.number or 0), step.day or date.min, step.kept or "")
        for step in change.steps
    ]


def _steps_to(supply: Supply, reason: KeptBack | None, need: Need, problem: Problem) -> tuple[Step, ...]:
    """Return the steps after which the copies may serve the need; none where they may now, or never."""
    steps: list[Step] = []
    if reason is not None:
        steps.append(Step(StepKind.RELEASE, number=supply.holder, kept=reason))
    trial = replace(problem, supplies=(supply,), needs=(need,), kept=(), fixed=(), standing=())
    while refusal := allowed(trial.supplies[0], trial.needs[0], trial):
        if refusal not in _REMEDIES or len(steps) == MOST_STEPS:
            return ()
        steps.append(_REMEDIES[refusal](supply))
        trial = applied(trial, Alteration(need.id, (steps[-1],)))
    return tuple(sorted(steps, key=lambda step: list(StepKind).index(step.kind)))


_REMEDIES: Mapping[Refusal, Callable[[Supply], Step]] = {
    Refusal.LAST_YEAR: lambda supply: Step(StepKind.LEND),
    Refusal.EDITION: lambda supply: Step(StepKind.EDITION, number=supply.edition),
    Refusal.TOO_OLD: lambda supply: Step(StepKind.YEAR, number=supply.year),
    Refusal.LOAN_NOT_ACCEPTED: lambda supply: Step(StepKind.LOAN),
    Refusal.ONLY_LOAN_ACCEPTED: lambda supply: Step(StepKind.FOR_GOOD),
    Refusal.CONDITION: lambda supply: Step(StepKind.CONDITION, number=supply.condition),
    Refusal.TOO_LATE: lambda supply: Step(StepKind.DATE, day=supply.available_from),
    Refusal.REFUSED_BEFORE: lambda supply: Step(StepKind.ASK, number=supply.holder),
    Refusal.FORBIDDEN: lambda supply: Step(StepKind.PERMIT, number=supply.holder),
    Refusal.FUND_KEPT: lambda supply: Step(StepKind.FUND),
    Refusal.TOO_FAR: lambda supply: Step(StepKind.FETCH, number=supply.holder),
}


def worth_telling(found: Sequence[Counterfactual]) -> tuple[Counterfactual, ...]:
    """Leave out what is worth no more than a smaller change; the most worth first."""
    told: list[Counterfactual] = []
    for one in sorted(found, key=lambda one: _simplest_first(one.change)):
        smaller = [other for other in found if other is not one and one.change.includes(other.change)]
        if one.more > 0 and all(one.more > other.more for other in smaller):
            told.append(one)
    return tuple(sorted(told, key=lambda one: -one.more))


# --- Words and storage ------------------------------------------------------------------------------------

STEPS: Mapping[StepKind, str] = {
    StepKind.YEAR: "с изданием %(number)s года и новее",
    StepKind.EDITION: "с другим изданием, %(edition)s года",
    StepKind.CONDITION: "с книгами в худшем состоянии",
    StepKind.LOAN: "взяв на время",
    StepKind.FOR_GOOD: "взяв насовсем",
    StepKind.LEND: "взяв на время книги последнего года использования",
    StepKind.DATE: "подождав до %(day)s",
    StepKind.ASK: "если «%(holder)s» всё же согласится",
    StepKind.PERMIT: "сняв запрет брать у «%(holder)s»",
    StepKind.FUND: "с книгами резервного фонда",
    StepKind.FETCH: "забрав в школе «%(holder)s»",
    StepKind.MIXING: "смешав издания разных лет",
    StepKind.LIMITS: "не экономя на поездках",
}
RELEASES: Mapping[KeptBack, str] = {
    KeptBack.BUFFER: "без резерва школы «%(holder)s»",
    KeptBack.NOT_OFFERED: "если «%(holder)s» отдаст то, чего не предлагает",
    KeptBack.LIMIT: "без ограничений школы «%(holder)s»",
    KeptBack.FLOOR: "без неснижаемого остатка фонда",
}
"""What a holder keeps for its own pupils is not asked for."""
MORE = "%(steps)s – ещё %(more)s"
MORE_SHARED = "%(steps)s – ещё %(more)s, этой школе не меньше %(own)s"
MORE_ELSEWHERE = "%(steps)s – району ещё %(more)s, но не обязательно этой школе"
AT_MOST = "%(steps)s – ещё до %(more)s"


def words(step: Step) -> Sentence:
    """Return a step in words; whoever shows them fills in ``holder`` and ``edition`` (by ``number``)."""
    message = RELEASES[step.kept] if step.kept is not None else STEPS[step.kind]
    return Sentence(message, {"number": step.number, "day": step.day})


def promise(of: Counterfactual) -> Sentence:
    """Return what a change brings; whoever shows it fills in its ``steps``."""
    certain = MORE if of.own >= of.more else MORE_SHARED if of.own else MORE_ELSEWHERE
    return Sentence(certain if of.certain else AT_MOST, {"more": of.more, "own": of.own})


def change_as_json(of: Counterfactual) -> dict[str, Any]:
    """Return a counterfactual as it is stored with a plan, beside the need's id."""
    return {
        "steps": [
            {
                "kind": step.kind.value,
                "number": step.number,
                "day": step.day.isoformat() if step.day else None,
                "kept": step.kept.value if step.kept else None,
            }
            for step in of.change.steps
        ],
        "more": of.more,
        "own": of.own,
        "weight": of.weight,
        "certain": of.certain,
    }


def change_from_json(need_id: int, stored: Mapping[str, Any]) -> Counterfactual:
    """Return the counterfactual that was stored."""
    steps = tuple(
        Step(
            StepKind(step["kind"]),
            step["number"],
            date.fromisoformat(step["day"]) if step["day"] else None,
            KeptBack(step["kept"]) if step["kept"] else None,
        )
        for step in stored["steps"]
    )
    return Counterfactual(
        Alteration(need_id, steps), stored["more"], stored["own"], stored["weight"], stored["certain"]
    )
