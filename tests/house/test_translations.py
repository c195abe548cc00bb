"""Translations: nothing is missing, no parameter is lost, and the portal uses them."""

from __future__ import annotations

import re

import pytest
from flask_babel import force_locale, ngettext

from exchange.translations.__main__ import LANGUAGES, missing, read
from exchange.translations.extract import of_code, unwrapped
from exchange.web.unit import Portal

PARAMETER = re.compile(r"%\(\w+\)[sd]")


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_missing(language: str) -> None:
    left = [str(message.id) for message in missing(language)]
    assert not left, f"run «make messages» and translate {len(left)}:\n" + "\n".join(left)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_parameter_is_lost(language: str) -> None:
    wrong = []
    for message in read(language):
        if not message.id or not message.string:
            continue
        ids = message.id if isinstance(message.id, tuple | list) else (message.id,)
        forms = message.string if isinstance(message.string, tuple | list) else (message.string,)
        wanted = {name for each in ids for name in PARAMETER.findall(each)}
        # «one» may do without its number: «the transfer» instead of «1 transfer».
        wrong += [form for form in forms[1:] or forms if form and set(PARAMETER.findall(form)) != wanted]
        wrong += [form for form in forms if form and not set(PARAMETER.findall(form)) <= wanted]
    assert not wrong, "\n".join(wrong)


def test_russian_counts_with_three_forms(app: Portal) -> None:
    with app.test_request_context(), force_locale("ru"):
        forms = [ngettext("%(num)d учебник", "%(num)d учебников", number) for number in (1, 2, 5, 11, 21)]
    assert forms == ["1 учебник", "2 учебника", "5 учебников", "11 учебников", "21 учебник"]


def test_the_portal_speaks_english_when_asked(app: Portal) -> None:
    client = app.test_client()
    assert "Войти" in client.get("/sign-in").text
    client.post("/language", data={"language": "en"})
    page = client.get("/sign-in").text
    assert 'lang="en"' in page
    assert "Войти" not in page


def test_the_collector_sees_what_is_shown_and_nothing_else() -> None:
    source = '''"""Докстрока."""
NAMES = {1: "название"}
PATTERN = r"\\\\bслово"
"""Об имени."""
def f(n):
    """Докстрока."""
    raise Invalid("Ошибка: %(x)s")
    return _("текст"), ngettext("%(num)d книга", "%(num)d книг", n), f"не {n} переводится", "latin"
'''
    assert {message for _line, message in of_code(source)} == {
        "название", "Ошибка: %(x)s", "текст", ("%(num)d книга", "%(num)d книг")
    }  # fmt: skip
    assert unwrapped('<p>{{ _("да") }} нет {% if a == "слово" %}{{ "тоже" }}{% endif %}</p>') == [
        (1, "нет"), (1, "тоже")
    ]  # fmt: skip
