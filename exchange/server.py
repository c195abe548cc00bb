"""The built-in web server: one process, a few threads, pages made small for poor lines, a clean stop."""

from __future__ import annotations

import errno
import gzip
import signal
import socket
import time
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from waitress import create_server, wasyncore
from werkzeug.wrappers import Request, Response

THREADS = 8
PORTS_TRIED = 50
GRACE = 30.0
"""Seconds that requests in flight get to finish after the server was told to stop."""

LEAST_COMPRESSED = 1000
"""Bytes; a shorter answer fits one packet anyway."""


def compressed(app: WSGIApplication) -> WSGIApplication:
    """Return ``app`` with its texts sent as gzip to whoever takes that.

    A proxy in front does this itself, so only the built-in server needs it.
    """

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = Response.from_app(app, environ, buffered=True)
        kind = response.mimetype or ""
        text = kind.startswith("text/") or kind in {
            "application/javascript",
            "application/json",
            "image/svg+xml",
        }
        if text and response.status_code == 200 and "Content-Encoding" not in response.headers:
            response.vary.add("Accept-Encoding")
            content = response.get_data()
            takes_gzip = Request(environ).accept_encodings.quality("gzip") > 0
            if takes_gzip and len(content) >= LEAST_COMPRESSED:
                response.set_data(gzip.compress(content, compresslevel=6, mtime=0))
                response.headers["Content-Encoding"] = "gzip"
                tag, _weak = response.get_etag()
                if tag is not None:
                    response.set_etag(tag, weak=True)
        return response(environ, start_response)

    return answer


def listen_on(host: str, port: int) -> tuple[socket.socket, int]:
    """Return a bound socket and its port: ``port``, or the next free one. 0 means any.

    Raises ``OSError`` when the host is not this computer's or none of the ports tried is free.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last = min(port + PORTS_TRIED, 65536)
    for candidate in range(port, last):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, candidate))
        except OSError as error:
            listening.close()
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
        else:
            return listening, listening.getsockname()[1]
    raise OSError(errno.EADDRINUSE, f"no free port from {port} to {last - 1}")


def serve(
    app: WSGIApplication, listening: socket.socket, *, largest_body: int, ready: Callable[[], None]
) -> bool:
    """Answer requests until SIGINT or SIGTERM, then finish those in flight.

    ``largest_body`` is in bytes; ``ready`` is called once connections are accepted. Says whether
    everything in flight was finished within ``GRACE`` seconds.
    """
    server = create_server(
        compressed(app),
        sockets=[listening],
        threads=THREADS,
        max_request_body_size=largest_body,
        # The application itself knows how many proxies to trust.
        clear_untrusted_proxy_headers=False,
    )
    told = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal told
        told = True
        server.pull_trigger()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ready()
        while not told:
            wasyncore.loop(timeout=1, map=server._map, count=1)
        return _finish(server)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _finish(server: Any) -> bool:
    # Whoever knocked before the stop is still let in.
    wasyncore.loop(timeout=0, map=server._map, count=1)
    # Closes the door only: the server's own close() would take the threads' way to wake this loop too.
    wasyncore.dispatcher.close(server)
    until = time.monotonic() + GRACE
    while server.active_channels and time.monotonic() < until:
        wasyncore.loop(timeout=0.1, map=server._map, count=1)
        for channel in list(server.active_channels.values()):
            if not channel.requests and channel.request is None and not channel.total_outbufs_len:
                channel.handle_close()
    finished = not server.active_channels
    server.task_dispatcher.shutdown(timeout=1)
    return finished
