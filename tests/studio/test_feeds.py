"""Live events, without a server: how often the files are looked at."""

import asyncio

import pytest

from impasto.studio.feeds import A_CLIENT, PAUSE, Event, Feed


class Quiet:
    """A source of no events that counts how often it is asked."""

    def __init__(self) -> None:
        self.looks = 0

    def read(self) -> list[Event]:
        self.looks += 1
        return []


def test_looks_become_rarer_with_many_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the processor time for all clients together is bounded."""
    source = Quiet()
    feed = Feed(lambda: source)
    clients = [1, 20, 200, 1000]
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        feed.ended = len(pauses) == len(clients)
        feed.clients = clients[len(pauses) % len(clients)]

    monkeypatch.setattr(asyncio, "sleep", sleep)
    feed.clients = clients[0]
    asyncio.run(feed._follow())
    assert pauses == [PAUSE, PAUSE, 200 * A_CLIENT, 1000 * A_CLIENT]
    assert source.looks == len(clients)
