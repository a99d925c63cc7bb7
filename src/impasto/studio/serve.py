"""The server: the socket, the address with its token, and the end."""

import contextlib
import logging
import secrets
import socket
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from impasto.errors import ImpastoError
from impasto.messages import say
from impasto.studio.app import create_app
from impasto.studio.connections import AT_ONCE, MOST, Connection, most_connections
from impasto.studio.context import Studio
from impasto.studio.security import LOOPBACK, Gate
from impasto.studio.sources import tidy

_CLOSING = 3
"""Seconds that open connections get when the server ends."""
_WAITING = 1024
"""Connections that wait to be accepted; further clients have to try again."""


@dataclass(frozen=True)
class Listening:
    """Where the server listens.

    Args:
        host: an address of this machine.
        port: 0 for a free one.
        most_upload: bytes of an uploaded file.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    most_upload: int = 4 * 2**30

    def socket(self) -> socket.socket:
        """A socket that listens there.

        Raises:
            ImpastoError: it cannot.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        found = socket.socket(family, socket.SOCK_STREAM)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((self.host, self.port))
            found.listen(_WAITING)  # a browser that is quicker than the server waits
        except OSError as error:
            found.close()
            raise ImpastoError(
                f"cannot listen on {self.host}, port {self.port}: {error.strerror}; choose another "
                "with --port (0: a free one)"
            ) from error
        return found


def serve(studio: Studio, where: Listening, *, show: bool) -> None:
    """Serve until Ctrl-C. Jobs go on afterwards.

    Args:
        studio: what is shown.
        where: it listens.
        show: whether to open the page in a browser.

    Raises:
        ImpastoError: the address cannot be used.
    """
    tidy(studio.places.uploads)
    studio.jobs.tidy()
    with where.socket() as listener:
        port = listener.getsockname()[1]
        token = secrets.token_urlsafe(24)
        outside = None if where.host in LOOPBACK else where.host
        # Other users can read the arguments of a browser that is started.
        once = secrets.token_urlsafe(24)
        gate = Gate(token, port, outside, where.most_upload, once)
        name = f"[{where.host}]" if ":" in where.host else where.host
        address = f"http://{name}:{port}/?token="
        server = Server(studio, gate, most_connections())
        say(f"the studio of {Path(studio.places.collections).parent}: {address}{token}")
        say("Ctrl-C ends the studio; trainings and other jobs go on", to_stderr=True)
        if show:
            webbrowser.open(address + once)
        with contextlib.suppress(KeyboardInterrupt):  # sent again once everything has ended
            server.run(sockets=[listener])


class Server(uvicorn.Server):
    """A server that lets pages that listen go first when it is stopped.

    Args:
        studio: what is shown.
        gate: what is let in.
        connections: that it has at most at once.
    """

    def __init__(self, studio: Studio, gate: Gate, connections: int = MOST) -> None:
        config = uvicorn.Config(
            create_app(studio, gate),
            log_level="error",
            access_log=False,
            server_header=False,
            http=Connection,
            backlog=AT_ONCE,
            limit_concurrency=connections,
            timeout_graceful_shutdown=_CLOSING,
            ws="none",
        )
        super().__init__(config)
        logging.getLogger("uvicorn.error").addFilter(_not_cancelled)
        self.studio = studio

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(_WAITING)  # uvicorn lets no more wait than it accepts at once

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.studio.feeds.end()
        super().handle_exit(sig, frame)


def _not_cancelled(record: logging.LogRecord) -> bool:
    """Whether a message is none on pages that still listened when the server ended."""
    return "timeout graceful shutdown" not in record.getMessage()
