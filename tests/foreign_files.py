"""Files as other programs write them, made by hand, so that a test shows all that is in them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

Parts = Mapping[str, str | bytes]


def zipped(parts: Parts, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return stream.getvalue()


# --- XLSX ---

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def relations(targets: Sequence[tuple[str, str]]) -> str:
    entries = "".join(
        f'<Relationship Id="rId{number}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'<?xml version="1.0"?><Relationships xmlns="{RELATIONS}">{entries}</Relationships>'


def xlsx_parts(
    sheets: Mapping[str, str],
    *,
    strings: Sequence[str] = (),
    formats: Sequence[str] = (),
    hidden: Iterable[str] = (),
    book: str = "",
) -> dict[str, str | bytes]:
    """Return the parts of a workbook from the inside of its worksheets; ``formats`` are styles from 1 on."""
    targets = [("worksheet", f"worksheets/sheet{number}.xml") for number in range(1, len(sheets) + 1)]
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="rId{number}"'
        + (' state="hidden"' if name in hidden else "")
        + "/>"
        for number, name in enumerate(sheets, start=1)
    )
    codes = "".join(
        f'<numFmt numFmtId="{164 + number}" formatCode={quoteattr(code)}/>'
        for number, code in enumerate(formats)
    )
    styles = "".join(f'<xf numFmtId="{164 + number}"/>' for number in range(len(formats)))
    parts: dict[str, str | bytes] = {
        "_rels/.rels": relations([("officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">{book}'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations(
            [*targets, ("styles", "/xl/styles.xml"), ("sharedStrings", "sharedStrings.xml")]
        ),
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><numFmts>{codes}</numFmts>'
        '<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>'
        f'<cellXfs><xf numFmtId="0"/>{styles}<xf numFmtId="14"/></cellXfs></styleSheet>',
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">'
        + "".join(f"<si>{inside}</si>" for inside in strings)
        + "</sst>",
    }
    for number, inside in enumerate(sheets.values(), start=1):
        parts[f"xl/worksheets/sheet{number}.xml"] = f'<worksheet xmlns="{MAIN}">{inside}</worksheet>'
    return parts


def xlsx(inside: str, **options: object) -> bytes:
    """Return a workbook of one worksheet, «Лист»."""
    return zipped(xlsx_parts({"Лист": inside}, **options))  # type: ignore[arg-type]


def column_letters(column: int) -> str:
    letters = ""
    while column >= 0:
        column, rest = divmod(column, 26)
        letters = chr(ord("A") + rest) + letters
        column -= 1
    return letters


def xlsx_rows(rows: Iterable[Sequence[object]], *, first: int = 1) -> str:
    """Return «sheetData» with texts inline and numbers as they are."""
    written = []
    for number, cells in enumerate(rows, start=first):
        inside = ""
        for column, value in enumerate(cells):
            place = f"{column_letters(column)}{number}"
            if isinstance(value, str):
                inside += (
                    f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
                )
            elif value is not None:
                inside += f'<c r="{place}"><v>{value}</v></c>'
        written.append(f'<row r="{number}">{inside}</row>')
    return f"<sheetData>{''.join(written)}</sheetData>"


# --- ODS ---


def ods(tables: str, *, styles: str = "", manifest: str = "<manifest/>") -> bytes:
    """Return an OpenDocument spreadsheet from its «table:table» elements."""
    names = "".join(
        f' xmlns:{prefix}="urn:{prefix}"' for prefix in ("office", "table", "text", "style", "calcext")
    )
    content = (
        f"<office:document-content{names}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>"
    )
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": content,
            "META-INF/manifest.xml": manifest,
        }
    )


def ods_cell(text: str = "", attributes: str = "") -> str:
    inside = f"<text:p>{escape(text)}</text:p>" if text else ""
    kind = 'office:value-type="string" ' if text and "value-type" not in attributes else ""
    return f"<table:table-cell {kind}{attributes}>{inside}</table:table-cell>"


# --- DOCX ---


def docx(body: str) -> bytes:
    """Return a document from the inside of its body."""
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    return zipped(
        {
            "_rels/.rels": relations([("officeDocument", "word/document.xml")]),
            "word/document.xml": f'<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>',
        }
    )


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p>"


def word_cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"


def word_table(rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell that begins with «<» is taken for markup."""
    written = (
        "<w:tr>" + "".join(cell if cell.startswith("<") else word_cell(cell) for cell in row) + "</w:tr>"
        for row in rows
    )
    return f"<w:tbl>{''.join(written)}</w:tbl>"


# --- XLS ---

