"""Every page for everybody who may see it: sound HTML, one heading, labels, Russian, safe headers."""

from __future__ import annotations

import enum
import importlib
import pkgutil
import re
from collections import Counter
from xml.etree.ElementTree import Element

import html5lib
import pytest

import exchange
from exchange.web.pages import CSP
from tests.house.conftest import House
from tests.house.table import ANONYMOUS, ROUTES, SIGNED_IN, Route
from tests.house.test_routes import expected

PAGES = [route for route in ROUTES if route.method == "GET" and route.page]
KNOWN_LATIN = frozenset({"Excel", "CSV", "English", "JSON", "XLSX", "XLS", "ODS", "DOCX", "Ctrl", "Enter"})
UNSEEN = frozenset({"script", "style", "template", "head"})
CONTROLS = frozenset({"input", "select", "textarea"})
NEEDS_NO_LABEL = frozenset({"hidden", "submit", "button", "image"})
ISO_DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b")
LATIN = re.compile(r"[A-Za-z][A-Za-z_]{2,}")


def enum_values() -> frozenset[str]:
    """Return the values of every enum of the product: names for the code, not for people."""
    found: set[str] = set()
    for module in pkgutil.walk_packages(exchange.__path__, "exchange."):
        if module.name.endswith((".rules", ".models", ".runs")):
            for kind in vars(importlib.import_module(module.name)).values():
                if isinstance(kind, enum.EnumMeta):
                    found |= {str(member.value) for member in kind if isinstance(member.value, str)}
    return frozenset(found)


def text_of(element: Element) -> str:
    """Return what a person reads: no scripts, no values of hidden fields."""
    parts = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str) and child.tag not in UNSEEN and child.get("lang", "ru") == "ru":
            parts.append(text_of(child))
            parts += [child.get(name, "") for name in ("title", "aria-label", "placeholder", "alt")]
        parts.append(child.tail or "")
    return " ".join(parts)


def foreign_words(text: str, names: frozenset[str], values: frozenset[str]) -> list[str]:
    """Return what has no business in a Russian text: ISO dates, None, names of the code, English."""
    text = re.sub(r"\S+@\S+|https?://\S+|\S+\.(csv|xlsx)\b", " ", text)
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, " ")
    found = ISO_DATE.findall(text)
    found += [word for word in LATIN.findall(text) if word in values or word not in KNOWN_LATIN]
    return found


def complaints(text: str, names: frozenset[str], values: frozenset[str]) -> list[str]:
    """Return what is wrong with a page."""
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    document = parser.parse(text)
    found = [f"{code} at {place} {details}" for place, code, details in parser.errors]
    if document.get("lang") != "ru":
        found.append("no language")
    title = document.findtext("head/title") or ""
    if not title.strip(" ·\n") or title.strip().startswith("·"):
        found.append("no title")
    if len(document.findall(".//h1")) != 1:
        found.append(f"{len(document.findall('.//h1'))} headings h1")
    ids = Counter(element.get("id") for element in document.iter() if element.get("id"))
    found += [f"id {id_} {count} times" for id_, count in ids.items() if count > 1]
    labelled = {label.get("for") for label in document.iter("label") if text_of(label).strip()}
    inside_label = {
        id(control) for label in document.iter("label") if text_of(label).strip() for control in label.iter()
    }
    for control in document.iter():
        if control.tag == "button" and not (text_of(control).strip() or control.get("aria-label")):
            found.append(f"a button without words: {control.attrib}")
        if control.tag not in CONTROLS or control.get("type", "text") in NEEDS_NO_LABEL:
            continue
        named = control.get("aria-label") or control.get("aria-labelledby") in ids
        if not (named or control.get("id") in labelled or id(control) in inside_label):
            found.append(f"a control without a label: {control.attrib}")
    for element in document.iter():
        for attribute in ("for", "aria-describedby", "aria-labelledby", "aria-controls"):
            for target in (element.get(attribute) or "").split():
                if target not in ids:
                    found.append(f"{attribute}={target} leads nowhere")
    body = document.find("body")
    assert body is not None
    return found + [f"foreign word: {word}" for word in foreign_words(text_of(body), names, values)]


@pytest.fixture(scope="session")
def values() -> frozenset[str]:
    return enum_values()


@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.id)
def test_every_page_is_sound(house: House, values: frozenset[str], route: Route) -> None:
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for variant, parameters in house.variants(route).items():
        for character in (ANONYMOUS, *SIGNED_IN):
            if expected(route, character, variant) != "in":
                continue
            answer = house.ask(route, character, parameters)
            if answer.status_code == 303 and route.public:
                continue
            # Keys differ from page to page; what does not differ otherwise need not be read twice.
            bare = re.sub(r'name="(_key|csrf_token)" value="[^"]*"', "", answer.text)
            if bare in seen:
                continue
            seen.add(bare)
            wrong = complaints(answer.text, house.names, values)
            headers = answer.headers
            if headers["Content-Security-Policy"] != CSP:
                wrong.append("another Content-Security-Policy")
            if headers["Cache-Control"] != "no-store":
                wrong.append("Cache-Control is not no-store")
            if "HX-Request" not in headers.get("Vary", ""):
                wrong.append("Vary lacks HX-Request")
            if wrong:
                found[f"{character}, {variant}"] = wrong
    assert found == {}
    assert seen, "nobody sees this page"


@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.id)
def test_every_fragment_is_a_part_of_its_page(house: House, route: Route) -> None:
    """To htmx a page answers with one block; its ids are unique too, and nothing of it is a whole page."""
    for variant, parameters in house.variants(route).items():
        for character in SIGNED_IN:
            if expected(route, character, variant) != "in":
                continue
            answer = house.ask(route, character, parameters, htmx=True)
            if "<!doctype" in answer.text.lower() or answer.status_code != 200:
                continue
            ids = Counter(re.findall(r'\bid="([^"]+)"', answer.text))
            assert [id_ for id_, count in ids.items() if count > 1] == [], (character, variant)
            assert all(value.isascii() for value in answer.headers.values())
            break


def test_the_checks_can_fail() -> None:
    """A page with every fault is caught with every fault."""
    page = (
        '<!doctype html><html lang="en"><head><title> · </title></head><body><h1>a</h1><h1>b</h1>'
        '<p id="x">permanent 2026-09-01 None</p><p id="x">да<input name="q"><button></button>'
        '<label for="nowhere">Имя</label><table><div></div></table></body></html>'
    )
    found = " | ".join(complaints(page, frozenset(), frozenset({"permanent"})))
    for fault in (
        "no language", "no title", "2 headings", "id x 2 times", "without a label", "without words",
        "leads nowhere", "permanent", "2026-09-01", "None", "unexpected-start-tag",
    ):  # fmt: skip
        assert fault in found
