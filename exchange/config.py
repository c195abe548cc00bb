"""Settings: one dataclass, each field overridable from the environment as ``EXCHANGE_<NAME>``."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from flask import current_app


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How this server runs. Every field is described in docs/operations.md; a test keeps the two together."""

    instance: Path
    """Folder of the database, the secret key and undelivered mail."""
    database_url: str = ""
    """SQLAlchemy address; empty means an SQLite file in ``instance``."""
    secret_key: str = ""
    """Signs cookies and forms; empty means a key kept in ``instance/secret_key``."""
    cookie_secure: bool = False
    """Send the session cookie over HTTPS only. Switch on behind HTTPS."""
    proxies: int = 0
    """Number of reverse proxies in front whose X-Forwarded-* headers are trusted."""
    mail_url: str = ""
    """``smtp://user:password@host:port`` or ``smtps://…``; empty writes letters to ``instance/mail``."""
    mail_from: str = "vzaimoobmen@localhost"
    """Sender of the letters."""
    public_url: str = "http://127.0.0.1:5000"
    """Address of the portal as people type it; used in letters and invitation slips."""
    proposal_days: int = 5
    """Working days a school has to answer a proposal before it moves on."""
    posting_days: int = 60
    """Calendar days a surplus or a request stays open unless renewed."""
    invitation_days: int = 30
    """Calendar days an invitation slip is valid."""
    upload_megabytes: int = 20
    """Largest file that may be uploaded."""
    matching_processes: int = 1
    """How many processes share the matching of a region; a district's needs one."""
    executor: str = "threads"
    """Where long work runs: ``threads`` of this process, or ``inline`` (in the request; for tests)."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, instance: Path) -> Self:
        """Read the settings from ``environ``; ``instance`` is the default folder.

        Raises ``ValueError`` that names the variable when a value cannot be read.
        """
        values: dict[str, object] = {"instance": Path(environ.get("EXCHANGE_INSTANCE", instance))}
        for field in fields(cls):
            text = environ.get(f"EXCHANGE_{field.name.upper()}")
            if text is None or field.name == "instance":
                continue
            values[field.name] = _read(field.name, str(field.type), text)
        return cls(**values)  # type: ignore[arg-type]

    def resolved_database_url(self) -> str:
        """Return the database address, the SQLite file in ``instance`` by default."""
        return self.database_url or f"sqlite:///{self.instance / 'exchange.sqlite3'}"

    def resolved_secret_key(self) -> str:
        """Return the secret key; make and keep one on the first start."""
        if self.secret_key:
            return self.secret_key
        path = self.instance / "secret_key"
        if not path.exists():
            self.instance.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(48))
        return path.read_text()


def current() -> Settings:
    """Return the settings of the application at work."""
    settings: Settings = current_app.extensions["settings"]
    return settings


def _read(name: str, kind: str, text: str) -> object:
    variable = f"EXCHANGE_{name.upper()}"
    if kind == "bool":
        if text.lower() not in {"0", "1", "true", "false"}:
            raise ValueError(f"{variable} must be 0 or 1, not {text!r}")
        return text.lower() in {"1", "true"}
    if kind == "int":
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"{variable} must be a whole number, not {text!r}") from None
    return text
