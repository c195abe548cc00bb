"""What the methodist asks of a plan: in words of the page, as stored, and as the solver reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exchange.errors import Invalid
from exchange.matching import rules
from exchange.stock.rules import MOST_PERCENT

MOST_GIVEN_UP = 50
"""The most of the best coverage that may be given up for fewer trips, in per cent."""
LONGEST_ROAD = 2_000
"""Kilometres; no road of a district is longer."""
LARGEST_PARCEL = 100
"""The largest parcel that can be asked for, in copies."""


@dataclass(frozen=True)
class PlanControls:
    """The methodist's controls; the defaults give up nothing and limit nothing.

    ``give_up``: per cent of the best coverage that may be given up for fewer trips. ``fairness``: by so many
    per cent a school may fall behind what the fairest plan serves it; ``None``: no such demand.
    ``furthest_km``: no school gives further than that; ``None``: any road. ``smallest_parcel``: copies that
    make a trip worth its while. ``by_road``: trips count by their kilometres. ``buffer``: per cent of its
    pupils that every school keeps back beyond one book each; ``None``: as each school has set it.
    """

    give_up: float = 0.0
    fairness: int | None = None
    furthest_km: float | None = None
    fund: rules.FundUse = rules.FundUse.LAST
    smallest_parcel: int = 1
    by_road: bool = False
    buffer: int | None = None

    @property
    def for_solver(self) -> rules.Controls:
        """Return what the solver is told; the rest shapes the problem itself."""
        return rules.Controls(
            give_up=self.give_up / 100,
            fairness=None if self.fairness is None else self.fairness / 100,
            fund=self.fund,
            smallest_parcel=self.smallest_parcel,
            by_road=self.by_road,
        )


def check(controls: PlanControls) -> None:
    """Raise ``Invalid`` naming the field for what cannot be asked for."""
    if not 0 <= controls.give_up <= MOST_GIVEN_UP:
        raise Invalid("От 0 до %(most)s процентов.", field="give_up", most=MOST_GIVEN_UP)
    if controls.fairness is not None and not 0 <= controls.fairness <= 100:
        raise Invalid("От 0 до %(most)s процентов.", field="fairness", most=100)
    if controls.furthest_km is not None and not 0 < controls.furthest_km <= LONGEST_ROAD:
        raise Invalid("Больше нуля и не больше %(most)s км.", field="furthest_km", most=LONGEST_ROAD)
    if not 1 <= controls.smallest_parcel <= LARGEST_PARCEL:
        raise Invalid("От 1 до %(most)s экз.", field="smallest_parcel", most=LARGEST_PARCEL)
    if controls.buffer is not None and not 0 <= controls.buffer <= MOST_PERCENT:
        raise Invalid("От 0 до %(most)s процентов.", field="buffer", most=MOST_PERCENT)


def to_json(controls: PlanControls) -> dict[str, Any]:
    """Return the controls as they are stored with a run and a plan."""
    return {
        "give_up": controls.give_up,
        "fairness": controls.fairness,
        "furthest_km": controls.furthest_km,
        "fund": controls.fund.value,
        "smallest_parcel": controls.smallest_parcel,
        "by_road": controls.by_road,
        "buffer": controls.buffer,
    }


def from_json(stored: Mapping[str, Any]) -> PlanControls:
    """Read controls back; what is not there has its default. Raises ``Invalid`` for what never was stored."""
    unknown = stored.keys() - to_json(PlanControls()).keys()
    if unknown:
        raise Invalid("Такой настройки подбора нет: %(name)s.", name=min(unknown))
    try:
        controls = PlanControls(**{**stored, "fund": rules.FundUse(stored.get("fund", rules.FundUse.LAST))})
        check(controls)
    except (TypeError, ValueError) as error:
        raise Invalid("Настройки подбора записаны неверно.") from error
    return controls
