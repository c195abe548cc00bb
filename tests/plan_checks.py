"""Every plan that a test makes goes through the independent checker, with its certificate."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from exchange.matching import rules

ROOT = Path(__file__).resolve().parent.parent


def faults(problem: rules.Problem, result: rules.Result) -> list[str]:
    """Return what the program's own check and the one that shares no code with it find wrong."""
    sys.path[:0] = [] if str(ROOT) in sys.path else [str(ROOT)]
    from benchmarks import check_plan
    from exchange.matching.solver import certify

    document = rules.dump_plan(result) | {"certificate": rules.as_json(certify(problem, result))}
    stored, plan = (json.loads(json.dumps(one)) for one in (rules.dump(problem), document))
    return [*rules.check(problem, result), *check_plan.verify(stored, plan).wrong]


def _those_that_answer() -> list[ModuleType]:
    """Return the modules of the solver that make results, all by the one function."""
    importlib.import_module("exchange.matching.solver")
    return [
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith("exchange.matching.solver") and callable(vars(module).get("answer"))
    ]


@pytest.fixture(scope="session", autouse=True)
def no_plan_goes_unchecked() -> Iterator[None]:
    """Fail the test in which a method of the solver returns a plan that the checkers find fault with."""
    original = importlib.import_module("exchange.matching.solver.answer").answer

    def checked(problem: rules.Problem, *args: Any, **kwargs: Any) -> rules.Result:
        result = original(problem, *args, **kwargs)
        wrong = faults(problem, result)
        assert wrong == [], wrong
        return result

    with pytest.MonkeyPatch.context() as patch:
        for module in _those_that_answer():
            patch.setattr(module, "answer", checked)
        yield
