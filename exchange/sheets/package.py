"""The zip archives of office programs and the XML inside them, opened with care.

expat itself is used rather than a tree or an event parser above it: a table is read in one pass, nothing of
it is built that is not kept, and every declaration of a document type is refused before an entity can exist.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol
from xml.parsers import expat

from exchange.sheets.grid import DAMAGED, Meter

MISPLACED = (
    "Файл «%(file)s» устроен подозрительно или повреждён (оглавление архива не на месте), он не загружен."
)
CROWDED = "Файл «%(file)s» устроен подозрительно (слишком много частей в архиве), он не загружен."
ODD = "Файл «%(file)s» устроен подозрительно (сжат необычным способом), он не загружен."
TOO_LARGE = "Файл «%(file)s» устроен подозрительно (после распаковки он слишком велик), он не загружен."
ENDLESS = "Файл «%(file)s» устроен подозрительно (в нём есть слишком длинная запись), он не загружен."
TOO_DEEP = "Файл «%(file)s» устроен подозрительно (записи в нём слишком глубоко вложены), он не загружен."
DECLARED = (
    "Файл «%(file)s» устроен подозрительно (в нём есть объявления XML, которых в таблицах не бывает), "
    "он не загружен."
)
ENCRYPTED = "Файл «%(file)s» защищён паролем. Снимите пароль и загрузите файл снова."

CHUNK = 1024 * 1024
"""Bytes that are read, and parsed, at a time."""
LONGEST = 1024 * 1024
"""How many bytes may follow each other without a «<»: longer tags and texts take expat ever longer."""
DEEPEST = 500
"""How many elements may be open; Word takes about ten for a table within a table."""
SMALL = 4 * 1024 * 1024
"""What unpacks to less is no bomb whatever the ratio."""

_BROKEN = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, OSError, EOFError, NotImplementedError)


class Handler(Protocol):
    """What a document is told to, element by element, by names without prefix where the root has one."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Hear that an element begins."""

    def end(self, name: str) -> None:
        """Hear that an element ends."""

    def text(self, data: str) -> None:
        """Hear a piece of text."""


def parse(chunks: Iterable[bytes], handler: Handler, meter: Meter) -> None:
    """Read an XML document; raises Invalid for anything that is not plain, well-formed XML within limits."""
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise meter.refusal(DECLARED)

    start_element, end_element = handler.start, handler.end
    prefixed = False
    depth = 0

    def root(name: str, attributes: dict[str, str]) -> None:
        nonlocal prefixed
        prefixed = ":" in name
        parser.StartElementHandler = start
        start(name, attributes)

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise meter.refusal(TOO_DEEP)
        start_element(local(name) if prefixed else name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        end_element(local(name) if prefixed else name)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = root
    parser.EndElementHandler = end
    parser.CharacterDataHandler = handler.text
    quiet = 0
    try:
        for chunk in chunks:
            tags = chunk.count(b"<")
            meter.tags(tags)
            quiet = 0 if tags else quiet + len(chunk)
            if quiet > LONGEST:
                raise meter.refusal(ENDLESS)
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise meter.refusal(DAMAGED) from error


def local(name: str) -> str:
    """Return a name without its prefix."""
    return name.rpartition(":")[2]


def locals_of(attributes: dict[str, str]) -> dict[str, str]:
    """Return attributes under their names without prefix."""
    return {local(name): value for name, value in attributes.items()}


class Package:
    """An archive of parts that has been found harmless by its directory.

    The directory may lie about sizes: a part is read at most to the size it states, and zipfile refuses one
    that goes on.
    """

    def __init__(self, content: bytes, meter: Meter) -> None:
        self._meter = meter
        limits = meter.limits
        # Office programs write the end record last, without a comment, and never need the 64-bit form.
        # Holding the file to that bounds the directory before it is read.
        end = content[-22:]
        if end[:4] != b"PK\x05\x06" or content[-42:-38] == b"PK\x06\x07":
            raise meter.refusal(MISPLACED)
        if (
            int.from_bytes(end[10:12], "little") > limits.members
            or int.from_bytes(end[12:16], "little") > limits.members * 512
        ):
            raise meter.refusal(CROWDED)
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(content))
        except (*_BROKEN, ValueError) as error:
            raise meter.refusal(DAMAGED) from error
        members = self._archive.infolist()
        self._names = {member.filename.lower(): member.filename for member in members}
        if len(members) > limits.members or len(self._names) < len(members):
            raise meter.refusal(CROWDED)
        if any(member.flag_bits & 1 for member in members):
            raise meter.refusal(ENCRYPTED)
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise meter.refusal(ODD)
        unpacked = sum(member.file_size for member in members)
        if unpacked > limits.unpacked * 1024 * 1024 or unpacked > max(SMALL, limits.ratio * len(content)):
            raise meter.refusal(TOO_LARGE)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names

    def read(self, name: str, most: int) -> bytes:
        """Return the first ``most`` bytes of a part."""
        return next(self._chunks(name, most), b"")

    def parse(self, name: str, handler: Handler) -> None:
        """Read the part as XML."""
        parse(self._chunks(name, CHUNK), handler, self._meter)

    def _chunks(self, name: str, size: int) -> Iterator[bytes]:
        try:
            with self._archive.open(self._names[name.lower()]) as part:
                while chunk := part.read(size):
                    yield chunk
        except (*_BROKEN, ValueError, KeyError) as error:
            raise self._meter.refusal(DAMAGED) from error

    def related(self, name: str) -> dict[str, tuple[str, str]]:
        """Return what the part ``name`` (the whole package if empty) refers to: kind and part name by id."""
        folder, _, base = name.rpartition("/")
        relations = posixpath.join(folder, "_rels", f"{base}.rels")
        handler = _Relations(folder)
        if relations in self:
            self.parse(relations, handler)
        return handler.found

    def main(self) -> str:
        """Return the name of the part that holds the document of an Office Open XML file, empty if none."""
        for kind, target in self.related("").values():
            if kind == "officeDocument" and target in self:
                return target
        return ""


class _Relations:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.found: dict[str, tuple[str, str]] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", self._folder, attributes.get("Target", "")))
            kind = attributes.get("Type", "").rpartition("/")[2]
            self.found[attributes.get("Id", "")] = (kind, target.lstrip("/"))

    def end(self, name: str) -> None:
        pass

    def text(self, data: str) -> None:
        pass
