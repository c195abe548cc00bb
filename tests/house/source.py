"""Reads the product's own source: modules as syntax trees, templates as tags."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "exchange"
TEMPLATES = ROOT / "templates"
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_TOKEN = re.compile(r"jinja\d+x")


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield every module of the product but the migrations, by its path inside the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith("migrations/"):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def templates() -> Iterator[tuple[str, str]]:
    """Yield every template by its path inside the folder."""
    for path in sorted(TEMPLATES.rglob("*.html")):
        yield path.relative_to(TEMPLATES).as_posix(), path.read_text(encoding="utf-8")


def dotted(node: ast.AST) -> str:
    """Return «a.b.c» for an expression of names and attributes, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


@dataclass
class Tag:
    """A start tag of a template; for a form also everything inside it."""

    name: str
    attributes: dict[str, str]
    line: int
    inside: list[str] = field(default_factory=list)


def tags(source: str) -> list[Tag]:
    """Return the start tags of a template, with Jinja's expressions back in their attributes."""
    kept: dict[str, str] = {}

    def hide(match: re.Match[str]) -> str:
        text = match[0]
        if text.startswith("{#"):
            return "\n" * text.count("\n")
        token = f"jinja{len(kept)}x"
        kept[token] = " ".join(text.split())
        return token + "\n" * text.count("\n")

    reader = _Reader(kept)
    reader.feed(_JINJA.sub(hide, source))
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    def __init__(self, kept: dict[str, str]) -> None:
        super().__init__(convert_charrefs=True)
        self.kept = kept
        self.found: list[Tag] = []
        self.form: Tag | None = None

    def _show(self, text: str | None) -> str:
        return _TOKEN.sub(lambda match: self.kept.get(match[0], match[0]), text or "").strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # {% if … %} between attributes is not an attribute.
        attributes = {
            name: self._show(value) for name, value in attrs if value is not None or not _TOKEN.search(name)
        }
        self.found.append(Tag(tag, attributes, self.getpos()[0]))
        if tag == "form":
            self.form = self.found[-1]

    def handle_data(self, data: str) -> None:
        if self.form is not None:
            self.form.inside.append(self._show(data))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
