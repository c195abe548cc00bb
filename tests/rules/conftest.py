"""No plan made here goes unchecked."""

from tests.plan_checks import no_plan_goes_unchecked

__all__ = ["no_plan_goes_unchecked"]
