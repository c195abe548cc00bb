"""Brings ru.po and en.po up to date with the code, compiles them, says what is missing."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from exchange.translations.extract import catalog

FOLDER = Path(__file__).resolve().parent
LANGUAGES = ("ru", "en")


def file_of(language: str) -> Path:
    """Return the path of a language's translations."""
    return FOLDER / language / "LC_MESSAGES" / "messages.po"


def read(language: str) -> Catalog:
    """Return the translations as they are kept; an empty catalog when there is no file yet."""
    path = file_of(language)
    if not path.exists():
        return _empty(language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def _empty(language: str) -> Catalog:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return Catalog(
        locale=language,
        project="vzaimoobmen",
        version="1",
        header_comment=f"# Взаимообмен: {language}",
        creation_date=start,
        revision_date=start,
        charset="utf-8",
        fuzzy=False,
    )


def wanted(language: str) -> Catalog:
    """Return what a language must translate: everything, but Russian its plurals only."""
    found = catalog()
    if language != "ru":
        return found
    plurals = Catalog(charset="utf-8", fuzzy=False)
    for message in found:
        if message.id and message.pluralizable:
            plurals.add(message.id, locations=message.locations, flags=message.flags)
    return plurals


def is_complete(message: Message) -> bool:
    """Say whether every form of a message is translated."""
    forms = message.string if isinstance(message.string, tuple | list) else (message.string,)
    return all(forms) and not message.fuzzy


def missing(language: str) -> list[Message]:
    """Return the messages of the code that the language has no complete translation of."""
    kept = read(language)
    result = []
    for message in wanted(language):
        if not message.id:
            continue
        translated = kept.get(message.id)
        if translated is None or not is_complete(translated):
            result.append(message)
    return result


def update(language: str) -> None:
    """Add the new messages to a language's file, drop those that are gone, and compile it."""
    kept = read(language)
    created = kept.creation_date
    kept.update(wanted(language), no_fuzzy_matching=True, update_header_comment=False)
    kept.obsolete.clear()
    # The same texts give the same file, whatever the day.
    kept.creation_date = created
    write(language, kept)


def write(language: str, kept: Catalog) -> None:
    """Write a language's file and what is compiled from it."""
    path = file_of(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, kept, width=100, sort_output=True, ignore_obsolete=True, include_lineno=False)
    _compile(language, kept)


def compile_stale() -> None:
    """Compile the languages whose file is newer than what was compiled from it."""
    for language in LANGUAGES:
        source = file_of(language)
        compiled = source.with_suffix(".mo")
        if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
            _compile(language, read(language))


def _compile(language: str, kept: Catalog) -> None:
    compiled = file_of(language).with_suffix(".mo")
    # Several processes may do this at once: each writes its own file and puts it in place whole.
    unfinished = compiled.with_suffix(f".{os.getpid()}")
    with unfinished.open("wb") as file:
        write_mo(file, kept)
    unfinished.replace(compiled)


def main() -> None:
    """Update every language; the exit code is 1 when a translation is missing. «compile» only compiles."""
    if sys.argv[1:] == ["compile"]:
        compile_stale()
        return
    incomplete = False
    for language in LANGUAGES:
        update(language)
        left = missing(language)
        incomplete = incomplete or bool(left)
        sys.stdout.write(f"{language}: {len(read(language))} messages, {len(left)} to translate\n")
    sys.exit(1 if incomplete else 0)


if __name__ == "__main__":
    main()
