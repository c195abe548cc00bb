"""Databases for the tests: one migrated template, copied for every test."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

NO_POSTGRESQL = (
    "PostgreSQL is not there: install its server (apt-get install postgresql), or name one in TEST_PG_URL"
)


class PostgresqlMissing(Exception):
    """There is no PostgreSQL to test on."""


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    if initdb is None:
        raise PostgresqlMissing(NO_POSTGRESQL)
    return Path(initdb).parent


def _unprivileged() -> list[str]:
    """Return the words that run a command as a user PostgreSQL accepts: it refuses to be root."""
    if os.geteuid() != 0:
        return []
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return ["setpriv", "--reuid", name, "--clear-groups"]
    raise PostgresqlMissing(NO_POSTGRESQL)


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Yield the address (without a database name) of a server: TEST_PG_URL, else one started here."""
    if url := os.environ.get("TEST_PG_URL"):
        yield url.rstrip("/")
        return
    binaries = _binaries()
    as_user = _unprivileged()
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        if as_user:
            shutil.chown(folder, as_user[2])
        data = f"{folder}/data"
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
        subprocess.run(
            [
                *as_user,
                binaries / "initdb",
                "-D",
                data,
                "-U",
                "tests",
                "-A",
                "trust",
                "-N",
                "-E",
                "UTF8",
                "--locale=C",
            ],
            **quiet,
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = subprocess.Popen(
            [
                *as_user, binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder,
                "-F", "-c", "synchronous_commit=off", "-c", "max_connections=60",
            ],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            address = f"postgresql+psycopg://tests@127.0.0.1:{port}"
            _wait_for(address)
            yield address
        finally:
            # Not SIGTERM: that waits for every client to leave.
            server.send_signal(signal.SIGINT)
            server.wait(10)


def _wait_for(address: str) -> None:
    until = time.monotonic() + 15
    while True:
        try:
            psycopg.connect(_plain(address) + "/postgres").close()
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _plain(address: str) -> str:
    return address.replace("postgresql+psycopg", "postgresql")


def execute(address: str, statement: str) -> None:
    """Run one statement outside a transaction in the server's own database."""
    with psycopg.connect(_plain(address) + "/postgres", autocommit=True) as connection:
        connection.execute(statement)


class Template:
    """A migrated, empty database that can be copied in a moment."""

    def __init__(self, url: str) -> None:
        self.url = url

    def copy(self, folder: Path) -> str:
        """Return the address of a fresh copy; ``drop`` removes it."""
        if self.url.startswith("sqlite"):
            target = folder / "exchange.sqlite3"
            shutil.copyfile(self.url.removeprefix("sqlite:///"), target)
            return f"sqlite:///{target}"
        server, _, name = self.url.rpartition("/")
        fresh = f"t_{uuid.uuid4().hex}"
        execute(server, f'CREATE DATABASE "{fresh}" TEMPLATE "{name}" STRATEGY FILE_COPY')
        return f"{server}/{fresh}"

    def drop(self, url: str) -> None:
        """Remove a copy (files of SQLite go with their folder)."""
        if url.startswith("postgresql"):
            server, _, name = url.rpartition("/")
            execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')
