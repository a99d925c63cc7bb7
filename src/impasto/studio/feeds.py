"""Live events: what one task reads is sent to all clients that listen.

A client is a position in a list that all share, so 200 clients cost a training no more than one: the
files are read once.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from impasto.errors import ImpastoError

PAUSE = 0.5
"""Seconds between two looks at the files, at least."""
A_CLIENT = 0.01
"""Seconds between two looks for each client. To send an event to one takes about 0.0003 seconds of
processor time, so this bounds the share that all of them take."""
QUIET = 15
"""Seconds without an event after which a client gets a comment, which shows that it is connected."""
MOST_CLIENTS = 1000

Event = tuple[str, Any]
"""Its name, and what is sent as JSON."""


class Source(Protocol):
    """Something that events come from. Not shared between threads."""

    def read(self) -> list[Event]:
        """The events since the last call; at the first call all that there are. Called in a thread."""


class Feed:
    """The events of one source. It reads while somebody listens."""

    def __init__(self, source: Callable[[], Source]) -> None:
        self._source = source
        self._sent: list[bytes] = []
        self._name = secrets.token_hex(4)
        self._more = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.clients = 0
        self.ended = False
        """Whether the server ends; clients are then let go at the next look at the files."""

    async def listen(self, last: str | None = None) -> AsyncIterator[bytes]:
        """Server-sent events, as bytes.

        Args:
            last: the identity of the last event that the client has; it gets those after it. None, or
                one of another server: it gets `begin`, then all.
        """
        self.clients += 1
        if self._task is None or self._task.done():
            self._begin()
        try:
            place = self._place_after(last)
            if place == 0:
                yield _encoded("begin", {}, None)
            while not self.ended:
                try:
                    await asyncio.wait_for(self._longer_than(place), QUIET)
                except TimeoutError:
                    yield b": quiet\n\n"
                else:
                    news, place = b"".join(self._sent[place:]), len(self._sent)
                    yield news
        finally:
            self.clients -= 1
            if self.clients == 0 and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _longer_than(self, place: int) -> None:
        """Wait until more events than so many were sent."""
        async with self._more:
            await self._more.wait_for(lambda: self.ended or place < len(self._sent))

    def _begin(self) -> None:
        self._sent, self._name = [], secrets.token_hex(4)
        self._task = asyncio.get_running_loop().create_task(self._follow())

    def _place_after(self, last: str | None) -> int:
        name, _, number = (last or "").partition("-")
        if name != self._name or not number.isdecimal():
            return 0
        return min(int(number) + 1, len(self._sent))

    async def _follow(self) -> None:
        source = self._source()
        while not self.ended:
            try:
                news = await asyncio.to_thread(source.read)
            except ImpastoError as error:
                news = [("trouble", {"error": str(error)})]
            if news:
                async with self._more:
                    for name, value in news:
                        identity = f"{self._name}-{len(self._sent)}"
                        self._sent.append(_encoded(name, value, identity))
                    self._more.notify_all()
            await asyncio.sleep(max(PAUSE, A_CLIENT * self.clients))
        async with self._more:
            self._more.notify_all()


class Feeds:
    """The feeds by name, made when they are first listened to."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}

    def end(self) -> None:
        """Let all clients go soon; may be called in a signal's handler."""
        for feed in list(self._feeds.values()):
            feed.ended = True

    def feed(self, name: str, source: Callable[[], Source]) -> Feed:
        """The feed of this name.

        Raises:
            ImpastoError: too many clients listen already.
        """
        for other in [each for each, feed in self._feeds.items() if feed.clients == 0]:
            if other != name:
                del self._feeds[other]
        if sum(feed.clients for feed in self._feeds.values()) >= MOST_CLIENTS:
            raise ImpastoError(f"{MOST_CLIENTS} pages listen already; close some of them")
        return self._feeds.setdefault(name, Feed(source))


def _encoded(name: str, value: Any, identity: str | None) -> bytes:
    head = "" if identity is None else f"id: {identity}\n"
    text = json.dumps(value, separators=(",", ":"))
    return f"{head}event: {name}\ndata: {text}\n\n".encode()
