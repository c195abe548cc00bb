"""Manners of the templates: forms that work without JavaScript, htmx that says where and how."""

from __future__ import annotations

import pytest
from jinja2 import Environment, nodes

from exchange.translations.extract import unwrapped
from tests.house.source import Tag, tags, templates

ALL = dict(templates())
REQUESTS = ("hx-get", "hx-post", "hx-put", "hx-patch", "hx-delete")
FORBIDDEN = {"hx-boost", "hx-inherit", "hx-vars", "hx-ext", "style"}
BY_ITSELF = ("every ", "load", "revealed")
"""Triggers with which an element asks without anybody touching it: there is nothing to work without htmx."""

every_template = pytest.mark.parametrize("name", ALL)


def complaints(name: str, tag: Tag) -> list[str]:
    attributes = tag.attributes
    found = []
    for attribute, value in attributes.items():
        if attribute in FORBIDDEN or attribute.startswith(("hx-on", "on")) or "js:" in value:
            found.append(f"{attribute} is not allowed")
    if tag.name == "style" or (tag.name == "script" and not attributes.get("src")):
        found.append("no inline style or script")
    for attribute in REQUESTS:
        if attribute not in attributes:
            continue
        found += [f"{needed} is missing" for needed in ("hx-target", "hx-swap") if needed not in attributes]
        if attribute not in {"hx-get", "hx-post"}:
            found.append(f"{attribute} does not work without JavaScript")
        plain = {"form": "action", "a": "href", "button": "formaction"}.get(tag.name)
        if plain is not None and plain in attributes:
            if attributes[plain] != attributes[attribute]:
                found.append(f"{attribute} is not the same as {plain}")
        elif not attributes.get("hx-trigger", "").startswith(BY_ITSELF):
            found.append(f"{attribute} needs an {plain or 'element that works without JavaScript'}")
    if tag.name == "form":
        found += [f"{needed} is missing" for needed in ("method", "action") if needed not in attributes]
        method = attributes.get("method", "").lower()
        guarded = any("guards()" in text for text in tag.inside)
        if method == "post" and not guarded:
            found.append("guards() is missing")
        if method == "get" and guarded:
            found.append("a form that only asks needs no guards()")
        if method == "post" and "hx-get" in attributes:
            found.append("posts without htmx and gets with it")
        if method == "get" and "hx-post" in attributes:
            found.append("gets without htmx and posts with it")
    return [f"templates/{name}:{tag.line} <{tag.name}>: {what}" for what in found]


@every_template
def test_forms_and_htmx_have_manners(name: str) -> None:
    found = [what for tag in tags(ALL[name]) for what in complaints(name, tag)]
    assert not found, "\n".join(found)


@every_template
def test_every_text_is_translated(name: str) -> None:
    # The button that leads back to Russian is in Russian whatever the language.
    found = [text for text in unwrapped(ALL[name]) if 'lang="ru"' not in text[1]]
    assert not found, found


@every_template
def test_templates_do_not_compare_states_or_roles(name: str) -> None:
    tree = Environment(extensions=["jinja2.ext.i18n"]).parse(ALL[name])
    found = [
        f"templates/{name}:{compare.lineno}"
        for compare in tree.find_all(nodes.Compare)
        for operand in [compare.expr, *(operand.expr for operand in compare.ops)]
        if isinstance(operand, nodes.Getattr) and operand.attr in {"state", "role"}
    ]
    assert not found, "\n".join(found)


@every_template
def test_blocks_can_be_rendered_alone(name: str) -> None:
    """A block imports the macros it uses: else it works in the page and fails as a fragment."""
    tree = Environment(extensions=["jinja2.ext.i18n"]).parse(ALL[name])
    if name.startswith("_"):
        return
    found = []
    for block in tree.find_all(nodes.Block):
        if block.name in {"title", "main", "crumbs"}:
            continue
        outer = {module.target for module in tree.body if isinstance(module, nodes.Import)} | {
            module.target
            for parent in tree.find_all(nodes.Block)
            if parent.name == "main"
            for module in parent.body
            if isinstance(module, nodes.Import)
        }
        own = {module.target for module in block.find_all(nodes.Import)}
        used = {found.name for found in block.find_all(nodes.Name)}
        found += [f"{block.name}: {target}" for target in sorted((outer - own) & used)]
    assert not found, "\n".join(found)
