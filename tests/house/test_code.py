"""Rules of the house that a linter cannot say, read from the syntax trees."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

from tests.house.source import ROOT, dotted, modules

WRITERS = ("db.py", "journal.py", "runs.py", "web/unit.py", "cli.py", "mail.py")
"""Beside every drawer of services and the demo."""
WRITING_METHODS = {"add", "add_all", "flush", "delete", "merge", "bulk_save_objects", "bulk_insert_mappings"}
WRITING_STATEMENTS = {"sa.insert", "sa.update", "sa.delete", "insert_if_absent"}
CLOCKS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time",
    "datetime.datetime.now", "datetime.date.today",
}  # fmt: skip


def calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.lineno, dotted(node.func)


def is_drawer(name: str, drawer: str) -> bool:
    """Say whether a module is a drawer, or lies in one that is a folder."""
    return f"/{drawer}.py" in name or f"/{drawer}/" in name


def may_write(name: str) -> bool:
    return is_drawer(name, "services") or name.startswith("demo/") or name in WRITERS


def test_only_services_write() -> None:
    found = [
        f"exchange/{name}:{line}: {call}"
        for name, tree in modules()
        if not may_write(name)
        for line, call in calls(tree)
        if call in WRITING_STATEMENTS
        or (call.rpartition(".")[0].endswith("session") and call.rpartition(".")[2] in WRITING_METHODS)
    ]
    assert not found, "\n".join(found)


def test_only_the_unit_of_work_commits() -> None:
    found = [
        f"exchange/{name}:{line}"
        for name, tree in modules()
        if name != "db.py"
        for line, call in calls(tree)
        if call.endswith(".commit")
    ]
    assert not found, "\n".join(found)


def test_time_is_passed_in() -> None:
    found = [
        f"exchange/{name}:{line}: {call}"
        for name, tree in modules()
        if name != "clock.py"
        for line, call in calls(tree)
        if call in CLOCKS
    ]
    assert not found, "\n".join(found)


def test_who_and_when_are_passed_by_name() -> None:
    """A question may begin with the one it is about: ``waiting(by)``, ``expire(clock)``."""
    found = [
        f"exchange/{name}:{node.lineno}: {node.name}"
        for name, tree in modules()
        if is_drawer(name, "services")
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        for positional in [[argument.arg for argument in [*node.args.posonlyargs, *node.args.args]]]
        if {"by", "clock"} & set(positional[1:])
    ]
    assert not found, "\n".join(found)


def decides(node: ast.AST) -> bool:
    """Say whether an operand is a state or a role: a member of such an enum, or an attribute of that name."""
    name = dotted(node)
    owner, _, attribute = name.rpartition(".")
    return attribute in {"state", "role"} or owner.rpartition(".")[2].endswith(("State", "Role", "Party"))


def test_views_do_not_compare_states_or_roles() -> None:
    found = []
    for name, tree in modules():
        if not is_drawer(name, "views"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Match) and decides(node.subject):
                found.append(f"exchange/{name}:{node.lineno}")
            if isinstance(node, ast.Compare):
                operands = [node.left, *node.comparators]
                inside = [
                    part
                    for operand in operands
                    for part in (
                        operand.elts if isinstance(operand, ast.Set | ast.Tuple | ast.List) else [operand]
                    )
                ]
                if any(decides(part) for part in inside):
                    found.append(f"exchange/{name}:{node.lineno}")
    assert not found, "\n".join(found)


def test_messages_are_russian() -> None:
    functions = {"_", "_l", "gettext", "ngettext", "lazy_gettext", "lazy_ngettext"}
    found = [
        f"exchange/{name}:{node.lineno}: {argument.value}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func) in functions
        for argument in node.args[:2]
        if isinstance(argument, ast.Constant)
        and isinstance(argument.value, str)
        and any("a" <= letter <= "z" for letter in _without_parameters(argument.value).lower())
        and not any("а" <= letter <= "я" for letter in argument.value.lower())
    ]
    assert not found, "\n".join(found)


def _without_parameters(text: str) -> str:
    return re.sub(r"%\(\w+\)[sd]", "", text)


def test_imports_follow_the_order() -> None:
    # In a process of its own: it takes over the logging of the one it runs in.
    command = "from importlinter.cli import lint_imports_command as lint; lint()"
    checked = subprocess.run(
        [sys.executable, "-c", command], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
