"""The documents say what there is: settings, commands, steps."""

from __future__ import annotations

import re
from dataclasses import fields

from exchange.cli import group
from exchange.config import Settings
from exchange.transfers.rules import STATE_NAMES, STEP_NAMES, STEPS, Party
from tests.house.source import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
TRANSFERS = (ROOT / "docs" / "transfers.md").read_text(encoding="utf-8")


def test_every_setting_is_explained() -> None:
    explained = set(re.findall(r"^\| `(EXCHANGE_\w+)` \|", OPERATIONS, re.MULTILINE))
    assert explained == {f"EXCHANGE_{field.name.upper()}" for field in fields(Settings)}


def test_the_defaults_are_the_real_ones() -> None:
    for field in fields(Settings):
        name = f"EXCHANGE_{field.name.upper()}"
        if field.name != "instance" and field.default not in ("", False):
            row = next(line for line in OPERATIONS.splitlines() if f"`{name}` |" in line)
            assert f"`{int(field.default) if field.type == 'bool' else field.default}`" in row, field.name


def test_every_command_is_explained() -> None:
    explained = set(re.findall(r"^\| `flask exchange ([\w-]+)", OPERATIONS, re.MULTILINE))
    assert explained == set(group.commands)


def test_every_command_explains_itself() -> None:
    assert [name for name, command in group.commands.items() if not command.help] == []


def test_every_step_of_a_transfer_is_written_down() -> None:
    found = set()
    for line in TRANSFERS.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[1].startswith("`"):
            words, name, source, who, ends, _moves = (cell.strip("`") for cell in cells)
            found.add((words, name, source, who, frozenset(re.findall(r"\w+", ends))))
    people = {Party.SYSTEM: "time"}
    assert found == {
        (
            STEP_NAMES[step.name],
            step.name.value,
            step.source.value,
            people.get(step.party, step.party.value),
            frozenset(state.value for state in step.to),
        )
        for step in STEPS
    }


def test_every_state_of_a_transfer_is_written_down() -> None:
    found = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", TRANSFERS, re.MULTILINE))
    assert found == {state.value: name for state, name in STATE_NAMES.items()}


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "adr"
    listed = set(re.findall(r"\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in folder.glob("0*.md")}
