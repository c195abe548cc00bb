"""The built-in server: it finds a port and stops without cutting anybody off."""

from __future__ import annotations

import gzip
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from wsgiref.types import StartResponse

import pytest
from werkzeug.test import Client

from exchange import server

ROOT = Path(__file__).resolve().parents[2]
SLOW_APPLICATION = """
import sys, time
from exchange import server

BODY = b"x" * 5_000_000

def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        print("begun", flush=True)
        time.sleep(1)
    start_response("200 OK", [("Content-Length", str(len(BODY)))])
    return [BODY]

listening, port = server.listen_on("127.0.0.1", 0)
finished = server.serve(app, listening, largest_body=1000, ready=lambda: print(port, flush=True))
sys.exit(0 if finished else 1)
"""


@pytest.fixture
def slow_server() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_APPLICATION], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield process
        process.kill()


@pytest.mark.parametrize("told_by", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_gets_its_answer(slow_server: subprocess.Popen[str], told_by: int) -> None:
    assert slow_server.stdout is not None
    port = int(slow_server.stdout.readline())
    answers: list[tuple[int, int]] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/slow")
        answer = connection.getresponse()
        answers.append((answer.status, len(answer.read())))
        connection.close()

    # A browser that keeps its connection open without asking for anything must not hold up the stop.
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    idle.request("GET", "/")
    idle.getresponse().read()
    client = threading.Thread(target=ask)
    client.start()
    assert slow_server.stdout.readline() == "begun\n"
    slow_server.send_signal(told_by)
    slow_server.send_signal(told_by)
    client.join()
    assert answers == [(200, 5_000_000)]
    assert slow_server.wait(10) == 0
    idle.close()


def test_nobody_is_let_in_after_the_stop(slow_server: subprocess.Popen[str]) -> None:
    assert slow_server.stdout is not None
    port = int(slow_server.stdout.readline())
    slow_server.send_signal(signal.SIGTERM)
    assert slow_server.wait(10) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_taken_port_gives_the_next_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        listening, got = server.listen_on("127.0.0.1", port)
        listening.close()
    assert got > port


def test_the_portal_starts_says_where_and_stops(tmp_path: Path) -> None:
    environment = {
        **os.environ, "EXCHANGE_INSTANCE": str(tmp_path), "EXCHANGE_DATABASE_URL": "", "PYTHONUTF8": "1"
    }  # fmt: skip
    flask = [sys.executable, "-m", "flask", "--app", "app", "exchange"]
    options = {"cwd": ROOT, "env": environment, "text": True, "stdin": subprocess.DEVNULL}
    refused = subprocess.run([*flask, "serve"], check=False, capture_output=True, **options)
    assert refused.returncode == 1
    assert "db upgrade" in refused.stderr
    prepared = subprocess.run([*flask, "prepare", "--empty"], check=True, capture_output=True, **options)
    assert "exchange init" in prepared.stdout
    with subprocess.Popen([*flask, "serve", "--port", "0"], stdout=subprocess.PIPE, **options) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        address = next(line for line in lines if "http://" in line).split("http://")[1].strip().rstrip("/")
        connection = http.client.HTTPConnection(address, timeout=20)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        connection.close()


@pytest.mark.parametrize(
    ("accepted", "encoding"), [("gzip, br", "gzip"), ("identity", None), ("gzip;q=0", None)]
)
def test_texts_travel_compressed_to_whoever_takes_that(accepted: str, encoding: str | None) -> None:
    page = "<p>учебник</p>" * 500

    def app(environ: object, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("ETag", '"abc"')])
        return [page.encode()]

    answer = Client(server.compressed(app)).get("/", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == encoding
    assert "Accept-Encoding" in answer.headers["Vary"]
    body = gzip.decompress(answer.data) if encoding else answer.data
    assert body.decode() == page
    assert answer.content_length == len(answer.data)
    assert answer.get_etag() == ("abc", encoding is not None)


@pytest.mark.parametrize(
    ("status", "kind", "size"),
    [("200 OK", "text/html", 100), ("200 OK", "image/png", 5000), ("404 NOT FOUND", "text/html", 5000)],
)
def test_what_would_not_gain_stays_as_it_is(status: str, kind: str, size: int) -> None:
    def app(environ: object, start_response: StartResponse) -> list[bytes]:
        start_response(status, [("Content-Type", kind)])
        return [b"x" * size]

    answer = Client(server.compressed(app)).get("/", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers
    assert answer.data == b"x" * size
