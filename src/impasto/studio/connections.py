"""Connections to the server, and which one ends when there are too many."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 1024
"""Connections at once, where the machine allows as many open files."""
AT_ONCE = 16
"""Connections that are accepted before those that are too many are closed."""


def most_connections() -> int:
    """How many connections the server may have at once: half of the files that it may open."""
    try:
        import resource
    except ImportError:  # Windows, where sockets are no files
        return MOST
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if allowed == resource.RLIM_INFINITY else max(min(MOST, allowed // 2), 1)


class Connection(H11Protocol):
    """A connection; a new one ends the one that has been idle longest, where there are too many.

    A connection is idle while it has no whole head of a request that waits for its answer. uvicorn
    counts idle ones too and, from `limit_concurrency` of them, answers 503 to all, for as long as
    they stay open.
    """

    idle_since: float = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        if self.limit_concurrency is None or len(self.connections) < self.limit_concurrency:
            return
        others = [
            each
            for each in self.connections
            if isinstance(each, Connection) and each is not self and each.is_idle()
        ]
        if others:
            longest = min(others, key=lambda each: each.idle_since)
            longest.timeout_keep_alive_handler()  # as if it had been idle for too long
            self.connections.discard(longest)  # uvicorn would count it until it is closed

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def is_idle(self) -> bool:
        """Whether nobody waits for an answer here."""
        return self.cycle is None or self.cycle.response_complete
