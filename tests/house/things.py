"""The objects behind the addresses: of the school «own», of another school, of another district."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.factories import World
from tests.house.table import Parameters

Variants = Mapping[str, Parameters]
"""Parameters of the address by variant: «own», «foreign», «abroad»."""

THINGS: Mapping[str, Callable[[World], Variants]] = {}