GENERAL, SHOWN_AS_DATE, SHOWN_AS_DURATION = 15, 16, 17
"""Cell formats of the workbooks ``xls`` makes."""


def record(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def xls_text(row: int, column: int, text: str) -> bytes:
    encoded = text.encode("utf-16-le")
    return record(0x204, struct.pack("<HHHHB", row, column, GENERAL, len(encoded) // 2, 1) + encoded)


def xls_number(row: int, column: int, value: float, style: int = GENERAL) -> bytes:
    return record(0x203, struct.pack("<HHHd", row, column, style, value))


def xls_formula(row: int, column: int, value: float) -> bytes:
    return record(0x6, struct.pack("<HHHdHIH", row, column, GENERAL, value, 0, 0, 0))


def xls_truth(row: int, column: int, value: int, *, error: bool = False) -> bytes:
    return record(0x205, struct.pack("<HHHBB", row, column, GENERAL, value, error))


def xls_merged(*blocks: tuple[int, int, int, int]) -> bytes:
    """Return merged blocks of (top, bottom, left, right), from 0."""
    return record(0xE5, struct.pack("<H", len(blocks)) + b"".join(struct.pack("<HHHH", *b) for b in blocks))


def xls(sheets: Mapping[str, bytes], *, hidden: Iterable[str] = (), globals_: bytes = b"") -> bytes:
    """Return a workbook of Excel 97 from the records of its worksheets."""
    begin = struct.pack("<HHHHII", 0x600, 0x5, 0x0DBB, 0x07CC, 0, 0x600)
    begin_sheet = struct.pack("<HHHHII", 0x600, 0x10, 0x0DBB, 0x07CC, 0, 0x600)
    duration = "[h]:mm"
    head = record(0x809, begin) + record(0x42, struct.pack("<H", 1200)) + globals_
    head += record(0x41E, struct.pack("<HHB", 164, len(duration), 0) + duration.encode())
    for format_ in [0] * 16 + [14, 164]:
        head += record(0xE0, struct.pack("<HHHBBBBIIH", 0, format_, 1, 0, 0, 0, 0, 0, 0, 0))
    bodies = [record(0x809, begin_sheet) + body + record(0xA) for body in sheets.values()]
    at = len(head) + sum(12 + 2 * len(name) for name in sheets) + 4
    listed = b""
    for name, body in zip(sheets, bodies, strict=True):
        encoded = name.encode("utf-16-le")
        listed += record(0x85, struct.pack("<IBBBB", at, name in set(hidden), 0, len(name), 1) + encoded)
        at += len(body)
    return compound({"Workbook": head + listed + record(0xA) + b"".join(bodies)})


def compound(streams: Mapping[str, bytes]) -> bytes:
    """Return a compound document; streams are padded so that none is a small one, kept in another way."""
    free, end, special = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    padded = {
        name: content.ljust(max(4096, -(-len(content) // 512) * 512), b"\0")
        for name, content in streams.items()
    }
    chain: list[int] = []
    starts = []
    for content in padded.values():
        starts.append(len(chain))
        chain += [*range(len(chain) + 1, len(chain) + len(content) // 512), end]
    directory_at = len(chain)
    directory_sectors = -(-(len(padded) + 1) // 4)
    chain += [*range(directory_at + 1, directory_at + directory_sectors), end]
    tables = 1
    while tables * 128 < len(chain) + tables:
        tables += 1
    assert tables <= 109, "too long for a test"
    tables_at = len(chain)
    chain += [special] * tables
    chain += [free] * (tables * 128 - len(chain))

    def entry(name: str, kind: int, child: int, right: int, start: int, size: int) -> bytes:
        encoded = name.encode("utf-16-le")
        return (
            encoded.ljust(64, b"\0")
            + struct.pack("<HBBIII", len(encoded) + 2, kind, 1, free, right, child)
            + b"\0" * 36
            + struct.pack("<III", start, size, 0)
        )

    directory = entry("Root Entry", 5, 1, free, end, 0)
    for number, (name, content) in enumerate(padded.items(), start=1):
        following = number + 1 if number < len(padded) else free
        directory += entry(name, 2, free, following, starts[number - 1], len(content))
    directory = directory.ljust(directory_sectors * 512, b"\0")
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16
    header += struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + b"\0" * 6
    header += struct.pack("<IIIIIIIII", 0, tables, directory_at, 0, 4096, end, 0, end, 0)
    header += struct.pack("<109I", *[*range(tables_at, tables_at + tables), *[free] * (109 - tables)])
    return header + b"".join(padded.values()) + directory + struct.pack(f"<{len(chain)}I", *chain)
