"""Finds the texts of the interface in the code.

A message may stand far from where it is translated: an error class carries it, a table of rules names it.
So every literal with a Cyrillic letter counts, wherever it stands, unless it is a docstring, a part of an
f-string (which is never translated) or a regular expression. An importer, and whatever else reads what people
typed, knows many foreign words; of its literals only sentences count, and what it calls things in its report.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from jinja2 import Environment
from jinja2.ext import babel_extract

ROOT = Path(__file__).resolve().parents[2]
CYRILLIC = re.compile("[А-Яа-яЁё]")
_PATTERN = re.compile(r"\\[bdsSwW]|\(\?|\[[^\]]*-[^\]]*\]")
"""What only a regular expression contains."""
PLURALS = frozenset({"ngettext", "lazy_ngettext", "_n"})
NOT_SHOWN = ("cli.py", "migrations/", "demo/", "translations/")
"""Parts of the package whose texts no page shows: the command line speaks Russian only."""

Found = tuple[int, str | tuple[str, str]]
"""The line, and the msgid or the pair (one, many)."""


def of_code(source: str) -> Iterator[Found]:
    """Yield the messages of a Python module."""
    passed_over: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr | ast.JoinedStr):
            # A string that stands alone is a docstring, of whatever it follows.
            passed_over.update(
                id(part)
                for part in ast.iter_child_nodes(node)
                if isinstance(part, ast.Constant | ast.FormattedValue)
            )
        elif isinstance(node, ast.Call) and _name(node.func) in PLURALS and len(node.args) >= 2:
            one, many = node.args[0], node.args[1]
            if isinstance(one, ast.Constant) and isinstance(many, ast.Constant):
                passed_over.update((id(one), id(many)))
                yield node.lineno, (str(one.value), str(many.value))
        elif isinstance(node, ast.Constant) and id(node) not in passed_over and _is_text(node.value):
            yield node.lineno, str(node.value)


def of_importer(source: str) -> Iterator[Found]:
    """Yield the messages of a module that reads foreign files: what it says, not what it looks for."""
    headers = {
        part.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and "REPORT" in ast.unparse(node).partition("=")[0]
        for part in ast.walk(node)
        if isinstance(part, ast.Constant)
    }
    for line, message in of_code(source):
        if "%(" in message or str(message).endswith(".") or message in headers:
            yield line, message


def of_template(path: Path) -> Iterator[Found]:
    """Yield the messages of a template."""
    with path.open("rb") as file:
        for line, function, messages, _comments in babel_extract(
            file, ("_", "gettext", "ngettext"), (), {"trimmed": "true", "silent": "false"}
        ):
            if function == "ngettext":
                assert isinstance(messages, tuple)
                yield line, (str(messages[0]), str(messages[1]))
            else:
                text = messages[0] if isinstance(messages, tuple) else messages
                # «_(name)» has no text to collect here: it is collected where the name gets it.
                if text is not None:
                    yield line, str(text)


def catalog(root: Path = ROOT) -> Catalog:
    """Return every message of the product with the places it was found in."""
    result = Catalog(project="Взаимообмен", charset="utf-8", fuzzy=False)
    for path in sorted((root / "exchange").rglob("*.py")):
        name = str(path.relative_to(root / "exchange"))
        if not name.startswith(NOT_SHOWN):
            foreign = path.name == "importer.py" or name.startswith(("sheets/", "recognition/rules"))
            read = of_importer if foreign else of_code
            _add(result, read(path.read_text(encoding="utf-8")), str(path.relative_to(root)))
    for path in sorted((root / "templates").rglob("*.html")):
        _add(result, of_template(path), str(path.relative_to(root)))
    return result


def unwrapped(source: str) -> list[tuple[int, str]]:
    """Return the lines of a template whose Cyrillic text nobody translates."""
    from jinja2 import nodes

    tree = Environment(extensions=["jinja2.ext.i18n"]).parse(source)
    wrapped = {
        id(constant)
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name in {"_", "gettext", "ngettext"}
        for constant in call.find_all(nodes.Const)
    }
    # What is compared is data, not shown.
    wrapped |= {
        id(constant) for compare in tree.find_all(nodes.Compare) for constant in compare.find_all(nodes.Const)
    }
    found = [
        (data.lineno, data.data.strip())
        for data in tree.find_all(nodes.TemplateData)
        if CYRILLIC.search(data.data)
    ]
    found += [
        (constant.lineno, constant.value)
        for constant in tree.find_all(nodes.Const)
        if id(constant) not in wrapped and _is_text(constant.value)
    ]
    return sorted(found)


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and CYRILLIC.search(value) is not None and not _PATTERN.search(value)


def _add(result: Catalog, found: Iterator[Found], place: str) -> None:
    for _line, message in found:
        # Places without line numbers: a moved line must not change three files.
        result.add(message, locations=[(place, 0)], flags=_flags(message))


def _flags(message: str | tuple[str, str]) -> set[str]:
    text = message if isinstance(message, str) else message[0]
    return {"python-format"} if re.search(r"%\(\w+\)[sd]", text) else set()
