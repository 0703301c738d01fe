"""Run the review page on loopback until its reader leaves: the only door to uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn

from ubereport.core.errors import UsageError
from ubereport.review.desk.gate import Gate
from ubereport.review.desk.shelf import Shelf
from ubereport.review.desk.web import review_app

_IDLE_S = 3600.0
_LOOK_S = 5.0
_HOST = "127.0.0.1"


def serve_review(
    shelf: Shelf,
    port: int,
    on_address: Callable[[str], None],
    on_rendered: Callable[[Path], None],
    idle_s: float = _IDLE_S,
) -> None:
    """Serve `shelf` on 127.0.0.1 until interrupted, or nobody asked anything for `idle_s`.

    Parameters
    ----------
    shelf
        The cases.
    port
        Where to listen; 0 takes a free one.
    on_address
        Told the address to open, with its token, once the server listens.
    on_rendered
        Renders the report of a case folder again.
    idle_s
        Seconds without a request after which the server ends by itself.

    Raises
    ------
    UsageError
        If the port is in use.
    """
    with contextlib.closing(_listening(port)) as listener:
        bound = int(listener.getsockname()[1])
        gate = Gate(bound)
        # No access log: addresses carry times of a patient's operation.
        config = uvicorn.Config(
            review_app(shelf, gate, on_rendered),
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            limit_concurrency=64,
            timeout_keep_alive=5,
            h11_max_incomplete_event_size=64 * 1024,
            lifespan="on",
            ws="none",
        )
        server = uvicorn.Server(config)
        on_address(f"http://{_HOST}:{bound}/?token={gate.token}")
        asyncio.run(_until_idle(server, listener, gate, idle_s))


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.bind((_HOST, port))
        # A browser that is quicker than the server waits instead of being refused.
        listener.listen()
    except OSError as error:
        listener.close()
        raise UsageError(
            f"Port {port} cannot be used ({error.strerror}): another program listens there."
            " Give another --port, or leave it out for a free one."
        ) from None
    return listener


async def _until_idle(
    server: uvicorn.Server, listener: socket.socket, gate: Gate, idle_s: float
) -> None:
    watching = asyncio.create_task(_end_when_idle(server, gate, idle_s))
    try:
        await server.serve(sockets=[listener])
    finally:
        watching.cancel()


async def _end_when_idle(server: uvicorn.Server, gate: Gate, idle_s: float) -> None:
    while time.monotonic() - gate.last_asked_s < idle_s:
        await asyncio.sleep(min(_LOOK_S, idle_s))
    server.should_exit = True
