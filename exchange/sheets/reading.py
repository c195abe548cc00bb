"""Tells what a file is and has it read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from exchange.sheets.documents import CHARSET, docx, html_tables, ods
from exchange.sheets.excel import xls, xlsx, xml_2003
from exchange.sheets.grid import DEFAULT, Limits, Meter, Sheet
from exchange.sheets.lines import Header, lines
from exchange.sheets.package import ENCRYPTED, Package

TOO_BIG = "Файл «%(file)s» больше %(limit)s МБ, такие файлы не читаются."
EMPTY = "Файл «%(file)s» не читается как таблица: в нём нет ни одной заполненной строки."
NOT_A_TABLE = (
    "Файл «%(file)s» не читается как таблица. Сохраните его в формате XLSX или CSV и загрузите снова."
)
PDF = (
    "Файл «%(file)s» в формате PDF: из него нельзя надёжно прочитать таблицу. Нужна таблица Excel или Word "
    "либо файл CSV."
)
PICTURE = (
    "Файл «%(file)s» – изображение: таблицы с картинок не читаются. Нужна таблица Excel или Word "
    "либо файл CSV."
)
OLD_WORD = (
    "Файл «%(file)s» – документ Word в старом формате. Откройте его в Word и сохраните как "
    "«Документ Word (.docx)»."
)
BINARY_EXCEL = "Файл «%(file)s» – двоичная книга Excel. Откройте её и сохраните как «Книга Excel (.xlsx)»."
ARCHIVE = "Файл «%(file)s» – архив. Распакуйте его и загрузите таблицу, которая внутри."
PASTED_EMPTY = "Вставлять нечего: в буфере обмена нет таблицы."
PASTED_TOO_BIG = "Вставлено больше %(limit)s МБ текста. Загрузите таблицу файлом."

_PICTURES = (
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"AT&TFORM", b"8BPS",
)  # fmt: skip
_ARCHIVES = (b"Rar!", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def read(
    source: BinaryIO, file: str, *, limits: Limits = DEFAULT, header: Header | None = None
) -> Iterator[Sheet]:
    """Yield the sheets of ``source`` that have something in them; people know the file as ``file``.

    ``header`` says how good a header a row would be (0: none); it decides between the delimiters of a text
    table. Raises Invalid, with one sentence that names the file, when it is no table, is damaged, protected
    or not safe to open, or goes beyond ``limits``; as sheets are read one by one, that may come after some.
    """
    meter = Meter(file, limits)
    most = limits.megabytes * 1024 * 1024
    content = source.read(most + 1)
    if len(content) > most:
        raise meter.refusal(TOO_BIG, limit=limits.megabytes)
    nothing = True
    for sheet in _sheets(content, meter, header):
        nothing = False
        yield sheet
    if nothing:
        raise meter.refusal(EMPTY)


def pasted(text: str, *, limits: Limits = DEFAULT, header: Header | None = None) -> Sheet:
    """Return what was pasted from Excel, Word or a text as a sheet.

    Cells are separated by tabs (semicolons or commas in a list typed by hand), and quoted where they have
    line breaks. Raises Invalid when there is nothing in it or too much.
    """
    meter = Meter("", limits)
    if len(text) > limits.megabytes * 1024 * 1024:
        raise meter.refusal(PASTED_TOO_BIG, limit=limits.megabytes)
    sheet = lines(text, meter, header=header, first="\t")
    if sheet is None:
        raise meter.refusal(PASTED_EMPTY)
    return sheet


def _sheets(content: bytes, meter: Meter, header: Header | None) -> Iterator[Sheet]:
    start = content[:2048].lstrip()
    if content.startswith(b"PK\x03\x04"):
        yield from _packed(Package(content, meter), meter)
    elif content.startswith(_OLE):
        yield from _old(content, meter)
    elif b"%PDF-" in start[:1024]:
        raise meter.refusal(PDF)
    elif start.startswith(b"{\\rtf"):
        raise meter.refusal(OLD_WORD)
    elif (
        content.startswith(_PICTURES)
        or content[4:12] in (b"ftypheic", b"ftypavif")
        or (content.startswith(b"RIFF") and content[8:12] == b"WEBP")
    ):
        raise meter.refusal(PICTURE)
    elif content.startswith((*_ARCHIVES, b"PK")):
        raise meter.refusal(ARCHIVE)
    else:
        yield from _text(content, meter, header)


def _packed(package: Package, meter: Meter) -> Iterator[Sheet]:
    main = package.main()
    if main:
        root = _root(package.read(main, 4096))
        if root == "workbook":
            yield from xlsx(package, main, meter)
        elif root == "document":
            yield from docx(package, main, meter)
        else:
            raise meter.refusal(BINARY_EXCEL if main.endswith(".bin") else NOT_A_TABLE)
    elif "content.xml" in package:
        yield from ods(package, meter)
    elif "[Content_Types].xml" in package or "mimetype" in package:
        raise meter.refusal(NOT_A_TABLE)
    else:
        raise meter.refusal(ARCHIVE)


def _root(start: bytes) -> str:
    """Return the name of the first element, whatever the encoding."""
    text = start.replace(b"\x00", b"").decode("latin-1")
    found = re.search(r"<(?:[\w.-]+:)?([A-Za-z][\w.-]*)", text)
    return found[1] if found else ""


def _old(content: bytes, meter: Meter) -> Iterator[Sheet]:
    """Read a file of the format in which the Office programs kept everything until 2007."""

    def holds(name: str) -> bool:
        return name.encode("utf-16-le") in content

    if holds("EncryptedPackage"):
        raise meter.refusal(ENCRYPTED)
    if holds("WordDocument"):
        raise meter.refusal(OLD_WORD)
    if not (holds("Workbook") or holds("Book")):
        raise meter.refusal(NOT_A_TABLE)
    yield from xls(content, meter)


def _text(content: bytes, meter: Meter, header: Header | None) -> Iterator[Sheet]:
    text = _decoded(content, meter)
    start = text[:2048].lstrip("\ufeff \t\r\n")
    if not start.startswith("<"):
        sheet = lines(text, meter, header=header)
        if sheet is not None:
            yield sheet
        return
    beginning = start.lower()
    if "urn:schemas-microsoft-com:office:spreadsheet" in beginning and "<html" not in beginning:
        yield from xml_2003(content.lstrip(), meter)
    elif "<html" in beginning or "<table" in text.lower():
        yield from html_tables(text, meter)
    else:
        raise meter.refusal(NOT_A_TABLE)


def _decoded(content: bytes, meter: Meter) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\x00" in content:
        raise meter.refusal(NOT_A_TABLE)
    else:
        encodings = ["utf-8-sig", "cp1251"]
        if content.lstrip()[:1] == b"<" and (named := CHARSET.search(content[:4096])):
            encodings.insert(1, named[1].decode("ascii", "replace"))
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    raise meter.refusal(NOT_A_TABLE)
